package observe

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// parseLine reads a line of the text handler back.
func parseLine(t *testing.T, line string) map[string]any {
	t.Helper()
	out := make(map[string]any)
	if at, err := time.Parse(time.TimeOnly, line[:min(8, len(line))]); err == nil {
		out[slog.TimeKey] = at
		line = line[9:]
	}
	out[slog.LevelKey] = strings.TrimSpace(line[:5])
	message, rest, _ := strings.Cut(line[6:], " ")
	out[slog.MessageKey] = message
	for rest != "" {
		key, value, ok := strings.Cut(rest, "=")
		if !ok {
			t.Fatalf("no value in %q", rest)
		}
		quoted, err := strconv.QuotedPrefix(value)
		if err != nil {
			quoted, _, _ = strings.Cut(value, " ")
		}
		rest = strings.TrimPrefix(value[len(quoted):], " ")
		put(out, strings.Split(key, "."), quoted)
	}
	return out
}

func put(m map[string]any, path []string, value string) {
	if len(path) == 1 {
		m[path[0]] = value
		return
	}
	inner, ok := m[path[0]].(map[string]any)
	if !ok {
		inner = make(map[string]any)
		m[path[0]] = inner
	}
	put(inner, path[1:], value)
}

func TestTextHandlerIsAHandler(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return newTextHandler(&out, slog.LevelInfo, false)
	}, func(t *testing.T) map[string]any {
		return parseLine(t, strings.TrimSuffix(out.String(), "\n"))
	})
}

func TestTextLines(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"plain", func(l *slog.Logger) { l.Info("serving", "listen", "127.0.0.1:8000", "n", 3) }, "INFO  serving listen=127.0.0.1:8000 n=3\n"},
		{"quoted", func(l *slog.Logger) { l.Error("stop", "error", errors.New("disk full"), "empty", "") }, `ERROR stop error="disk full" empty=""` + "\n"},
		{"one line stays one line", func(l *slog.Logger) { l.Warn("a\nb", "user", "x\nINFO y") }, `WARN  "a\nb" user="x\nINFO y"` + "\n"},
		{"no escape codes from outside", func(l *slog.Logger) { l.Info("hi", "user", "\x1b[2J\x1b") }, `INFO  hi user="\x1b[2J\x1b"` + "\n"},
		{"no overriding of direction", func(l *slog.Logger) { l.Info("hi", "user", "\u202eevil") }, `INFO  hi user="\u202eevil"` + "\n"},
		{"words of people", func(l *slog.Logger) { l.Info("hi", "user", "José🙂") }, "INFO  hi user=José🙂\n"},
		{"key from outside", func(l *slog.Logger) { l.Info("hi", "a b", 1) }, `INFO  hi "a b"=1` + "\n"},
		{"groups", func(l *slog.Logger) {
			l.With("a", 1).WithGroup("g").With("b", 2).Info("hi", "c", 3, slog.Group("h", "d", 4))
		}, "INFO  hi a=1 g.b=2 g.c=3 g.h.d=4\n"},
		{"text of a value", func(l *slog.Logger) {
			l.Info("hi", "ip", netip.MustParseAddr("::1"), "after", time.Second, "at", time.Unix(0, 0))
		}, "INFO  hi ip=::1 after=1s at=1970-01-01T00:00:00Z\n"},
		{"below the level", func(l *slog.Logger) { l.Debug("hi") }, ""},
	} {
		var out bytes.Buffer
		test.log(NewLogger(&out, LogOptions{}))
		got := out.String()
		if got != "" {
			got = got[len("15:04:05 "):]
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestColorOnlyWhenAsked(t *testing.T) {
	for _, test := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelDebug, "\x1b[2mDEBUG\x1b[0m hi\n"},
		{slog.LevelInfo, "INFO  hi\n"},
		{slog.LevelWarn, "\x1b[33mWARN \x1b[0m hi\n"},
		{slog.LevelError, "\x1b[31mERROR\x1b[0m hi\n"},
	} {
		for _, o := range []LogOptions{{Color: true}, {}, {JSON: true}} {
			o.Level = slog.LevelDebug
			var out bytes.Buffer
			NewLogger(&out, o).Log(t.Context(), test.level, "hi")
			got := out.String()
			if o.Color && got[len("15:04:05 "):] != test.want {
				t.Errorf("%v in colour: %q, want %q", test.level, got, test.want)
			}
			if !o.Color && strings.Contains(got, "\x1b") {
				t.Errorf("%v without colour: %q has an escape code", test.level, got)
			}
		}
	}
}

func TestJSONLines(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, LogOptions{JSON: true, Level: slog.LevelWarn})
	log.Info("not this")
	log.Warn("slow", "room_id", "1")
	want := `"level":"WARN","msg":"slow","room_id":"1"}` + "\n"
	if got := out.String(); !strings.HasPrefix(got, `{"time":"`) || !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("log = %q, want one line that ends in %q", got, want)
	}
}
