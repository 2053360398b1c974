// Package circle has the trackers of several nodes in one process hear
// each other, without Redis, for tests of what stands on them. It works under
// testing/synctest.
package circle

import (
	"fmt"
	"sync"

	"tertulia/internal/presence"
)

// Circle carries what each of some trackers says to the others, in order and
// soon.
type Circle struct {
	trackers []*presence.Tracker

	mu      sync.Mutex
	changed sync.Cond // with mu
	waiting []said
	busy    bool // carries what was waiting
	closed  bool
	ended   chan struct{}
}

// said is a statement of the tracker with this number.
type said struct {
	by        int
	statement presence.Statement
}

// Join makes a circle of trackers that nobody has joined yet.
func Join(trackers ...*presence.Tracker) *Circle {
	c := &Circle{trackers: trackers, ended: make(chan struct{})}
	c.changed.L = &c.mu
	for i, t := range trackers {
		t.TellTo(func(s presence.Statement) { c.put(said{i, s}) })
	}
	go c.carry()
	return c
}

func (c *Circle) put(s said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, s)
	c.changed.Broadcast()
}

// carry runs until the circle is closed.
func (c *Circle) carry() {
	defer close(c.ended)
	for batch := c.take(); batch != nil; batch = c.take() {
		for _, s := range batch {
			for i, t := range c.trackers {
				if i != s.by {
					t.Said(fmt.Sprint(s.by), []presence.Statement{s.statement})
				}
			}
		}
	}
}

// take waits for something to carry; nil is the end.
func (c *Circle) take() (batch []said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.changed.Broadcast()
	for len(c.waiting) == 0 && !c.closed {
		c.changed.Wait()
	}
	batch, c.waiting = c.waiting, nil
	c.busy = true
	return batch
}

// Wait returns when every tracker has heard what any has said until now.
func (c *Circle) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.waiting) > 0 || c.busy) && !c.closed {
		c.changed.Wait()
	}
}

// Close ends the carrying, once what was said has been carried. The trackers
// are to be closed after it.
func (c *Circle) Close() {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	<-c.ended
}
