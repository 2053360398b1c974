package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"tertulia/internal/websocket"
)

// run owns the client's goroutines: itself, which writes and keeps the time,
// one link at a time, which connects and reads, beside it a call of the token
// source, and the keeper. It returns when the client has ended and they are
// joined.
func (c *Client) run(ctx context.Context) {
	defer close(c.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var joined sync.WaitGroup
	if c.keeper != nil {
		joined.Go(c.keeper.run)
	}
	var l *link
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w, sock, next := c.work()
		if w.closed {
			c.finish(cancel, sock, l, &joined)
			return
		}
		if w.dial {
			l.join() // it has reported its loss and is about to return
			l = c.newLink(ctx, w.number)
		}
		if w.renew {
			l.renewals.Go(func() { c.renew(l.ctx) })
		}
		if len(w.frames) > 0 {
			c.write(ctx, sock, w.frames)
		}
		if w.drop && sock != nil {
			sock.abort()
		}
		timer.Reset(next)
		select {
		case <-c.wakeRun:
		case <-timer.C:
		}
	}
}

// work asks the protocol what to do, on which socket, and how long the answer
// holds.
func (c *Client) work() (w work, sock *socket, next time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.p.tick(now)
	w = c.p.work(now)
	if len(c.p.events) > 0 {
		c.collect()
	}
	next = time.Hour
	if at := c.p.deadline(now); !at.IsZero() {
		next = max(0, at.Sub(now))
	}
	return w, c.sock, next
}

func (c *Client) write(ctx context.Context, sock *socket, frames []outFrame) {
	if c.opt.trace != nil {
		for _, f := range frames {
			if f.op == websocket.Text && !f.secret {
				c.opt.trace(Posted, f.payload)
			}
		}
	}
	if err := sock.write(ctx, frames); err != nil {
		c.do(func(time.Time) { c.p.broken(err) })
		// A close frame that says why may still wait to be read.
		sock.abortSoon()
	}
}

// finish ends the connection politely, saves the state and waits for all.
func (c *Client) finish(cancel func(), sock *socket, l *link, joined *sync.WaitGroup) {
	cancel()
	if sock != nil {
		sock.sendClose(websocket.CodeNormal)
	}
	l.join()
	close(c.stopping)
	joined.Wait()
	if c.keeper != nil {
		c.keeper.save()
	}
}

// link is one connection, from the attempt to make it to its end. The run loop
// owns it.
type link struct {
	ctx      context.Context // ends with the connection
	done     chan struct{}   // closed when connect has returned
	renewals sync.WaitGroup  // the call of the token source under way
}

func (c *Client) newLink(ctx context.Context, number int) *link {
	ctx, end := context.WithCancel(ctx)
	l := &link{ctx: ctx, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer end()
		c.connect(ctx, number)
	}()
	return l
}

// join waits until nothing of the link is left; nil is none.
func (l *link) join() {
	if l != nil {
		<-l.done
		l.renewals.Wait()
	}
}

// connect makes one connection and reads from it until it is lost.
func (c *Client) connect(ctx context.Context, number int) {
	err := c.converse(ctx, number)
	c.opt.logger.Debug("the connection ended", "error", err)
	c.do(func(now time.Time) {
		c.sock = nil
		c.p.lost(now, err)
	})
}

func (c *Client) converse(ctx context.Context, number int) error {
	target, header, err := c.opt.target(ctx, number)
	if err != nil {
		return err
	}
	sock, err := c.dialer.open(ctx, target, header)
	if err != nil {
		return err
	}
	defer sock.close()
	wanted := false
	c.do(func(now time.Time) {
		if wanted = c.p.opened(now); wanted {
			c.sock = sock
		}
	})
	if !wanted {
		return ErrOffline
	}
	for {
		op, payload, err := sock.read()
		if err != nil {
			answerClose(sock, err)
			return err
		}
		c.take(op, payload)
	}
}

// take gives one frame to the protocol.
func (c *Client) take(op websocket.Opcode, payload []byte) {
	if op == websocket.Text {
		if c.opt.trace != nil {
			c.opt.trace(Received, payload)
		}
		in := decode(payload)
		c.do(func(now time.Time) { c.p.received(now, in) })
		return
	}
	c.do(func(now time.Time) {
		c.p.heard(now)
		if op == websocket.Ping {
			c.p.pinged(payload)
		}
	})
}

// answerClose completes the closing handshake if the server began it, and
// tells the server if it has broken the protocol (RFC 6455 §5.5.1, §7.1.7).
func answerClose(sock *socket, err error) {
	if c, ok := errors.AsType[*CloseError](err); ok {
		sock.sendClose(uint16(c.Code))
	}
	if c, ok := errors.AsType[*websocket.CloseError](err); ok {
		sock.sendClose(c.Code)
	}
}
