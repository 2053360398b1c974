package observe

import (
	"bytes"
	"context"
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
)

// textHandler writes log lines for people:
//
//	15:04:05 WARN  health check fails check=store error="disk full"
//
// Whatever would confuse a terminal or pass for another line is quoted.
type textHandler struct {
	level slog.Level
	color bool
	attrs []byte // of WithAttrs, formatted, each after a space
	group string // of WithGroup, each ending in a dot

	mu *sync.Mutex // shared by all handlers of one writer; guards w
	w  io.Writer
}

func newTextHandler(w io.Writer, level slog.Level, color bool) *textHandler {
	return &textHandler{level: level, color: color, mu: new(sync.Mutex), w: w}
}

func (h *textHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	var line []byte
	if !r.Time.IsZero() {
		line = r.Time.AppendFormat(line, time.TimeOnly)
		line = append(line, ' ')
	}
	line = h.appendLevel(line, r.Level)
	line = appendPlain(line, r.Message, isUnprintable)
	line = append(line, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		line = appendAttr(line, h.group, a)
		return true
	})
	line = append(line, '\n')

	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(line)
	return err
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = bytes.Clone(h.attrs)
	for _, a := range attrs {
		with.attrs = appendAttr(with.attrs, h.group, a)
	}
	return &with
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.group += name + "."
	return &with
}

// appendLevel appends the level, five letters wide, in its colour (ECMA-48
// §8.3.117, select graphic rendition).
func (h *textHandler) appendLevel(b []byte, l slog.Level) []byte {
	code := ""
	switch {
	case !h.color:
	case l >= slog.LevelError:
		code = "31" // red
	case l >= slog.LevelWarn:
		code = "33" // yellow
	case l < slog.LevelInfo:
		code = "2" // faint
	}
	if code == "" {
		return fmt.Appendf(b, "%-5s ", l)
	}
	return fmt.Appendf(b, "\x1b[%sm%-5s\x1b[0m ", code, l)
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Key == "" && v.Kind() != slog.KindGroup {
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			b = appendAttr(b, group, member)
		}
		return b
	}
	b = append(b, ' ')
	b = appendPlain(b, group+a.Key, needsQuotes)
	b = append(b, '=')
	text := valueText(v)
	if text == "" {
		return append(b, `""`...)
	}
	return appendPlain(b, text, needsQuotes)
}

func valueText(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case slog.KindAny:
		if m, ok := v.Any().(encoding.TextMarshaler); ok {
			if text, err := m.MarshalText(); err == nil {
				return string(text)
			}
		}
	}
	return v.String()
}

// appendPlain appends s as it is, or quoted if bad holds for one of its
// runes.
func appendPlain(b []byte, s string, bad func(rune) bool) []byte {
	for _, r := range s {
		if bad(r) {
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}

func isUnprintable(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }

func needsQuotes(r rune) bool { return r == ' ' || r == '=' || r == '"' || isUnprintable(r) }
