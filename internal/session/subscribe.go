package session

import (
	"context"
	"math"
	"slices"
	"time"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/presence"
	"tertulia/internal/store"
	"tertulia/wire"
)

// maxReceipts bounds the marks of others that come with subscribed.
const maxReceipts = 200

// followAtOnce bounds the rooms that a connection without commands subscribes to
// before it is looked whether it takes its bytes: each may have 192 KiB of
// history.
const followAtOnce = 10

// subscribeAll subscribes to the rooms of a command. An event of a room follows
// its subscribed, so what was answered to earlier commands has to go out first.
func (v *V1) subscribeAll(r *wire.Request) {
	v.replies.settle()
	v.subscribe(v.ctx, r.Subscribe, r.ID, func(room chat.RoomID, err error) { v.refuse(r, room, err) })
}

// Follow subscribes to rooms on a connection that takes no commands. What a
// client is refused it is told of, room by room. It is called once, before End.
func (v *V1) Follow(rooms []wire.Subscription) {
	for some := range slices.Chunk(rooms, followAtOnce) {
		if !v.conn.Wait() {
			return
		}
		v.subscribe(v.ctx, some, "", func(room chat.RoomID, err error) {
			told := asError(err)
			v.replies.send(func(b []byte) []byte { return wire.AppendRefusal(b, "", room, "", told) })
		})
	}
}

// arrival is a room that is being subscribed to.
type arrival struct {
	want     wire.Subscription
	sub      *hub.Sub // nil if it cannot be, or need not
	at       hub.Attached
	my       store.Standing
	receipts []chat.Member
	err      error
}

// subscribe adds rooms, in their order; refused is called for those that cannot
// be. Nothing changes for one that the client is in. The store is asked once for
// all of them who the client is there.
func (v *V1) subscribe(ctx context.Context, wants []wire.Subscription, re string, refused func(chat.RoomID, error)) {
	hurry := v.hurries()
	defer v.open(wants, hurry)()
	arrivals := make([]arrival, len(wants))
	for i, want := range wants {
		arrivals[i].want = want
		v.attach(ctx, arrivals[:i+1], hurry)
	}
	v.standings(ctx, arrivals, hurry)
	for i := range arrivals {
		if err := v.arrive(ctx, &arrivals[i], re); err != nil {
			refused(arrivals[i].want.Room, err)
		}
	}
}

// subscribeTo is subscribe for one room.
func (v *V1) subscribeTo(ctx context.Context, want wire.Subscription, re string) (refusal error) {
	v.subscribe(ctx, []wire.Subscription{want}, re, func(_ chat.RoomID, err error) { refusal = err })
	return refusal
}

// hurries reports whether the client has come into rooms just now: one that
// comes into one after the other does not wait for others each time.
func (v *V1) hurries() bool {
	last := v.came
	v.came = time.Now()
	return v.came.Sub(last) < time.Second
}

// open has the rooms opened together that are to be attached to. The returned
// function is called when they have been.
func (v *V1) open(wants []wire.Subscription, hurry bool) (release func()) {
	var rooms []chat.RoomID
	for _, want := range wants {
		if want.Room != wire.Inbox && !v.isIn(want.Room) {
			rooms = append(rooms, want.Room)
		}
	}
	return v.srv.Hub.Open(rooms, hurry)
}

// attach attaches to the last one of arrivals, unless the client is there, or
// is about to be.
func (v *V1) attach(ctx context.Context, arrivals []arrival, hurry bool) {
	a, before := &arrivals[len(arrivals)-1], arrivals[:len(arrivals)-1]
	if a.want.Room == wire.Inbox || v.isIn(a.want.Room) {
		return
	}
	coming := 0
	for i := range before {
		if before[i].sub == nil {
			continue
		}
		if coming++; before[i].want.Room == a.want.Room {
			return
		}
	}
	if v.rooms()+coming >= MaxSubscriptions {
		if coming == 0 { // else one of those may be refused: arrive looks again
			a.err = chat.Errorf(chat.TooManyRooms, "This connection has its %d subscriptions; end one of them first.", MaxSubscriptions)
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	a.sub, a.at, a.err = v.srv.Hub.Attach(ctx, v.conn, a.want.Room, hub.AttachOptions{After: a.want.After, Recent: a.want.History, RecentBytes: historyBytes, Hurry: hurry})
}

// rooms returns how many rooms the client is in.
func (v *V1) rooms() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.subs)
}

// standings reads what the rooms are to the user, after they were attached to,
// so that a removal in between is not missed.
func (v *V1) standings(ctx context.Context, arrivals []arrival, hurry bool) {
	var attached []*arrival
	var ids []chat.RoomID
	for i := range arrivals {
		if a := &arrivals[i]; a.sub != nil {
			attached, ids = append(attached, a), append(ids, a.want.Room)
		}
	}
	if len(ids) == 0 {
		return
	}
	asking, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	for i, e := range v.srv.Rooms.EnterAll(asking, v.by, ids, hurry) {
		attached[i].my, attached[i].err = e.Standing, e.Err
		if e.Err == nil && attached[i].want.Receipts {
			attached[i].receipts, attached[i].err = v.marks(ctx, ids[i])
		}
	}
}

