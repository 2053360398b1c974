package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// boundTime is over what warnings are counted, and boundLines how many
	// lines of one message are written in it: a store that is down refuses
	// thousands of clients who come back, each for the same reason.
	boundTime  = time.Second
	boundLines = 5
)

// boundHandler bounds the warnings with the same message, whatever their
// attributes are. What was left out is told when the time is over: a line with
// the message and left_out, the number. Errors are written all; and so is
// what is less than a warning, for no trouble brings that about.
//
// The handlers that come of one by WithAttrs and WithGroup count together.
type boundHandler struct {
	slog.Handler
	bounds *bounds
}

// bounds are the messages of the last moment. A message is a constant of the
// program, so there are few.
type bounds struct {
	mu    sync.Mutex
	lines map[string]int // met so far, by message
}

func newBoundHandler(h slog.Handler) *boundHandler {
	return &boundHandler{h, &bounds{lines: make(map[string]int)}}
}

func (h *boundHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && !h.meet(r.Message) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// meet counts a line and reports whether it may be written.
func (h *boundHandler) meet(message string) bool {
	h.bounds.mu.Lock()
	defer h.bounds.mu.Unlock()
	n := h.bounds.lines[message]
	h.bounds.lines[message] = n + 1
	if n == 0 {
		time.AfterFunc(boundTime, func() { h.sum(message) })
	}
	return n < boundLines
}

// sum ends the time of a message and tells what was left out. Nobody is there
// to be told of an error.
func (h *boundHandler) sum(message string) {
	h.bounds.mu.Lock()
	left := h.bounds.lines[message] - boundLines
	delete(h.bounds.lines, message)
	h.bounds.mu.Unlock()
	if left > 0 {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, message, 0)
		r.AddAttrs(slog.Int("left_out", left))
		_ = h.Handler.Handle(context.Background(), r)
	}
}

func (h *boundHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &boundHandler{h.Handler.WithAttrs(attrs), h.bounds}
}

func (h *boundHandler) WithGroup(name string) slog.Handler {
	return &boundHandler{h.Handler.WithGroup(name), h.bounds}
}
