package observe

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/internal/capture"
)

// A flood of warnings is a few lines and the number of those left out, and
// hides neither another warning nor an error.
func TestWarningsAreBounded(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out capture.Buffer
			log := NewLogger(&out, LogOptions{JSON: asJSON})
			for i := range 1000 {
				log.With("conn_id", i).Warn("refuse a connection", "error", fmt.Sprint(i))
			}
			log.WithGroup("part").Warn("refuse a connection")
			log.Warn("cannot read the store")
			for range 2 * boundLines {
				log.Error("panic in a handshake")
				log.Info("drained")
			}
			lines := func(text string) (all []string) {
				for line := range strings.Lines(out.String()) {
					if strings.Contains(line, text) {
						all = append(all, line)
					}
				}
				return all
			}
			want := map[string]int{"refuse a connection": boundLines, "cannot read the store": 1, "panic in a handshake": 2 * boundLines, "drained": 2 * boundLines}
			for text, n := range want {
				if got := len(lines(text)); got != n {
					t.Errorf("%d lines say %q, want %d", got, text, n)
				}
			}
			time.Sleep(boundTime)
			synctest.Wait()
			left := lines("left_out")
			number := slices.ContainsFunc(left, func(l string) bool {
				return strings.Contains(l, "refuse a connection") && strings.Contains(l, fmt.Sprint(1001-boundLines))
			})
			if len(left) != 1 || !number {
				t.Errorf("after the time %q say what was left out, want one line with %d", left, 1001-boundLines)
			}
			log.Warn("refuse a connection", "error", "later")
			if len(lines("later")) != 1 {
				t.Error("a warning of the next moment is not written")
			}
			time.Sleep(boundTime)
		})
	}
}

// What goes through many goroutines at once is counted whole.
func TestBoundedByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out capture.Buffer
		log := slog.New(newBoundHandler(slog.NewJSONHandler(&out, nil)))
		for range 50 {
			go func() { log.Warn("refuse a connection") }()
		}
		time.Sleep(boundTime)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != boundLines+1 || !strings.Contains(out.String(), `"left_out":45`) {
			t.Errorf("%d lines were written, want %d and left_out 45: %s", n, boundLines+1, &out)
		}
	})
}
