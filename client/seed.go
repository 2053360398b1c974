package client

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// The seed profile (docs/protocol.md §4): one room a connection, identity and
// cursor in the URL, one JSON object a text frame. This file is all that the
// client knows of it; the protocol works with the types of inbound.go.

// seedURL returns where to connect. A zero cursor asks for history instead.
func seedURL(base *url.URL, room chat.RoomID, user chat.User, after chat.Cursor, history int) *url.URL {
	u := *base
	u.RawPath = u.EscapedPath() + "/ws/" + url.PathEscape(string(room))
	u.Path += "/ws/" + string(room)
	q := url.Values{"user_id": {string(user.ID)}, "username": {user.Name}}
	if after.Epoch != "" {
		q.Set("after", after.String())
	}
	switch {
	case history > 0:
		q.Set("history", strconv.Itoa(history))
	case history < 0:
		q.Set("history", "0")
	}
	u.RawQuery = q.Encode()
	return &u
}

// appendSeedPost appends a post. The content is valid UTF-8.
func appendSeedPost(b []byte, content string, nonce chat.Nonce) []byte {
	b = append(b, `{"type":"message","content":`...)
	b = chat.AppendQuote(b, content)
	b = append(b, `,"nonce":`...)
	b = chat.AppendQuote(b, string(nonce))
	return append(b, '}')
}

func appendSeedTyping(b []byte, on bool) []byte {
	b = append(b, `{"type":"typing","is_typing":`...)
	return append(strconv.AppendBool(b, on), '}')
}

func appendSeedPing(b []byte, id string) []byte {
	b = append(b, `{"type":"ping","id":`...)
	return append(chat.AppendQuote(b, id), '}')
}

// seedFrame is what any frame may have at its top level. Members are looked
// at only where their type needs them.
type seedFrame struct {
	Type      jsontext.Value `json:"type"`
	Seq       jsontext.Value `json:"seq"`
	Epoch     jsontext.Value `json:"epoch"`
	Tag       jsontext.Value `json:"tag"`
	Re        jsontext.Value `json:"re"`
	MessageID jsontext.Value `json:"message_id"`
	Timestamp jsontext.Value `json:"timestamp"`
	Message   jsontext.Value `json:"message"`
	Code      jsontext.Value `json:"code"`
	Data      jsontext.Value `json:"data"`
}

// decodeSeed reads one frame. It never fails: what cannot be understood is a
// badFrame, an unknown type an otherFrame. Unknown members are ignored; the
// frame must be one JSON object in valid UTF-8 without repeated names. The
// result keeps nothing of b.
func decodeSeed(b []byte) inbound {
	var f seedFrame
	if err := json.Unmarshal(b, &f); err != nil {
		return badFrame{err: fmt.Errorf("decode frame: %w", err)}
	}
	typ, ok := text(f.Type)
	if !ok {
		return badFrame{err: errors.New("frame has no string member type")}
	}
	at, err := f.place()
	var in inbound
	if err == nil {
		in, err = f.decode(typ, at, b)
	}
	if err != nil {
		return badFrame{place: at, typ: typ, err: fmt.Errorf("decode %.40q frame: %w", typ, err)}
	}
	return in
}

func (f *seedFrame) decode(typ string, at place, b []byte) (inbound, error) {
	switch typ {
	case "connected":
		return f.connected(at)
	case "message":
		m, _, err := decodeSeedMessage(f.Data)
		return messageFrame{place: at, message: m}, err
	case "message_sent":
		return f.sent()
	case "error":
		return f.refusal()
	case "user_joined", "user_left":
		d, err := decodeSeedUser(f.Data)
		return presenceFrame{user: d.user, joined: typ == "user_joined"}, err
	case "typing":
		return f.typing()
	case "pong":
		return f.pong(), nil
	}
	return otherFrame{place: at, typ: typ, frame: append([]byte(nil), b...)}, nil
}

