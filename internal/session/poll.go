package session

import (
	"context"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/presence"
	"tertulia/internal/store"
	"tertulia/wire"
)

// pollBytes is where the answer to a poll stops growing.
const pollBytes = 256 << 10

// Poll is what a client asks that has no connection: for the durable events
// of some rooms after a place in each.
type Poll struct {
	Identity
	// Rooms are different from each other. Where the client has not begun, it
	// begins at the head.
	Rooms []Place
	// History is how many of the newest events are wanted from each room
	// without an After.
	History int
	Limit   int // events, 1 to wire.MaxPollEvents
	// Wait is how long to wait if nothing is there, at most wire.MaxPollWait.
	Wait time.Duration
	// Hurry, when closed, ends the wait early.
	Hurry <-chan struct{}
}

// Place is a room, and where its reader has come to: nil if it has not begun.
type Place struct {
	Room  chat.RoomID
	After *chat.Cursor
}

// Poll reads what comes after the given places, at once if there is something,
// or if a room has no place yet; else it waits for the first event. It ends
// with ctx, which is no error. Nothing is missed or repeated if the next poll
// begins at the Cursors of this one.
//
// The error, a *chat.Error, says why there is no answer: none of the rooms may
// be read, or one of them cannot be read now.
func (srv *Services) Poll(ctx context.Context, p Poll) (wire.Polled, error) {
	r := &pollReader{srv: srv, ask: &p, wake: make(chan struct{}, 1), behind: make(map[chat.RoomID]bool)}
	r.life.begin(p.Identity, srv.Watch, r.dismiss)
	r.conn = srv.Hub.Connect(r, p.User.ID, &hub.Dialect{Profile: hub.V1, Bye: pollBye, Ended: r.removed, Wrap: r.take})
	defer r.leave()
	if err := r.enterAll(ctx); err != nil {
		return wire.Polled{}, err
	}
	if len(r.rooms) == 0 {
		return wire.Polled{}, r.got.Ended[0].Err
	}
	for _, in := range r.rooms {
		in.sub.Start(in.version, hub.Marker{At: in.head, Make: r.caughtUp})
	}
	r.wait(ctx)
	return r.answer()
}

// pollReader takes what the hub delivers for one poll. It is the hub's
// Transport too, but what the hub writes says only that a pass is over.
type pollReader struct {
	// Fixed after construction.
	srv  *Services
	ask  *Poll
	conn *hub.Conn
	wake chan struct{} // one slot: a pass is over
	life life

	// Fixed before the first room is started.
	rooms []entered
	fresh bool // a room does not go on where the client was

	mu     sync.Mutex
	got    wire.Polled
	bytes  int                  // of got.Events
	behind map[chat.RoomID]bool // what has not caught up
	over   bool                 // nothing more is taken: there is enough, or the hub has ended it
	failed *chat.Error          // why there is no answer, if it is not over otherwise
}

// entered is a room that is read.
type entered struct {
	sub     *hub.Sub
	visit   *presence.Visit
	head    uint64
	version uint64 // of presence
}

// enterAll attaches to the rooms. The error is of one that cannot be read now.
func (r *pollReader) enterAll(ctx context.Context) error {
	var rooms []chat.RoomID
	for _, room := range r.ask.Rooms {
		rooms = append(rooms, room.Room)
	}
	defer r.srv.Hub.Open(rooms, false)()
	for _, room := range r.ask.Rooms {
		if err := r.enter(ctx, room); err != nil {
			told := asError(err)
			if told.Code.Retryable() {
				return told
			}
			r.got.Ended = append(r.got.Ended, wire.PollEnd{Room: room.Room, Err: told})
		}
	}
	return nil
}

// enter attaches to a room.
func (r *pollReader) enter(ctx context.Context, room Place) error {
	sub, at, err := r.srv.Hub.Attach(ctx, r.conn, room.Room, hub.AttachOptions{
		After:       room.After,
		Recent:      min(r.ask.History, r.ask.Limit-len(r.got.Events)),
		RecentBytes: min(historyBytes, pollBytes-r.bytes),
	})
	if err != nil {
		return err
	}
	// After Attach, so that a removal in between is not missed.
	if _, err := r.srv.Rooms.Enter(ctx, r.ask.Principal, room.Room); err != nil {
		sub.Detach()
		return err
	}
	here, visit := r.srv.Presence.Join(room.Room, r.ask.User)
	r.rooms = append(r.rooms, entered{sub, visit, at.Head, here.Version})
	r.begin(room, at)
	return nil
}

