package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"time"

	"tertulia/chat"
)

// Room is one user's place in one room: its connection, which comes back by
// itself, its outbox and its events. All methods may be called from any
// goroutine. A Room must be closed.
type Room struct {
	// Fixed after construction.
	opt    Options
	base   *url.URL
	dialer dialer
	cancel context.CancelFunc
	ended  chan struct{} // closed when every goroutine of the room has returned

	// One-slot channels that wake: the run loop, a consumer of events, the
	// reader that waits for the consumer.
	wakeRun, ready, space chan struct{}

	mu      sync.Mutex
	p       *protocol
	sock    *socket // of the present connection, nil between
	queue   []item  // events that wait for the consumer
	taken   chat.Cursor
	changed chan struct{} // closed and replaced at each change of state
}

// Open makes a room and begins to connect. It returns at once; posts made
// before the room is online wait in the outbox. The error says what is wrong
// with the options.
func Open(o Options) (*Room, error) {
	o, base, err := o.checked()
	if err != nil {
		return nil, fmt.Errorf("open room: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Room{
		opt:     o,
		base:    base,
		dialer:  dialer{dial: o.DialContext, tls: o.TLS},
		cancel:  cancel,
		ended:   make(chan struct{}),
		wakeRun: make(chan struct{}, 1),
		ready:   make(chan struct{}, 1),
		space:   make(chan struct{}, 1),
		p:       newProtocol(o, uniform),
		taken:   o.Cursor,
		changed: make(chan struct{}),
	}
	r.do(r.p.start)
	go r.run(ctx)
	return r, nil
}

// Dial is [Open], and waits until the room is online. If that fails, because
// ctx has ended or the server refuses ([*RefusedError]), the room is closed.
// It keeps trying for as long as ctx lets it.
func Dial(ctx context.Context, o Options) (*Room, error) {
	r, err := Open(o)
	if err != nil {
		return nil, err
	}
	if err := r.WaitOnline(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("dial %s: %w", r.base.Host, err)
	}
	return r, nil
}

// uniform returns a duration in [0, d).
func uniform(d time.Duration) time.Duration { return mathrand.N(d) }

// Close leaves: it sends a close frame, waits at most a second for the
// server's, and returns when no goroutine of the room is left. Pending posts
// fail with [ErrClosed], and [ErrUnknown] if they may be stored; wait for
// [Outgoing.Done] before, to flush. The error is always nil.
func (r *Room) Close() error {
	r.do(func(time.Time) { r.p.close() })
	r.cancel()
	<-r.ended
	return nil
}

// Done is closed when the room has ended, by Close or by a refusal, and no
// goroutine of it is left.
func (r *Room) Done() <-chan struct{} { return r.ended }

// Err returns why the room ended: [ErrClosed] or a [*RefusedError]; nil while
// it goes on.
func (r *Room) Err() error {
	if s := r.Status(); s.State == Closed {
		return s.Err
	}
	return nil
}

// Status returns the last change of state.
func (r *Room) Status() StateChanged {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.p.status
}

// WaitOnline waits until the room is online. The error is the room's end, or
// that of ctx together with what the last attempt failed with.
func (r *Room) WaitOnline(ctx context.Context) error {
	for {
		r.mu.Lock()
		status, last, changed := r.p.status, r.p.lastError, r.changed
		r.mu.Unlock()
		switch status.State {
		case Online:
			return nil
		case Closed:
			return status.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("%w; the last attempt: %w", context.Cause(ctx), last)
			}
			return context.Cause(ctx)
		}
	}
}

// Reconnect makes the next attempt at once if the room waits for it.
func (r *Room) Reconnect() { r.do(func(time.Time) { r.p.hurry() }) }

// Post puts a message into the outbox and returns at once. The handle is
// already failed if the message breaks a limit ([*chat.Error]), the outbox is
// full ([ErrOutboxFull]) or the room has ended.
func (r *Room) Post(text string) *Outgoing {
	return r.PostAs(newNonce(), text)
}

// newNonce returns a nonce that nobody else has: 128 random bits behind the time,
// so that a server keeps the nonces of one moment side by side, which spares it
// a page of its index for each.
func newNonce() chat.Nonce {
	return chat.Nonce(strconv.FormatInt(time.Now().UnixMilli(), 36) + rand.Text())
}

// PostAs is Post with a nonce of the caller's, 1 to 64 visible ASCII
// characters that no other message of this user in this room has. A program
// that keeps it with the text can post again after a crash without posting twice.
func (r *Room) PostAs(nonce chat.Nonce, text string) *Outgoing {
	o := &Outgoing{room: r, text: text, nonce: nonce, done: make(chan struct{})}
	r.do(func(now time.Time) { r.p.post(now, o) })
	return o
}

// Send posts a message and waits until the server has stored it. If ctx ends
// before, the post is withdrawn; the error then includes [ErrUnknown] if it
// may be stored already, and a [*PostError] in its chain has the nonce.
func (r *Room) Send(ctx context.Context, text string) (Sent, error) {
	o := r.Post(text)
	select {
	case <-o.done:
	case <-ctx.Done():
		r.do(func(time.Time) { r.p.withdraw(o, context.Cause(ctx)) })
		<-o.done // withdrawn, or settled just before
	}
	if o.err != nil {
		return Sent{}, &PostError{Nonce: o.nonce, Err: o.err}
	}
	return o.sent, nil
}

// cancelPost takes back a post that cannot be stored yet.
func (r *Room) cancelPost(o *Outgoing) (done bool) {
	r.do(func(time.Time) { done = !o.mayBeStored() && r.p.withdraw(o, ErrCanceled) })
	return done
}

// Typing tells the others that the user has begun or stopped to write. It is
// dropped if the room is not online, and repeated at most every 3 s.
func (r *Room) Typing(on bool) {
	r.do(func(now time.Time) { r.p.setTyping(now, on) })
}

// Ping measures a round trip through the server's session: it waits for the
// answers to earlier posts, as they are given in order. The error is
// [ErrOffline] if there is no connection or it breaks meanwhile.
func (r *Room) Ping(ctx context.Context) (time.Duration, error) {
	var g *pinging
	r.do(func(time.Time) { g = r.p.ping() })
	select {
	case <-g.done:
	case <-ctx.Done():
		r.do(func(time.Time) { r.p.endPing(g, 0, context.Cause(ctx)) })
		<-g.done
	}
	return g.rtt, g.err
}

// Cursor returns the place after the last event that was handed over. Its
// Epoch is empty before the first connection. To store it with the effect of
// a message take [Message.Cursor].
func (r *Room) Cursor() chat.Cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// do runs f on the protocol at the present instant, collects what comes of it
// and wakes whoever is concerned.
func (r *Room) do(f func(now time.Time)) {
	r.mu.Lock()
	f(time.Now())
	r.collect()
	r.mu.Unlock()
	wake(r.wakeRun)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// isRefused tells the end by a refusal from the end by Close.
func isRefused(err error) bool { return err != nil && !errors.Is(err, ErrClosed) }
