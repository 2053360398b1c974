package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"
	"sync"
	"time"

	"tertulia/chat"
)

// Client is one user's connection, which comes back by itself, with the rooms
// that it is subscribed to and its outbox. All methods may be called from any
// goroutine. A Client must be closed.
type Client struct {
	// Fixed after construction.
	opt      *options
	dialer   dialer
	keeper   *keeper // nil without a Store
	cancel   context.CancelFunc
	stopping chan struct{} // closed when the keeper shall stop
	ended    chan struct{} // closed when every goroutine of the client has returned

	wakeRun chan struct{} // one-slot

	mu      sync.Mutex
	p       *protocol
	sock    *socket // of the present connection, nil between
	streams map[*stream]bool
	changed chan struct{} // closed and replaced whenever something happens
}

// Open makes a client and begins to connect. It returns at once; posts made
// before the client is online wait in the outbox. The error says what is wrong
// with the options, or that the Store cannot be read.
func Open(url string, opts ...Option) (*Client, error) {
	o, err := newOptions(url, opts)
	if err != nil {
		return nil, fmt.Errorf("open client: %w", err)
	}
	var kept Kept
	if o.store != nil {
		if kept, err = o.store.Load(); err != nil {
			return nil, fmt.Errorf("open client: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		opt:      o,
		dialer:   dialer{dial: o.dial, tls: o.tls},
		cancel:   cancel,
		stopping: make(chan struct{}),
		ended:    make(chan struct{}),
		wakeRun:  make(chan struct{}, 1),
		p:        newProtocol(o, kept),
		streams:  map[*stream]bool{},
		changed:  make(chan struct{}),
	}
	c.restore(kept.Posts)
	c.do(func(time.Time) { c.p.connect() })
	if o.store != nil {
		c.keeper = &keeper{client: c, store: o.store, wake: make(chan struct{}, 1)}
	}
	go c.run(ctx)
	return c, nil
}

// Dial is [Open], and waits until the client is online. If that fails, because
// ctx has ended or the server refuses ([*RefusedError]), the client is closed.
// It keeps trying for as long as ctx lets it.
func Dial(ctx context.Context, url string, opts ...Option) (*Client, error) {
	c, err := Open(url, opts...)
	if err != nil {
		return nil, err
	}
	if err := c.WaitOnline(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("dial %s: %w", c.opt.servers[0].Host, err)
	}
	return c, nil
}

// uniform returns a duration in [0, d).
func uniform(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return mathrand.N(d)
}

// Close leaves: it sends a close frame, waits at most a second for the
// server's, saves what the Store keeps, and returns when no goroutine of the
// client is left. Pending posts fail with [ErrClosed], and [ErrUnknown] if they
// may be stored; with a Store they stay there for the next client. To flush, wait
// for [Outgoing.Done] before. The error is always nil.
func (c *Client) Close() error {
	c.do(func(time.Time) { c.p.close() })
	c.cancel()
	<-c.ended
	return nil
}

// Done is closed when the client has ended, by Close or by a refusal, and no
// goroutine of it is left.
func (c *Client) Done() <-chan struct{} { return c.ended }

// Err returns why the client ended: [ErrClosed] or a [*RefusedError]; nil
// while it goes on.
func (c *Client) Err() error {
	if s := c.Status(); s.State == Closed {
		return s.Err
	}
	return nil
}

// Status returns the last change of state.
func (c *Client) Status() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.p.status
}

// Session returns what the server said with hello; the zero value before.
func (c *Client) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.p.session
}

