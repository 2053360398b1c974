package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

const (
	// minPause and maxPause bound the wait before a batch of unknown outcome
	// is run again; it doubles from one to the other. The first is about one
	// commit, so that a dropped connection costs nobody anything; the second
	// is the most that a store that has come back is left waiting.
	minPause = 4 * time.Millisecond
	maxPause = time.Second
	// patience is how long a batch may be with the store before its clients
	// are told that nobody knows.
	patience = 10 * time.Second
)

// commit stores a batch, answers it, and only then publishes it.
func (l *lane) commit(b *batch) {
	unwatch := l.watch(b)
	results, err := l.append(b)
	unwatch()
	l.resume()
	switch {
	case err == nil:
		l.forgetRights(results)
		l.answer(b, results)
		l.settle(b)
		l.logStored(b, results)
		l.out.publish(results)
	case errors.Is(err, store.ErrBroken):
		l.answerAll(b, errBroken)
		l.settle(b)
		l.broken(err)
	case errors.Is(err, store.ErrUnavailable):
		behind := l.takeBehind(b)
		l.answerAll(b, l.notStored())
		l.settle(b)
		l.answerAll(behind, errBehind)
	default:
		l.answerAll(b, errUnknown)
		l.settle(b)
	}
}

// takeBehind takes out of the queue what has come over the same connections, to
// the same rooms, as the posts of a batch that is not stored. Posts go with no
// other row, so the rest of the queue is as good as before.
func (l *lane) takeBehind(b *batch) *batch {
	type origin struct {
		conn uint32
		key  uint64
	}
	origins := make(map[origin]bool)
	for i := range b.waiters {
		if w := &b.waiters[i]; w.conn != 0 {
			origins[origin{w.conn, w.key}] = true
		}
	}
	behind := new(batch)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, queued := range l.queue {
		l.queuedBytes -= queued.moveTo(behind, func(w *waiter) bool { return origins[origin{w.conn, w.key}] })
	}
	l.queue = slices.DeleteFunc(l.queue, func(b *batch) bool { return len(b.rows) == 0 })
	return behind
}

// notStored is why a batch is not stored that the store would not take: it
// takes none either once the lane has been ended.
func (l *lane) notStored() *chat.Error {
	if l.ctx.Err() != nil {
		return l.why()
	}
	return errUnavailable
}

// append hands a batch to the store until its fate is known: whole, and the
// same slice, for the store may have filled in nonces. The error wraps
// store.ErrBroken, or store.ErrUnavailable if nothing was stored; any other
// means that the lane was ended before the outcome became known.
func (l *lane) append(b *batch) ([]store.Result, error) {
	pause := minPause
	for rerun := false; ; rerun = true {
		began := time.Now()
		results, err := l.store.Append(l.ctx, b.rows)
		l.note(err)
		switch {
		case err == nil && len(results) == len(b.rows):
			l.counts.StoreTime.ObserveSince(began)
			l.counts.Batch.Observe(int64(len(b.rows)))
			return results, nil
		case err == nil:
			return nil, fmt.Errorf("%d results for %d rows: %w", len(results), len(b.rows), store.ErrBroken)
		case errors.Is(err, store.ErrBroken):
			return nil, err
		case errors.Is(err, store.ErrUnavailable) && !rerun:
			// Of a rerun it would say nothing about the run before.
			return nil, err
		}
		if !l.pause(pause) {
			return nil, fmt.Errorf("ended with an unknown outcome: %w", context.Cause(l.ctx))
		}
		pause = min(2*pause, maxPause)
	}
}

// pause waits, and reports false if the lane is ended meanwhile.
func (l *lane) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// watch has stall called if b is with the store for longer than patience, be
// its outcome unknown or the store without any answer. It ends by unwatch,
// after which stall is not running.
func (l *lane) watch(b *batch) (unwatch func()) {
	over := false // guarded by l.late
	t := time.AfterFunc(patience, func() {
		l.late.Lock()
		defer l.late.Unlock()
		if !over {
			l.stall(b)
		}
	})
	return func() {
		t.Stop()
		l.late.Lock()
		defer l.late.Unlock()
		over = true
	}
}

// stall answers a batch whose outcome stays unknown, and what is queued behind
// it. Until resume no posts are taken: they could not be stored before this
// batch without losing their order.
func (l *lane) stall(b *batch) {
	l.log.Error("the outcome of a batch stays unknown; posts are refused until it is known", "rows", len(b.rows))
	l.mu.Lock()
	if l.refusal == nil {
		l.refusal = errStalled
	}
	l.mu.Unlock()
	l.answerAll(b, errUnknown)
	l.settle(b)
	l.dropQueue(errStalled)
}

// resume takes posts again after stall.
func (l *lane) resume() {
	l.mu.Lock()
	if l.refusal == errStalled {
		l.refusal = nil
	}
	l.mu.Unlock()
}

// dropQueue answers what is queued, none of which was tried.
func (l *lane) dropQueue(why *chat.Error) {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.queuedBytes = nil, 0
	l.mu.Unlock()
	for _, b := range queue {
		l.answerAll(b, why)
	}
}

// answer calls the callbacks of a batch that is stored, in order, unless that
// was done before.
func (l *lane) answer(b *batch, results []store.Result) {
	if b.answered {
		return
	}
	b.answered = true
	l.counts.stored(b, results)
	for i := range results {
		r := &results[i]
		if r.Err != nil {
			l.call(b.waiters[i].done, Posted{}, chat.AsError(l.explain(&b.rows[i], r.Err)))
			continue
		}
		l.call(b.waiters[i].done, Posted{Event: r.Event, Duplicate: r.Duplicate}, nil)
	}
}

// answerAll is answer for a batch that is not stored, or not known to be.
func (l *lane) answerAll(b *batch, why *chat.Error) {
	if b.answered {
		return
	}
	b.answered = true
	l.counts.dropped(b, why)
	for i := range b.waiters {
		l.call(b.waiters[i].done, Posted{}, why)
	}
}

// call keeps the journal alive through a callback that panics.
func (l *lane) call(done func(Posted, error), p Posted, err error) {
	defer func() {
		if v := recover(); v != nil {
			l.log.Error("the callback of a post panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	done(p, err)
}

// note logs when the store stops storing and when it stores again, not each
// attempt.
func (l *lane) note(err error) {
	switch failing := err != nil; {
	case failing && !l.failing:
		l.log.Warn("the store does not store", "error", err)
	case !failing && l.failing:
		l.log.Info("the store stores again")
	}
	l.failing = err != nil
}

// logStored writes one line for each message of a batch, without its text.
// The duration is from Post to the answer.
func (l *lane) logStored(b *batch, results []store.Result) {
	if !l.log.Enabled(l.ctx, slog.LevelDebug) {
		return
	}
	now := time.Now()
	for i := range results {
		e, postedAt := &results[i].Event, b.waiters[i].postedAt
		if results[i].Err != nil || postedAt.IsZero() {
			continue
		}
		l.log.LogAttrs(l.ctx, slog.LevelDebug, "message stored",
			slog.String("room_id", string(e.Room)), slog.Uint64("seq", e.Seq), slog.Int64("id", e.ID), slog.String("nonce", string(e.Nonce)),
			slog.String("user_id", string(e.Actor.ID)), slog.Float64("duration_ms", now.Sub(postedAt).Seconds()*1e3))
	}
}
