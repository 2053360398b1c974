package client

import (
	"context"
	"iter"
	"slices"
	"time"

	"tertulia/chat"
)

// maxLoose bounds the events without a place in a log that wait for a reader.
// Beyond it typing, receipts and the like are lost first, oldest first.
const maxLoose = 2048

// stream is one run of an iterator over the events of a room, or of all. Its
// reader in each room is a cursor in the room's tail; one that the tail has
// passed by reads from the server what it needs, at its own pace. So a slow
// program costs no memory and holds nobody up.
type stream struct {
	client *Client
	room   chat.RoomID   // empty: all rooms
	ready  chan struct{} // one-slot: there may be something to hand over

	// Guarded by the client's mu.
	readers []*reader
	next    int // the reader whose turn it is
	loose   []loose
}

// reader is a stream's place in one room. The client's mu guards it.
type reader struct {
	sub   *subscription
	begun bool
	life  int         // the log that at belongs to
	at    chat.Cursor // the last event handed over
	took  chat.Cursor // the last event that the program is done with
	said  int         // caught_ups passed on
	page  []item      // read from the server, to be handed over first
	ended bool        // Unsubscribed was handed over
}

// delivery is an event on its way to the program, and what it does to the
// reader when it was taken.
type delivery struct {
	event  Event
	reader *reader
	at     chat.Cursor
	err    error // ends the stream
}

// EventsOption changes where an iterator begins.
type EventsOption func(*eventsOptions)

type eventsOptions struct{ from chat.Cursor }

// From begins after the event with this cursor instead of after the last one
// that was taken.
func From(c chat.Cursor) EventsOption { return func(o *eventsOptions) { o.from = c } }

// Events hands over what happens in all rooms that the client is subscribed
// to, now or later, and with the connection. Each room continues after the last
// event that was taken. See [Room.Events].
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := &stream{client: c, ready: make(chan struct{}, 1)}
		c.do(func(time.Time) {
			for _, sub := range c.p.rooms {
				s.join(sub, chat.Cursor{})
			}
			c.streams[s] = true
		})
		s.run(ctx, yield)
	}
}

// Events hands over what happens in the room, and with the connection: first
// what came after the last event that was taken, then what happens live. It
// subscribes to the room if that was not done.
//
// Every running iterator gets everything, each at its own pace. An event was
// taken when the body of the loop has ended for it, by break too; what the
// slowest running iterator has taken is where the next one begins, and what
// the Store keeps.
//
// The sequence goes on over lost connections. It ends
//
//   - without an error after [Client.Close] and [Room.Unsubscribe],
//   - with the error of [Unsubscribed] if the server has ended the subscription,
//   - with a [*RefusedError] if it refuses the client,
//   - with the cause of ctx when that ends.
func (r *Room) Events(ctx context.Context, opts ...EventsOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var o eventsOptions
		for _, f := range opts {
			f(&o)
		}
		s := &stream{client: r.client, room: r.id, ready: make(chan struct{}, 1)}
		r.client.do(func(time.Time) {
			sub := r.client.p.of(r.id)
			if !sub.wanted {
				opt := sub.opt
				opt.after = o.from
				r.client.p.subscribe(r.id, opt)
			}
			s.join(sub, o.from)
			r.client.streams[s] = true
		})
		s.run(ctx, yield)
	}
}

// join adds a reader in a room, which begins at from, or where the last one
// ended.
func (s *stream) join(sub *subscription, from chat.Cursor) {
	r := &reader{sub: sub, at: from}
	s.readers = append(s.readers, r)
	sub.readers[r] = true
}

// run hands events over until the program or the stream ends.
func (s *stream) run(ctx context.Context, yield func(Event, error) bool) {
	defer s.leave()
	for {
		d, ok := s.take(ctx)
		switch {
		case !ok:
			return
		case d.err != nil:
			yield(nil, d.err)
			return
		}
		more := yield(d.event, nil)
		s.taken(d)
		if !more {
			return
		}
	}
}

// leave ends the stream.
func (s *stream) leave() {
	s.client.do(func(time.Time) {
		delete(s.client.streams, s)
		for _, r := range s.readers {
			delete(r.sub.readers, r)
			r.sub.settleTaken()
			s.client.p.dirty = true
		}
	})
}

