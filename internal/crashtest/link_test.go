//go:build linux

package crashtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"

	"tertulia/chat"
)

// link is one connection to a room: the protocol in its barest form, without
// the product's own client, so that a mistake there hides nothing here.
type link struct {
	conn     net.Conn
	in       *bufio.Reader
	patience time.Duration // how long next waits for a frame; 0 is for ever
}

// event is what the checks need of a server's event.
type event struct {
	Type  string
	Seq   uint64
	Epoch string
	Tag   string
	Code  string
	Data  struct {
		ID        int64
		MessageID int64       `json:"message_id"`
		UserID    chat.UserID `json:"user_id"`
		Content   string
		Nonce     chat.Nonce
		Seq       uint64
		Duplicate bool
		Cursor    string
		Resumed   *bool
		Gap       struct{ Reason string }
	}
}

// dial connects and reads the connected event. query goes behind the identity;
// patience is the link's.
func dial(ctx context.Context, addr string, room chat.RoomID, user chat.UserID, query string, patience time.Duration) (*link, event, error) {
	u := fmt.Sprintf("ws://%s/ws/%s?user_id=%s&username=%s&%s", addr, url.PathEscape(string(room)), user, user, query)
	return dialBy(ctx, ws.Dialer{Timeout: patience}, u, patience)
}

// dialBy is dial with a URL and what goes with it.
func dialBy(ctx context.Context, d ws.Dialer, url string, patience time.Duration) (*link, event, error) {
	conn, early, _, err := d.Dial(ctx, url)
	if err != nil {
		return nil, event{}, err
	}
	l := &link{conn: conn, in: early, patience: patience}
	if l.in == nil {
		l.in = bufio.NewReaderSize(conn, 32<<10)
	}
	first, err := l.next()
	switch {
	case err == nil && first.Type == "error":
		err = refusedError(first.Code)
	case err == nil && first.Type != "connected":
		err = fmt.Errorf("first event is %q, want connected", first.Type)
	}
	if err != nil {
		conn.Close()
		return nil, event{}, err
	}
	return l, first, nil
}

// next returns the next event.
func (l *link) next() (event, error) {
	for {
		if l.patience > 0 {
			_ = l.conn.SetReadDeadline(time.Now().Add(l.patience)) // the read fails if this does
		}
		h, err := ws.ReadHeader(l.in)
		if err != nil {
			return event{}, err
		}
		if h.Length > 256<<10 { // protocol.md §9
			return event{}, fmt.Errorf("frame of %d bytes", h.Length)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(l.in, payload); err != nil {
			return event{}, err
		}
		switch h.OpCode {
		case ws.OpText:
			var e event
			err := json.Unmarshal(payload, &e, json.MatchCaseInsensitiveNames(true))
			if err != nil {
				return event{}, fmt.Errorf("event %.200s: %w", payload, err)
			}
			return e, nil
		case ws.OpPing:
			if _, err := l.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPongFrame(payload)))); err != nil {
				return event{}, err
			}
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return event{}, closedError{code, reason}
		default:
			return event{}, fmt.Errorf("unexpected opcode %d", h.OpCode)
		}
	}
}

// refusedError is the code of an error event.
type refusedError chat.Code

func (e refusedError) Error() string { return "refused with " + string(e) }

// closedError is a close frame from the server. A killed server sends none.
type closedError struct {
	code   ws.StatusCode
	reason string
}

func (e closedError) Error() string { return fmt.Sprintf("closed with %d %q", e.code, e.reason) }

// appendPost appends the frame that posts a message.
func appendPost(b []byte, nonce chat.Nonce, content string) []byte {
	command := append([]byte(`{"type":"message","nonce":`), chat.AppendQuote(nil, string(nonce))...)
	command = append(append(command, `,"content":`...), chat.AppendQuote(nil, content)...)
	return append(b, frame(append(command, '}'))...)
}

// frame makes a frame of a command. It is written in one call, so that frames
// of several goroutines do not mix.
func frame(command []byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(command)))
}

// isCrash reports whether err is how a killed server looks from outside.
func isCrash(err error) bool {
	_, closed := errors.AsType[closedError](err)
	_, network := errors.AsType[net.Error](err)
	return !closed && (network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

// contentOf reads the content out of a stored body.
func contentOf(body []byte) (string, error) {
	var b struct{ Content string }
	err := json.Unmarshal(body, &b, json.MatchCaseInsensitiveNames(true))
	return b.Content, err
}
