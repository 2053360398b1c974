package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

const (
	// maxBodyBytes bounds the body of a request, docs/protocol.md §30.
	maxBodyBytes = 64 << 10
	// bodyTimeout bounds the time that a body takes to arrive.
	bodyTimeout = 5 * time.Second
)

var errBodyTooLarge = chat.Errorf(chat.TooLarge, "The body has more than %d bytes.", maxBodyBytes)

// withBody reads the body of a request whose operation takes one. A body that
// is announced as too large is refused before any of it is read.
func withBody(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	body, err := readBody(w, r)
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(ctx)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, chat.Errorf(chat.UnsupportedMedia, "The body must be JSON; say so with Content-Type: application/json.")
	}
	if r.ContentLength > maxBodyBytes {
		return nil, errBodyTooLarge
	}
	// The deadline is for the body alone: the connection is read from while the
	// handler works, too. A writer without deadlines is a test's.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	_ = control.SetReadDeadline(time.Time{})
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errBodyTooLarge
	}
	if err != nil {
		return nil, chat.Errorf(chat.InvalidJSON, "The body did not arrive whole within %s.", bodyTimeout)
	}
	return body, nil
}

// isJSON reports whether a media type is JSON in UTF-8.
func isJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// strictJSON is how bodies are read and written: JSON that two readers could
// understand differently is refused (docs/protocol.md §3.2).
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		if err := json.MarshalWrite(w, v, jsontext.WithIndent("  ")); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n") // for people at a terminal
		return err
	},
	Unmarshal: func(data []byte, v any) error {
		err := json.Unmarshal(data, v)
		if err == nil {
			return nil
		}
		if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			if errors.Is(e.Err, jsontext.ErrDuplicateName) {
				return fmt.Errorf("The body has a member twice (character %d).", e.ByteOffset+1)
			}
			return fmt.Errorf("The body is not valid JSON (character %d).", e.ByteOffset+1)
		}
		return errors.New("The body holds a value that does not fit.")
	},
}
