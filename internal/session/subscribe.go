package session

import (
	"context"
	"math"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/presence"
	"tertulia/internal/store"
	"tertulia/wire"
)

// maxReceipts bounds the marks of others that come with subscribed.
const maxReceipts = 200

// subscribeAll subscribes to the rooms of a command, one after the other. An
// event of a room follows its subscribed, so what was answered to earlier
// commands has to go out first.
func (v *V1) subscribeAll(r *wire.Request) {
	v.replies.settle()
	for _, s := range r.Subscribe {
		ctx, cancel := context.WithTimeout(v.ctx, commandTime)
		err := v.subscribe(ctx, s, r.ID)
		cancel()
		if err != nil {
			v.refuse(r, s.Room, err)
		}
	}
}

// Follow subscribes to rooms on a connection that takes no commands. What a
// client is refused it is told of, room by room. It is called once, before End.
func (v *V1) Follow(rooms []wire.Subscription) {
	for _, s := range rooms {
		if !v.conn.Wait() {
			return
		}
		ctx, cancel := context.WithTimeout(v.ctx, commandTime)
		err := v.subscribe(ctx, s, "")
		cancel()
		if err != nil {
			told := asError(err)
			v.replies.send(func(b []byte) []byte { return wire.AppendRefusal(b, "", s.Room, "", told) })
		}
	}
}

// subscribe adds one room. Nothing changes for one that the client is in.
func (v *V1) subscribe(ctx context.Context, want wire.Subscription, re string) error {
	if want.Room == wire.Inbox {
		return v.openInbox(ctx, re)
	}
	v.mu.Lock()
	live, full := v.subs[want.Room] != nil, len(v.subs) >= MaxSubscriptions
	v.mu.Unlock()
	switch {
	case live:
		v.replies.send(func(b []byte) []byte { return wire.AppendOK(b, re, want.Room) })
		return nil
	case full:
		return chat.Errorf(chat.TooManyRooms, "This connection has its %d subscriptions; end one of them first.", MaxSubscriptions)
	}
	sub, at, err := v.srv.Hub.Attach(ctx, v.conn, want.Room, hub.AttachOptions{After: want.After, Recent: want.History, RecentBytes: historyBytes})
	if err != nil {
		return err
	}
	// After Attach, so that a removal in between is not missed.
	my, receipts, err := v.standing(ctx, want)
	if err != nil {
		sub.Detach()
		return err
	}
	v.enter(want, sub, at, my, receipts, re)
	return nil
}

// standing returns the room as the user sees it, and the marks of others if
// they are wanted.
func (v *V1) standing(ctx context.Context, want wire.Subscription) (my store.Standing, receipts []chat.Member, err error) {
	my, err = v.srv.Rooms.Enter(ctx, v.by, want.Room)
	if my.Room.Access == chat.AccessOpen {
		my.Member.Role = max(my.Member.Role, chat.RoleMember) // as everybody is there who may enter
	}
	if err != nil || !want.Receipts {
		return my, nil, err
	}
	marks, err := v.srv.Rooms.Marks(ctx, v.by, want.Room, "", maxReceipts+1)
	for _, m := range marks {
		if m.User.ID != v.by.User.ID && len(receipts) < maxReceipts {
			receipts = append(receipts, m)
		}
	}
	return my, receipts, err
}

// enter tells the client that it is in the room, and begins delivery.
func (v *V1) enter(want wire.Subscription, sub *hub.Sub, at hub.Attached, my store.Standing, receipts []chat.Member, re string) {
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
		Receipts: receipts,
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
