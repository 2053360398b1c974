package client

import (
	"context"
	"iter"
	"time"
)

// Events hands over what happens in the room, each event once, whichever call
// it is asked by; one consumer at a time keeps the order. The sequence goes on
// over lost connections. It ends
//
//   - without an error after [Room.Close],
//   - with a [*RefusedError] after a refusal,
//   - with the error of ctx when that ends; a later call goes on from there.
//
// Events that wait when the room ends are still handed over.
func (r *Room) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := r.next(ctx)
			if e == nil && err == nil {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// next waits for an event. Both results are nil at the end of the room.
func (r *Room) next(ctx context.Context) (Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		r.mu.Lock()
		e, ended := r.pop()
		r.mu.Unlock()
		switch {
		case e != nil:
			return e, nil
		case ended && isRefused(r.Err()):
			return nil, r.Err()
		case ended:
			return nil, nil
		}
		select {
		case <-r.ready:
		case <-r.ended:
		case <-ctx.Done():
		}
	}
}

// pop takes the first event of the queue; ended reports that none will follow.
func (r *Room) pop() (e Event, ended bool) {
	if len(r.queue) == 0 {
		return nil, r.p.status.State == Closed
	}
	first := r.queue[0]
	r.queue[0] = item{}
	r.queue = r.queue[1:]
	r.taken = first.cursor
	if !r.full() {
		wake(r.space)
	}
	if len(r.queue) > 0 {
		wake(r.ready) // for another consumer
	}
	return first.event, false
}

// collect moves the protocol's events to the queue. Changes of state that
// meet a full queue replace each other, the newest staying: nothing else is
// made while the reader waits for space.
func (r *Room) collect() {
	for _, it := range r.p.events {
		if change, ok := it.event.(StateChanged); ok {
			close(r.changed)
			r.changed = make(chan struct{})
			if r.mergeLast(change) {
				continue
			}
		}
		if !r.opt.SendOnly {
			r.queue = append(r.queue, it)
		}
	}
	clear(r.p.events)
	r.p.events = r.p.events[:0]
	if len(r.queue) > 0 || r.p.status.State == Closed {
		wake(r.ready)
	}
}

func (r *Room) mergeLast(change StateChanged) bool {
	last := len(r.queue) - 1
	if last+1 < r.opt.Buffer {
		return false
	}
	old, ok := r.queue[last].event.(StateChanged)
	if ok {
		change.Previous = old.Previous
		r.queue[last].event = change
	}
	return ok
}

// full reports whether the reader has to wait. The change of state that an
// attempt to connect begins with is not what fills the queue: a consumer may
// wait for the connection before it takes anything.
func (r *Room) full() bool { return len(r.queue) > r.opt.Buffer }

// awaitSpace waits until the consumer has room for more events, or ctx ends.
func (r *Room) awaitSpace(ctx context.Context) {
	r.mu.Lock()
	full := r.full()
	if full {
		r.p.stall(true, time.Now())
	}
	r.mu.Unlock()
	if !full {
		return
	}
	for full && ctx.Err() == nil {
		select {
		case <-r.space:
		case <-ctx.Done():
		}
		r.mu.Lock()
		full = r.full()
		r.mu.Unlock()
	}
	r.do(func(now time.Time) { r.p.stall(false, now) })
}
