// Package pipe is a transport that stays in memory. One side of a [Pipe] is a
// hub.Transport; the other is the peer, who takes bytes as fast or as slowly
// as a test has it. What goes through it are whole frames in any form.
package pipe

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// Unlimited is the window of a peer that takes every byte at once.
const Unlimited = -1

// errAborted is what writing to a closed pipe returns.
var errAborted = errors.New("pipe: closed")

// ErrSlow is how reading ends for a peer that was too slow.
var ErrSlow = errors.New("pipe: the peer was too slow")

// Pipe is one connection. Its methods may be called from any goroutine.
type Pipe struct {
	// Fixed after construction.
	writeTimeout time.Duration

	mu     sync.Mutex
	window int    // bytes that go without waiting, or Unlimited
	taken  []byte // everything that has gone
	read   int    // bytes of taken that Read has returned
	state  State
	change chan struct{} // closed and replaced whenever anything changes
}

// State is what has become of a pipe.
type State struct {
	Writes   int  // that took bytes
	Finished bool // Finish was called
	Aborted  bool // Abort was called
	Slow     bool // a Write has timed out
}

// New returns a pipe that takes window bytes more than its peer has taken out
// with Read or allowed with Allow.
func New(window int, writeTimeout time.Duration) *Pipe {
	return &Pipe{writeTimeout: writeTimeout, window: window, change: make(chan struct{})}
}

// TryWrite implements hub.Transport.
func (p *Pipe) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed() {
		return 0, errAborted
	}
	n := len(b)
	if p.window != Unlimited {
		n = min(n, p.window)
		p.window -= n
	}
	if n > 0 {
		p.taken = append(p.taken, b[:n]...)
		p.state.Writes++
		p.changed()
	}
	return n, nil
}

// Write implements hub.Transport.
func (p *Pipe) Write(batch []byte, sent int) error {
	timeout := time.NewTimer(p.writeTimeout)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		change := p.change
		p.mu.Unlock()
		n, err := p.TryWrite(batch[sent:])
		if sent += n; err != nil || sent == len(batch) {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-change:
		case <-timeout.C:
			p.set(func(s *State) { s.Slow = true })
			return ErrSlow
		}
	}
}

// Finish implements hub.Transport. A peer in memory has nothing to answer.
func (p *Pipe) Finish() { p.set(func(s *State) { s.Finished = true }) }

// Abort implements hub.Transport.
func (p *Pipe) Abort() { p.set(func(s *State) { s.Aborted = true }) }

// Allow lets n bytes more go without waiting.
func (p *Pipe) Allow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.window != Unlimited {
		p.window += n
	}
	p.changed()
}

// Read takes out bytes that have gone through the pipe, which makes room for
// as many. It waits for them; after the last it returns [io.EOF] from a pipe
// that was finished, [ErrSlow] from one that has timed out, and
// [io.ErrUnexpectedEOF] from one that was aborted.
func (p *Pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		n := copy(b, p.taken[p.read:])
		err := p.end()
		change := p.change
		p.read += n
		p.mu.Unlock()
		switch {
		case n > 0:
			p.Allow(n)
			return n, nil
		case err != nil || len(b) == 0:
			return 0, err
		}
		<-change
	}
}

// end returns why nothing more will come, nil if something may. The caller
// holds mu.
func (p *Pipe) end() error {
	switch {
	case p.state.Slow:
		return ErrSlow
	case p.state.Aborted:
		return io.ErrUnexpectedEOF
	case p.state.Finished:
		return io.EOF
	}
	return nil
}

// Taken returns all bytes that have gone through the pipe, those that Read
// has returned included.
func (p *Pipe) Taken() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.taken)
}

// State returns what has become of the pipe.
func (p *Pipe) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *Pipe) set(f func(*State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.state)
	p.changed()
}

// closed reports whether nothing more goes. The caller holds mu.
func (p *Pipe) closed() bool { return p.state.Aborted || p.state.Finished }

// changed wakes everyone who waits. The caller holds mu.
func (p *Pipe) changed() {
	close(p.change)
	p.change = make(chan struct{})
}
