package redis

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/internal/bus/local"
	"tertulia/internal/presence"
)

// The side that gets through may be the one that notices how long the other
// has not. What is logged is why the other does not.
func TestHealthSaysTheErrorOfWhoFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := local.New()
		defer events.Close()
		tracker := presence.New(presence.Config{Bus: events})
		defer tracker.Close()
		var log bytes.Buffer
		h := &health{tracker: tracker, log: slog.New(slog.NewJSONHandler(&log, nil)), counts: new(Counts)}
		h.begun(time.Second)
		h.note(t.Context(), hearing, errors.New("an earlier one"))
		h.note(t.Context(), hearing, errors.New("no route"))
		time.Sleep(2 * time.Second)
		h.note(t.Context(), telling, nil)
		if _, err := h.read(); err == nil || err.Error() != "no route" || !strings.Contains(log.String(), `"error":"no route"`) {
			t.Errorf("read = %v and the log is %s, want the error of the side that fails", err, &log)
		}
		h.note(t.Context(), hearing, nil)
		if since, err := h.read(); err != nil || !since.IsZero() || h.counts.Failed.Value() != 2 {
			t.Errorf("read = %v, %v and %d failures after all got through, want none and 2", since, err, h.counts.Failed.Value())
		}
	})
}