// place reads where a durable event stands; seq 0 is nowhere.
func (f *seedFrame) place() (place, error) {
	var at place
	if f.Epoch != nil {
		epoch, ok := text(f.Epoch)
		if !ok || len(epoch) > 40 {
			return at, errors.New("epoch is not a short string")
		}
		at.epoch = epoch
	}
	if f.Seq == nil {
		return at, nil
	}
	seq, err := number(f.Seq)
	if err != nil {
		return at, fmt.Errorf("seq: %w", err)
	}
	at.seq = seq
	if tag, ok := text(f.Tag); ok && len(tag) == 8 {
		if n, err := strconv.ParseUint(tag, 16, 32); err == nil {
			at.tag, at.hasTag = uint32(n), true
		}
	}
	return at, nil
}

func (f *seedFrame) connected(at place) (inbound, error) {
	var d struct {
		Active  []jsontext.Value `json:"active_users"`
		Count   jsontext.Value   `json:"active_count"`
		Head    jsontext.Value   `json:"head"`
		Cursor  string           `json:"cursor"`
		History []jsontext.Value `json:"history"`
		Resumed bool             `json:"resumed"`
		Gap     *struct {
			Reason string         `json:"reason"`
			From   jsontext.Value `json:"from"`
			To     jsontext.Value `json:"to"`
		} `json:"gap"`
	}
	if err := object(f.Data, &d); err != nil {
		return nil, err
	}
	in := connectedFrame{resumed: d.Resumed}
	for _, v := range d.Active {
		if u, err := decodeSeedUser(v); err == nil {
			in.active = append(in.active, u.user)
		}
	}
	in.activeCount = len(in.active)
	if n, err := number(d.Count); err == nil && n < 1<<31 {
		in.activeCount = int(n)
	}
	for _, v := range d.History {
		m, seq, err := decodeSeedMessage(v)
		m.Seq = seq
		in.history = append(in.history, historyItem{message: m, err: err})
	}
	if d.Gap != nil {
		in.gap = &Gap{Reason: GapReason(d.Gap.Reason), Epoch: at.epoch}
		in.gap.From, _ = number(d.Gap.From)
		in.gap.To, _ = number(d.Gap.To)
	}
	in.cursor = seedCursor(at.epoch, d.Head, d.Cursor)
	in.head = in.cursor.Seq // after a resume the cursor may stand below the head
	if head, err := number(d.Head); err == nil {
		in.head = head
	}
	return in, nil
}

// seedCursor returns where the frames that follow begin: the cursor that the
// server gives, else one made of epoch and head, else zero: it cannot be
// resumed.
func seedCursor(epoch string, head jsontext.Value, cursor string) chat.Cursor {
	if c, err := chat.ParseCursor(cursor); err == nil {
		return c
	}
	seq, err := number(head)
	if err != nil || epoch == "" {
		return chat.Cursor{}
	}
	return chat.Cursor{Epoch: epoch, Seq: seq}
}