// taken notes that the program is done with an event.
func (s *stream) taken(d delivery) {
	if d.reader == nil || d.at.Epoch == "" {
		return
	}
	c := s.client
	c.mu.Lock()
	d.reader.took = d.at
	d.reader.sub.settleTaken()
	c.p.dirty = true
	c.mu.Unlock()
	if c.keeper != nil && isClosed(c.stopping) {
		c.keeper.save()
	}
}

// settleTaken moves the room's place to that of its slowest reader, and forgets
// what nobody needs any more.
func (s *subscription) settleTaken() {
	slowest := chat.Cursor{}
	for r := range s.readers {
		if r.begun && r.took.Epoch == s.tail.last.Epoch && (slowest.Epoch == "" || r.took.Seq < slowest.Seq) {
			slowest = r.took
		}
	}
	if slowest.Epoch == "" || slowest.Epoch == s.taken.Epoch && slowest.Seq <= s.taken.Seq {
		return
	}
	s.taken = slowest
	s.tail.trim(slowest.Seq)
}

// take waits for the next event; ok is false at an end without error.
func (s *stream) take(ctx context.Context) (d delivery, ok bool) {
	for {
		if ctx.Err() != nil {
			return delivery{err: context.Cause(ctx)}, true
		}
		s.client.mu.Lock()
		d, state := s.pop()
		s.client.mu.Unlock()
		switch state {
		case popped:
			return d, true
		case ended:
			return d, d.err != nil
		case behind:
			if err := s.read(ctx, d.reader); err != nil {
				return delivery{err: err}, true
			}
			continue
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
		}
	}
}

// popState is what pop came to.
type popState uint8

const (
	idle   popState = iota // nothing to hand over
	popped                 // an event
	behind                 // the reader has to read from the server
	ended                  // nothing will follow
)

// pop takes the next event, by turns from each room.
func (s *stream) pop() (delivery, popState) {
	if s.client.p.status.State == Closed {
		return s.last()
	}
	for range len(s.readers) {
		r := s.readers[s.next%len(s.readers)]
		s.next++
		if d, state := r.pop(); state != idle {
			return d, state
		}
	}
	return s.popLoose()
}

// last hands over the changes of state that are left, then the end.
func (s *stream) last() (delivery, popState) {
	for len(s.loose) > 0 {
		e := s.loose[0].event
		s.loose = s.loose[1:]
		if _, ok := e.(ConnectionState); ok {
			return delivery{event: e}, popped
		}
	}
	d := delivery{}
	if err := s.client.p.status.Err; isRefused(err) {
		d.err = err
	}
	return d, ended
}

// popLoose takes the first loose event whose time has come.
func (s *stream) popLoose() (delivery, popState) {
	for i, l := range s.loose {
		r := s.readerOf(l.room)
		if r != nil && !r.reached(l) {
			continue
		}
		s.loose = slices.Delete(s.loose, i, i+1)
		if u, ok := l.event.(Unsubscribed); ok && s.room != "" && !r.sub.wanted {
			if r.ended {
				return delivery{err: u.Err}, ended
			}
			r.ended = true
			s.loose = slices.Insert(s.loose, 0, l)
		}
		return delivery{event: l.event}, popped
	}
	return delivery{}, idle
}

func (s *stream) readerOf(room chat.RoomID) *reader {
	for _, r := range s.readers {
		if r.sub.room == room {
			return r
		}
	}
	return nil
}

// reached reports whether the reader has taken what came before a loose event.
func (r *reader) reached(l loose) bool {
	return !r.begun || r.life > l.life || r.life == l.life && r.at.Seq >= l.at
}

// pop takes the reader's next event from its page or the tail.
func (r *reader) pop() (delivery, popState) {
	t := &r.sub.tail
	switch {
	case !r.begin():
		return delivery{}, idle
	case r.life != t.life:
		return r.reborn(), popped
	}
	for {
		if len(r.page) > 0 {
			it := r.page[0]
			r.page = r.page[1:]
			if d, ok := r.give(it); ok {
				return d, popped
			}
			continue
		}
		it, found, dropped := t.after(r.at.Seq)
		switch {
		case dropped && r.sub.wanted:
			return delivery{reader: r}, behind
		case dropped: // nobody may ask any more
			r.page = []item{r.lost(GapPermission)}
		case found:
			if d, ok := r.give(it); ok {
				return d, popped
			}
		default:
			return r.popCaughtUp()
		}
	}
}

