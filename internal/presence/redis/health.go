package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tertulia/internal/presence"
)

// side is one half of the work: what is said, or what is heard.
type side int

const (
	telling side = iota
	hearing
)

// health knows whether both halves get through.
type health struct {
	// Fixed after construction.
	tracker *presence.Tracker
	log     *slog.Logger
	counts  *Counts

	mu       sync.Mutex
	patience time.Duration // how long failing is nothing; 0 until begun
	failing  [2]failure    // by side
	degraded bool
}

// failure is what keeps a side from getting through.
type failure struct {
	since time.Time // zero if it gets through
	err   error     // the latest
}

// begun says that the first exchanges are over. One that failed has told that
// nothing is known; from now on a failure may be nothing.
func (h *health) begun(patience time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.patience = patience
}

// note takes the outcome of an exchange with Redis, unless ctx, whose end is
// nobody's fault, has ended it.
func (h *health) note(ctx context.Context, s side, err error) {
	if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return
	}
	if err != nil {
		h.counts.Failed.Inc()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch f := &h.failing[s]; {
	case err == nil:
		*f = failure{}
	case f.since.IsZero():
		*f = failure{time.Now(), err}
	default:
		f.err = err
	}
	first := h.first()
	degraded := !first.since.IsZero() && (h.degraded || time.Since(first.since) >= h.patience)
	if degraded == h.degraded {
		return
	}
	h.degraded = degraded
	h.tracker.SetDegraded(degraded)
	if degraded {
		h.log.Warn("presence of other nodes is not known to be right; Redis does not do what it is asked to", "error", first.err)
	} else {
		h.log.Info("presence of other nodes is known again")
	}
}

// first returns the failure that began first; zero if nothing fails. mu is
// held.
func (h *health) first() failure {
	a, b := h.failing[telling], h.failing[hearing]
	if a.since.IsZero() || !b.since.IsZero() && b.since.Before(a.since) {
		return b
	}
	return a
}

// tells reports whether what this node says gets through.
func (h *health) tells() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing[telling].since.IsZero()
}

func (h *health) read() (since time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.degraded {
		return time.Time{}, nil
	}
	first := h.first()
	return first.since, first.err
}