func decodeSeedMessage(v jsontext.Value) (m Message, seq uint64, err error) {
	var d struct {
		ID        jsontext.Value `json:"id"`
		Content   *string        `json:"content"`
		CreatedAt string         `json:"created_at"`
		Nonce     jsontext.Value `json:"nonce"`
		Seq       jsontext.Value `json:"seq"`
	}
	u, err := decodeSeedUser(v)
	if err != nil {
		return m, 0, err
	}
	if err := json.Unmarshal(v, &d); err != nil {
		return m, 0, err
	}
	if d.Content == nil {
		return m, 0, errors.New("content is missing")
	}
	id, err := number(d.ID)
	if err != nil {
		return m, 0, fmt.Errorf("id: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, d.CreatedAt)
	if err != nil {
		return m, 0, fmt.Errorf("created_at: %w", err)
	}
	if d.Seq != nil {
		if seq, err = number(d.Seq); err != nil {
			return m, 0, fmt.Errorf("seq: %w", err)
		}
	}
	return Message{ID: int64(id), From: u.user, Content: *d.Content, At: at.UTC(), Nonce: nonce(d.Nonce)}, seq, nil
}

// seedUser is the part that the payloads about a user share.
type seedUser struct {
	user      chat.User
	isTyping  jsontext.Value
	expiresIn jsontext.Value
}

func decodeSeedUser(v jsontext.Value) (seedUser, error) {
	var d struct {
		UserID    jsontext.Value `json:"user_id"`
		Username  *string        `json:"username"`
		IsTyping  jsontext.Value `json:"is_typing"`
		ExpiresIn jsontext.Value `json:"expires_in_ms"`
	}
	if err := object(v, &d); err != nil {
		return seedUser{}, err
	}
	id, err := idText(d.UserID)
	if err != nil {
		return seedUser{}, fmt.Errorf("user_id: %w", err)
	}
	if d.Username == nil {
		return seedUser{}, errors.New("username is missing")
	}
	return seedUser{
		user:      chat.User{ID: chat.UserID(id), Name: *d.Username},
		isTyping:  d.IsTyping,
		expiresIn: d.ExpiresIn,
	}, nil
}

// defaultTypingExpiry is protocol.md §4.6, for servers that do not say.
const defaultTypingExpiry = 8 * time.Second

func (f *seedFrame) typing() (inbound, error) {
	d, err := decodeSeedUser(f.Data)
	if err != nil {
		return nil, err
	}
	in := typingFrame{user: d.user, on: d.isTyping.Kind() == 't', expiresIn: defaultTypingExpiry}
	if !in.on && d.isTyping.Kind() != 'f' {
		return nil, errors.New("is_typing is neither true nor false")
	}
	if ms, ok := milliseconds(d.expiresIn); ok {
		in.expiresIn = ms
	}
	return in, nil
}

// sent reads an acknowledgement, whose fields stand in data, at the top level
// or in both (docs/protocol.md §4.4).
func (f *seedFrame) sent() (inbound, error) {
	var d struct {
		MessageID jsontext.Value `json:"message_id"`
		Timestamp jsontext.Value `json:"timestamp"`
		Nonce     jsontext.Value `json:"nonce"`
		Seq       jsontext.Value `json:"seq"`
		Duplicate bool           `json:"duplicate"`
	}
	if f.Data != nil {
		if err := object(f.Data, &d); err != nil {
			return nil, err
		}
	}
	id, err := number(either(d.MessageID, f.MessageID))
	if err != nil {
		return nil, fmt.Errorf("message_id: %w", err)
	}
	in := sentFrame{Sent{ID: int64(id), Nonce: nonce(d.Nonce), Duplicate: d.Duplicate}}
	if s, ok := text(either(d.Timestamp, f.Timestamp)); ok {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, fmt.Errorf("timestamp: %w", err)
		}
		in.sent.At = at.UTC()
	}
	if d.Seq != nil {
		if in.sent.Seq, err = number(d.Seq); err != nil {
			return nil, fmt.Errorf("seq: %w", err)
		}
	}
	return in, nil
}

func (f *seedFrame) refusal() (inbound, error) {
	var d struct {
		Message    jsontext.Value `json:"message"`
		Code       jsontext.Value `json:"code"`
		Retryable  jsontext.Value `json:"retryable"`
		RetryAfter jsontext.Value `json:"retry_after_ms"`
		Nonce      jsontext.Value `json:"nonce"`
	}
	if f.Data != nil {
		if err := object(f.Data, &d); err != nil {
			return nil, err
		}
	}
	code, ok := text(either(d.Code, f.Code))
	if !ok {
		return nil, errors.New("code is not a string")
	}
	message, _ := text(either(d.Message, f.Message))
	in := errorFrame{
		err:       &chat.Error{Code: chat.Code(code), Message: message},
		nonce:     nonce(d.Nonce),
		retryable: chat.Code(code).Retryable(),
	}
	in.re, _ = text(f.Re)
	switch d.Retryable.Kind() {
	case 't':
		in.retryable = true
	case 'f':
		in.retryable = false
	}
	if ms, ok := milliseconds(d.RetryAfter); ok {
		in.err.RetryAfter = min(ms, maxRetryAfter)
	}
	return in, nil
}

// pong reads which ping is answered: re, or the ping's own id sent back, or
// nothing, as in the prototype.
func (f *seedFrame) pong() inbound {
	var d struct {
		ID jsontext.Value `json:"id"`
	}
	_ = object(f.Data, &d) // the prototype's pong has no data
	id, _ := text(either(f.Re, d.ID))
	return pongFrame{id: id}
}

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