// WaitOnline waits until the client is online. The error is the client's end,
// or that of ctx together with what the last attempt failed with.
func (c *Client) WaitOnline(ctx context.Context) error {
	err := c.await(ctx, func() (bool, error) {
		switch c.p.status.State {
		case Online:
			return true, nil
		case Closed:
			return true, c.p.status.Err
		}
		return false, nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && ctx.Err() != nil && c.p.lastError != nil && c.p.status.State != Closed {
		return fmt.Errorf("%w; the last attempt: %w", err, c.p.lastError)
	}
	return err
}

// await waits until done says so, under the lock, or ctx ends.
func (c *Client) await(ctx context.Context, done func() (bool, error)) error {
	for {
		c.mu.Lock()
		ok, err := done()
		changed := c.changed
		c.mu.Unlock()
		if ok {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Reconnect makes the next attempt at once if the client waits for it or is
// offline.
func (c *Client) Reconnect() { c.do(func(time.Time) { c.p.hurry() }) }

// GoOffline ends the connection and tries no more until [Client.Reconnect],
// for a program that knows that there is no network.
func (c *Client) GoOffline() { c.do(func(time.Time) { c.p.goOffline() }) }

// Outbox returns what waits for an acknowledgement, oldest first; after a
// restart this is also what the Store kept.
func (c *Client) Outbox() []*Outgoing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Outgoing(nil), c.p.outbox...)
}

// WatchInbox has [Client.Events] tell of the user's rooms: a [RoomChanged] for
// each room of the list, then [RoomChanged] and [Unread] as things change. A
// server that has no inbox answers with [Unsubscribed].
func (c *Client) WatchInbox() {
	c.do(func(time.Time) { c.p.subscribe(inboxRoom, subscribeOptions{}) })
}

// Ping measures a round trip through the server's session: it waits for the
// answers to earlier posts, as they are given in order. The error is
// [ErrOffline] if there is no connection or it breaks meanwhile.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	r := &request{prefix: "p", once: true, encode: func(b []byte, id string) []byte {
		return append(appendCommand(b, "ping", id, ""), '}')
	}}
	err := c.ask(ctx, r)
	return r.rtt, err
}

// post puts o into the outbox. With a Store it waits until the Store has it.
func (c *Client) post(o *Outgoing) *Outgoing {
	o.client, o.done = c, make(chan struct{})
	c.do(func(now time.Time) { c.p.post(now, o) })
	if c.keeper == nil {
		return o
	}
	wake(c.keeper.wake)
	c.await(context.Background(), func() (bool, error) { return o.kept || o.settled, nil })
	return o
}

// send posts o and waits for its end. If ctx ends before, the post is
// withdrawn.
func (c *Client) send(ctx context.Context, o *Outgoing) (Sent, error) {
	c.post(o)
	select {
	case <-o.Done():
	case <-ctx.Done():
		c.do(func(time.Time) { c.p.withdraw(o, context.Cause(ctx)) })
	}
	sent, err := o.Result()
	if err != nil {
		return Sent{}, &PostError{Nonce: o.nonce, Err: err}
	}
	return sent, nil
}

// newNonce returns a nonce that nobody else has: 128 random bits behind the time,
// so that a server keeps the nonces of one moment side by side, which spares it
// a page of its index for each.
func newNonce() chat.Nonce {
	return chat.Nonce(strconv.FormatInt(time.Now().UnixMilli(), 36) + rand.Text())
}

// do runs f on the protocol at the present instant, collects what comes of it
// and wakes whoever is concerned.
func (c *Client) do(f func(now time.Time)) {
	c.mu.Lock()
	f(time.Now())
	c.collect()
	c.mu.Unlock()
	wake(c.wakeRun)
}

// collect gives the protocol's loose events to the streams, and wakes all
// that may have something to do. The client's mu is held.
func (c *Client) collect() {
	for s := range c.streams {
		if s.room == "" && len(s.readers) < len(c.p.rooms) {
			s.joinNew(c.p.rooms)
		}
		for _, l := range c.p.events {
			s.offer(l)
		}
		wake(s.ready)
	}
	c.p.events = nil
	close(c.changed)
	c.changed = make(chan struct{})
}

// joinNew adds a reader in each room that has none.
func (s *stream) joinNew(rooms map[chat.RoomID]*subscription) {
	for room, sub := range rooms {
		if s.readerOf(room) == nil {
			s.join(sub, chat.Cursor{})
		}
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// isRefused tells the end by a refusal from the end by Close.
func isRefused(err error) bool { return err != nil && !errors.Is(err, ErrClosed) }