// begin notes what is known of a room on entering it.
func (r *pollReader) begin(room Place, at hub.Attached) {
	r.behind[room.Room] = true
	r.fresh = r.fresh || room.After == nil || at.Gap != hub.GapNone
	r.got.Cursors = append(r.got.Cursors, chat.RoomCursor{Room: room.Room, Cursor: at.Cursor})
	if at.Gap != hub.GapNone {
		r.got.Gaps = append(r.got.Gaps, wire.PollGap{Room: room.Room, Resume: wire.Resume{Reason: gapReasons[at.Gap], From: at.From, To: at.To}})
	}
	for _, recent := range at.Recent {
		r.got.Events = append(r.got.Events, recent.Frame)
		r.bytes += len(recent.Frame)
	}
}

// leave stops reading. The user stays for the grace of presence: the next poll
// is on its way.
func (r *pollReader) leave() {
	for _, in := range r.rooms {
		in.sub.Detach()
		in.visit.Leave(false)
	}
	r.conn.Gone()
	r.life.end()
}

// dismiss ends the poll without an answer: the client asks again from where it
// was, if it may.
func (r *pollReader) dismiss(told *chat.Error) {
	r.mu.Lock()
	if !r.over {
		r.over, r.failed = true, told
	}
	r.mu.Unlock()
	r.poke()
}

func (r *pollReader) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// wait returns when there is an answer.
func (r *pollReader) wait(ctx context.Context) {
	limit := time.NewTimer(r.ask.Wait)
	defer limit.Stop()
	for !r.isDone() {
		select {
		case <-r.wake:
		case <-limit.C:
			return
		case <-r.ask.Hurry:
			return
		case <-ctx.Done():
			return
		}
	}
}

// isDone reports whether there is something to answer, and nothing more to be
// had without waiting.
func (r *pollReader) isDone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := r.fresh || len(r.got.Events) > 0 || len(r.got.Ended) > 0
	return r.over || len(r.behind) == 0 && news
}

// answer closes the books.
func (r *pollReader) answer() (wire.Polled, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return wire.Polled{}, r.failed
	}
	r.got.CaughtUp = len(r.behind) == 0 && !r.over
	r.over = true
	return r.got, nil
}

// What the hub writes at the end of a pass.
const (
	passOver       = '.' // something has been taken
	passEnds       = '!' // the hub has ended the connection
	passUnreadable = '?' // and that because the store cannot be read
)

// take is the dialect's Wrap. It leaves a byte for whatever it takes, so that
// the pass ends with a write.
func (r *pollReader) take(dst []byte, s *hub.Sub, seq uint64, payload []byte) []byte {
	switch {
	case seq == 0 && payload[0] == passOver:
		return append(dst, passOver)
	case seq == 0:
		return dst // a passing event
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return dst
	}
	if n := len(r.got.Events); n >= r.ask.Limit || n > 0 && r.bytes+len(payload) > pollBytes {
		r.over = true
		return append(dst, passOver)
	}
	r.got.Events = append(r.got.Events, slices.Clone(payload))
	r.bytes += len(payload)
	*r.got.Cursors.Find(s.Room()) = s.Cursor()
	return append(dst, passOver)
}

// caughtUp is the marker of a room whose past has been delivered.
func (r *pollReader) caughtUp(dst []byte, s *hub.Sub) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.behind, s.Room())
	return append(dst, passOver)
}

// removed is the dialect's Ended.
func (r *pollReader) removed(dst []byte, s *hub.Sub) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		delete(r.behind, s.Room())
		r.got.Cursors = slices.DeleteFunc(r.got.Cursors, func(c chat.RoomCursor) bool { return c.Room == s.Room() })
		r.got.Ended = append(r.got.Ended, wire.PollEnd{Room: s.Room(), Err: chat.Errorf(chat.Forbidden, "You are no longer in the room %q.", s.Room())})
	}
	return append(dst, passOver)
}

func pollBye(why hub.Reason) []byte {
	if why == hub.Unreadable {
		return []byte{passUnreadable}
	}
	return []byte{passEnds}
}

// TryWrite implements [hub.Transport].
func (r *pollReader) TryWrite(p []byte) (int, error) {
	switch p[len(p)-1] {
	case passEnds:
		r.mu.Lock()
		r.over = true
		r.mu.Unlock()
	case passUnreadable:
		r.dismiss(asError(store.ErrUnavailable))
	}
	r.poke()
	return len(p), nil
}

// Write implements [hub.Transport]; TryWrite takes everything.
func (r *pollReader) Write([]byte, int) error { return nil }

// Finish and Abort implement [hub.Transport]: there is nothing to close.
func (r *pollReader) Finish() {}
func (r *pollReader) Abort()  {}
