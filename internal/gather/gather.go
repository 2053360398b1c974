// Package gather joins what many ask for into few questions.
//
// A question by itself is asked at once. When so many come that a rate is used
// up, they wait for one another, no longer than the rate's step: what is asked
// of a store in a storm then grows with time and not with those who ask.
package gather

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"tertulia/internal/limit"
)

// maxKeys bounds one question. Who would exceed it begins the next one, and the
// full one is asked at once.
const maxKeys = 1000

// Gather asks for values by keys. Its methods may be called from any goroutine.
type Gather[K, V any] struct {
	ask     func(ctx context.Context, keys []K) ([]V, error)
	rate    limit.Rate
	within  time.Duration
	log     *slog.Logger
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	bucket limit.Bucket
	open   *question[K, V] // that takes more keys; nil if there is none
}

// question is what is asked at once.
type question[K, V any] struct {
	keys   []K
	asked  chan struct{} // closed when it takes no more keys
	done   chan struct{} // closed when the answer is there
	values []V
	err    error
}

// New returns a Gather whose questions ask answers, each within a time, and with
// a value for each key in their order. A question does not end because one of
// those who asked gives up, and a panic of ask is logged, and an error to all of
// them. The caller ends it with Close.
func New[K, V any](rate limit.Rate, within time.Duration, log *slog.Logger, ask func(ctx context.Context, keys []K) ([]V, error)) *Gather[K, V] {
	g := &Gather[K, V]{ask: ask, rate: rate, within: within, log: log}
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// Get returns the values of keys, at most maxKeys, all of which were looked for
// after the call began. The error is that of ask, or of ctx.
func (g *Gather[K, V]) Get(ctx context.Context, keys ...K) ([]V, error) {
	q, first, err := g.join(keys)
	if err != nil {
		return nil, err
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if q.err != nil {
		return nil, q.err
	}
	return q.values[first : first+len(keys)], nil
}

var errClosed = errors.New("gather: closed")

// join adds keys to the open question, and says where they are in it.
func (g *Gather[K, V]) join(keys []K) (q *question[K, V], first int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return nil, 0, errClosed
	}
	if g.open != nil && len(g.open.keys)+len(keys) > maxKeys {
		close(g.open.asked)
		g.open = nil
	}
	if g.open == nil {
		q := &question[K, V]{asked: make(chan struct{}), done: make(chan struct{})}
		g.open = q
		ok, wait := g.bucket.Allow(g.rate, 1)
		g.running.Go(func() { g.run(q, ok, wait) })
	}
	q = g.open
	first = len(q.keys)
	q.keys = append(q.keys, keys...)
	return q, first, nil
}

// run asks one question when the rate has place for it, or it is full.
func (g *Gather[K, V]) run(q *question[K, V], now bool, wait time.Duration) {
	defer close(q.done)
	if !now {
		g.pause(q, wait)
	}
	g.mu.Lock()
	if g.open == q {
		g.open = nil
	}
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(g.ctx, g.within)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("panic in a question", "panic", p, "stack", string(debug.Stack()))
			q.err = fmt.Errorf("gather: panic: %v", p)
		}
	}()
	q.values, q.err = g.ask(ctx, q.keys)
}

// pause waits until a question may be asked.
func (g *Gather[K, V]) pause(q *question[K, V], wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.asked:
	case <-g.ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bucket.Allow(g.rate, 1)
}

// Close ends the questions under way, with an error, and waits for them. Later
// ones are refused.
func (g *Gather[K, V]) Close() {
	g.mu.Lock()
	g.stop()
	g.mu.Unlock()
	g.running.Wait()
}
