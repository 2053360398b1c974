package client

import (
	"context"
	"errors"
	"time"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// run owns the room's goroutines: itself, which writes and keeps the time, and
// one link at a time, which connects and reads. It returns when the room has
// ended and the link is joined.
func (r *Room) run(ctx context.Context) {
	defer close(r.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	link := make(chan struct{}) // closed when the last link has returned
	close(link)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w, sock, next := r.work()
		if w.closed {
			r.finish(cancel, sock, link)
			return
		}
		if w.dial {
			<-link // it has reported its loss and is about to return
			link = make(chan struct{})
			go r.link(ctx, w.cursor, link)
		}
		if len(w.frames) > 0 {
			r.write(ctx, sock, w.frames)
		}
		if w.drop && sock != nil {
			sock.abort()
		}
		timer.Reset(next)
		select {
		case <-r.wakeRun:
		case <-timer.C:
		}
	}
}

// work asks the protocol what to do, on which socket, and how long the answer
// holds.
func (r *Room) work() (w work, sock *socket, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.p.tick(now)
	w = r.p.work(now)
	r.collect()
	next = time.Hour
	if at := r.p.deadline(now); !at.IsZero() {
		next = max(0, at.Sub(now))
	}
	return w, r.sock, next
}

func (r *Room) write(ctx context.Context, sock *socket, frames []outFrame) {
	if r.opt.Trace != nil {
		for _, f := range frames {
			if f.op == websocket.Text {
				r.opt.Trace(Posted, f.payload)
			}
		}
	}
	if err := sock.write(ctx, frames); err != nil {
		r.do(func(time.Time) { r.p.broken(err) })
		// A close frame that says why may still wait to be read.
		sock.abortSoon()
	}
}

// finish ends the connection politely and waits for the link.
func (r *Room) finish(cancel func(), sock *socket, link <-chan struct{}) {
	cancel()
	if sock != nil {
		sock.sendClose(websocket.CodeNormal)
	}
	<-link
}

// link makes one connection and reads from it until it is lost.
func (r *Room) link(ctx context.Context, after chat.Cursor, done chan<- struct{}) {
	defer close(done)
	err := r.converse(ctx, after)
	r.do(func(now time.Time) {
		r.sock = nil
		r.p.lost(now, err)
	})
}

func (r *Room) converse(ctx context.Context, after chat.Cursor) error {
	r.awaitSpace(ctx)
	history := r.opt.History
	if r.opt.SendOnly {
		history = -1
	}
	sock, err := r.dialer.open(ctx, seedURL(r.base, r.opt.Room, r.opt.User, after, history))
	if err != nil {
		return err
	}
	defer sock.close()
	wanted := false
	r.do(func(now time.Time) {
		if wanted = r.p.opened(now); wanted {
			r.sock = sock
		}
	})
	if !wanted {
		return ErrClosed
	}
	for {
		r.awaitSpace(ctx)
		op, payload, err := sock.read()
		if err != nil {
			answerClose(sock, err)
			return err
		}
		r.take(op, payload)
	}
}

// take gives one frame to the protocol.
func (r *Room) take(op websocket.Opcode, payload []byte) {
	if op == websocket.Text {
		if r.opt.Trace != nil {
			r.opt.Trace(Received, payload)
		}
		in := decodeSeed(payload)
		r.do(func(now time.Time) { r.p.received(now, in) })
		return
	}
	r.do(func(now time.Time) {
		r.p.heard(now)
		if op == websocket.Ping {
			r.p.pinged(payload)
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