// marks returns the marks of others in a room.
func (v *V1) marks(ctx context.Context, room chat.RoomID) (receipts []chat.Member, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	marks, err := v.srv.Rooms.Marks(ctx, v.by, room, "", maxReceipts+1)
	for _, m := range marks {
		if m.User.ID != v.by.User.ID && len(receipts) < maxReceipts {
			receipts = append(receipts, m)
		}
	}
	return receipts, err
}

// arrive begins one subscription.
func (v *V1) arrive(ctx context.Context, a *arrival, re string) error {
	switch {
	case a.want.Room == wire.Inbox:
		ctx, cancel := context.WithTimeout(ctx, commandTime)
		defer cancel()
		return v.openInbox(ctx, re)
	case a.err != nil:
		if a.sub != nil {
			a.sub.Detach()
		}
		return a.err
	case a.sub != nil:
		v.enter(a, re)
	case v.isIn(a.want.Room):
		v.replies.send(func(b []byte) []byte { return wire.AppendOK(b, re, a.want.Room) })
	default: // it has been removed meanwhile, the same room was refused just now, or others took the last places
		return v.subscribeTo(ctx, a.want, re)
	}
	return nil
}

// enter tells the client that it is in the room, and begins delivery.
func (v *V1) enter(a *arrival, re string) {
	want, sub, at, my := a.want, a.sub, a.at, a.my
	if my.Room.Access == chat.AccessOpen {
		my.Member.Role = max(my.Member.Role, chat.RoleMember) // as everybody is there who may enter
	}
	here, visit := v.srv.Presence.Join(want.Room, v.by.User)
	v.mu.Lock()
	v.subs[want.Room] = &subscription{sub: sub, visit: visit}
	v.mu.Unlock()
	s := wire.Subscribed{
		Re:       re,
		Room:     my.Room,
		Epoch:    at.Epoch,
		Head:     at.Head,
		Cursor:   at.Cursor,
		History:  itemsOf(at.Recent),
		My:       my.Member,
		Receipts: a.receipts,
	}
	s.Room.ID = want.Room
	if want.After != nil {
		s.Resume = &wire.Resume{Reason: gapReasons[at.Gap], From: at.From, To: at.To}
	}
	version := here.Version
	switch want.Presence {
	case wire.PresenceNone:
		version = math.MaxUint64 // all changes are older than what the client wants to know
	case wire.PresenceCount:
		s.Presence = &wire.Presence{Version: here.Version, Count: here.Count, Degraded: here.Degraded}
	case wire.PresenceList:
		s.Presence = presenceOf(here)
	}
	v.replies.send(func(b []byte) []byte { return wire.AppendSubscribed(b, &s) })
	sub.Start(version, hub.Marker{At: at.Head, Make: func(b []byte, sub *hub.Sub) []byte {
		return v.srv.Framing.marker(b, wire.AppendCaughtUp(nil, sub.Room(), at.Head))
	}})
}

func presenceOf(here presence.Snapshot) *wire.Presence {
	users := here.Users
	if users == nil {
		users = []chat.User{}
	}
	return &wire.Presence{Version: here.Version, Count: here.Count, Degraded: here.Degraded, Users: users}
}

func itemsOf(recent []hub.Recent) []wire.HistoryItem {
	items := make([]wire.HistoryItem, len(recent))
	for i, r := range recent {
		items[i] = wire.HistoryItem{Seq: r.Seq, Frame: r.Frame}
	}
	return items
}

// unsubscribe ends the subscriptions to the rooms of a command.
func (v *V1) unsubscribe(r *wire.Request) {
	for _, room := range r.Unsubscribe {
		if !v.endSubscription(room) {
			v.refuse(r, room, errNotSubscribed)
			continue
		}
		v.replies.later(func(b []byte) []byte { return wire.AppendUnsubscribed(b, r.ID, room, wire.UnsubscribedAsked) })
	}
}

// endSubscription reports whether the client was subscribed.
func (v *V1) endSubscription(room chat.RoomID) bool {
	if room == wire.Inbox {
		return v.closeInbox()
	}
	v.mu.Lock()
	s := v.subs[room]
	delete(v.subs, room)
	v.mu.Unlock()
	if s == nil {
		return false
	}
	v.leave(s, true)
	return true
}

var errNotSubscribed = chat.Errorf(chat.NotSubscribed, "This connection is not subscribed to the room.")

// presence answers with who is in a room.
func (v *V1) presence(r *wire.Request) {
	if !v.isIn(r.Room) {
		v.refuse(r, r.Room, errNotSubscribed)
		return
	}
	p := presenceOf(v.srv.Presence.Snapshot(r.Room))
	v.replies.later(func(b []byte) []byte { return wire.AppendPresence(b, r.ID, r.Room, p) })
}