// begin puts the reader at its first place, once the room has one.
func (r *reader) begin() bool {
	s := r.sub
	if r.begun || !s.started {
		return r.begun
	}
	r.begun = true
	if r.at.Epoch == "" {
		r.at = s.taken
	}
	r.took = r.at
	if r.at.Epoch == s.tail.last.Epoch && r.at.Seq <= s.tail.last.Seq {
		r.life = s.tail.life
	}
	return true
}

// reborn says that the log is another one, and begins with it.
func (r *reader) reborn() delivery {
	t := &r.sub.tail
	r.life, r.page = t.life, nil
	r.at = chat.Cursor{Epoch: t.last.Epoch, Seq: t.base}
	return delivery{event: Gap{Room: r.sub.room, Reason: GapEpoch, From: 1, To: t.base}, reader: r, at: r.at}
}

// give moves the reader over an item. ok is false if there is nothing to hand
// over; a hole before a page is handed over in its stead.
func (r *reader) give(it item) (d delivery, ok bool) {
	if it.last.Seq <= r.at.Seq {
		return delivery{}, false
	}
	if from := r.at.Seq + 1; it.first > from {
		r.page = append([]item{it}, r.page...)
		r.at = chat.Cursor{Epoch: it.last.Epoch, Seq: it.first - 1}
		return delivery{event: Gap{Room: r.sub.room, Reason: GapRetention, From: from, To: it.first - 1}, reader: r, at: r.at}, true
	}
	r.at = it.last
	return delivery{event: it.event, reader: r, at: r.at}, it.event != nil
}

// popCaughtUp says once a connection that all was read.
func (r *reader) popCaughtUp() (delivery, popState) {
	s := r.sub
	if !s.caughtUp || r.said == s.caughtUps {
		return delivery{}, idle
	}
	r.said = s.caughtUps
	return delivery{event: CaughtUp{Room: s.room, Seq: r.at.Seq}, reader: r, at: r.at}, popped
}

// read brings a page from the server to a reader that the tail has passed by.
func (s *stream) read(ctx context.Context, r *reader) error {
	c := s.client
	c.mu.Lock()
	life, at, room := r.life, r.at, r.sub.room
	c.mu.Unlock()
	page, err := c.history(ctx, room, HistoryQuery{forward: true, after: at.Seq, limit: maxPage})
	if err != nil {
		return err
	}
	c.do(func(time.Time) {
		if r.life != life || r.sub.tail.life != life {
			return
		}
		if page.Epoch != at.Epoch {
			c.p.drop(violation("the history of room %s is of another log", room))
			return
		}
		for i, e := range page.Events {
			r.page = append(r.page, item{first: page.places[i].Seq, last: page.places[i], event: e})
		}
		if len(page.Events) == 0 { // trimmed up to where the tail begins
			r.page = []item{r.lost(GapRetention)}
		}
	})
	return nil
}

// lost is the hole between the reader and the tail.
func (r *reader) lost(why GapReason) item {
	from, to := r.at.Seq+1, r.sub.tail.floor
	return item{first: from, last: chat.Cursor{Epoch: r.at.Epoch, Seq: to}, event: Gap{Room: r.sub.room, Reason: why, From: from, To: to}}
}

// offer adds a loose event, and makes room for it if need be.
func (s *stream) offer(l loose) {
	if s.room != "" && l.room != "" && l.room != s.room {
		return
	}
	if len(s.loose) >= maxLoose {
		s.forget()
	}
	s.loose = append(s.loose, l)
}

// forget drops the oldest event that may be lost, or else the oldest.
func (s *stream) forget() {
	victim := 0
	for i, l := range s.loose {
		if isPassing(l.event) {
			victim = i
			break
		}
	}
	s.loose = slices.Delete(s.loose, victim, victim+1)
}

func isPassing(e Event) bool {
	switch e.(type) {
	case Typing, Receipt, PresenceChanged, Unread, Renewal, ServerError:
		return true
	}
	return false
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
