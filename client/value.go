package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// retryHint returns the delay that the reason of a close frame asks for, as
// in "restart; retry in 1500 ms" (docs/protocol.md §8, 4000); 0 if it names
// none.
func retryHint(reason string) time.Duration {
	_, rest, _ := strings.Cut(reason, "retry in ")
	n, unit, _ := strings.Cut(rest, " ")
	if wait, ok := milliseconds(jsontext.Value(n)); ok && unit == "ms" {
		return wait
	}
	return 0
}

// object decodes v, which must be a JSON object.
func object(v jsontext.Value, into any) error {
	if v.Kind() != '{' {
		return errors.New("data is not an object")
	}
	return json.Unmarshal(v, into)
}

func either(a, b jsontext.Value) jsontext.Value {
	if a != nil {
		return a
	}
	return b
}

// text returns the string that v holds, and whether it holds one.
func text(v jsontext.Value) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err == nil
}

// number returns the integer that v holds, from 0 to 2^53−1. A number from
// outside never becomes a position or an id unchecked.
func number(v jsontext.Value) (uint64, error) {
	s := strings.TrimSpace(string(v))
	if !chat.IsCanonicalInteger(s) {
		return 0, fmt.Errorf("%.40q is not an integer from 0 to 2^53−1", s)
	}
	return strconv.ParseUint(s, 10, 64)
}

// milliseconds returns v as a duration if it is an integer of less than a day.
func milliseconds(v jsontext.Value) (time.Duration, bool) {
	n, err := number(v)
	if err != nil || n > uint64((24*time.Hour).Milliseconds()) {
		return 0, false
	}
	return time.Duration(n) * time.Millisecond, true
}

// idText returns an id as a string, whether it stands as a JSON number or a
// JSON string (docs/protocol.md §4.1).
func idText(v jsontext.Value) (string, error) {
	if s, ok := text(v); ok {
		return s, nil
	}
	n, err := number(v)
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(n, 10), nil
}

// nonce returns the nonce that v holds; one that breaks the rules is none.
func nonce(v jsontext.Value) chat.Nonce {
	s, ok := text(v)
	if !ok {
		return ""
	}
	n, err := chat.ParseNonce(s)
	if err != nil {
		return ""
	}
	return n
}
