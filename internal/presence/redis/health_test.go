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
		h := &health{tracker: tracker, log: slog.New(slog.NewJSONHandler(&log, nil))}
		h.begun(time.Second)
		h.note(t.Context(), hearing, errors.New("an earlier one"))
		h.note(t.Context(), hearing, errors.New("no route"))
		time.Sleep(2 * time.Second)
		h.note(t.Context(), telling, nil)
		if degraded, _ := h.read(); !degraded || !strings.Contains(log.String(), `"error":"no route"`) {
			t.Errorf("degraded is %v and the log %s, want true and the error of the side that fails", degraded, &log)
		}
		h.note(t.Context(), hearing, nil)
		if degraded, since := h.read(); degraded || !since.IsZero() {
			t.Errorf("degraded is %v since %v after all got through, want false", degraded, since)
		}
	})
}
