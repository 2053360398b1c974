package inbox

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// user is somebody who has an inbox open on this node.
type user struct {
	by chat.Principal // fixed

	// reading is held from before the user's standings are read until they are
	// applied: what was read later is applied later. It comes before Service.mu.
	reading sync.Mutex

	readers  int
	listener bus.Subscription
	loaded   bool      // all rooms are known, and changes are told
	readAt   time.Time // when all of it was read last
	entries  map[chat.RoomID]*entry
	pending  []*entry
	stale    map[chat.RoomID]struct{} // to be read again; then the user is in Service.stale
	gone     bool                     // nobody reads any more
	doubted  bool                     // is in Service.doubted
}

func newUser(by chat.Principal) *user {
	return &user{by: by, entries: make(map[chat.RoomID]*entry), stale: make(map[chat.RoomID]struct{})}
}

// watched is a room that somebody's inbox has. It is listened to for as long as
// it has entries.
type watched struct {
	id       chat.RoomID   // fixed
	ready    chan struct{} // closed when it is listened to, or err says why not
	err      error         // written before ready is closed
	listener bus.Subscription

	entries map[chat.UserID]*entry
	room    chat.Room
	known   bool   // room has been read
	heard   uint64 // the highest seq heard while it was not
	active  bool   // something was heard since the last check
	behind  bool   // is in Service.behind
	pulse
}

// entry is a room in the inbox of a user.
type entry struct {
	user *user
	room *watched
	// member is the user's standing. Its mark only moves forward, but with the
	// log's epoch.
	member chat.Member
	epoch  string // of the log that the mark is in
	told   view
	moved  bool // is in Service.moved
	gone   bool // in no list any more
	// pending entries are being read; the user is told afterwards.
	pending bool
	pulse
}

// view is what a user knows of a room.
type view struct {
	listed       bool
	read, unread uint64
	shape
}

// shape is what a user knows beside the numbers.
type shape struct {
	epoch   string
	version uint64 // of the settings
	state   chat.State
	role    chat.Role
	private bool
}

// own reports whether the room is one of the user's.
func (e *entry) own() bool {
	return own(&store.Standing{Room: e.room.room, Member: e.member})
}

// now is what the user is to know of the room.
func (e *entry) now() view {
	if !e.own() {
		return view{}
	}
	r, m := &e.room.room, e.shown()
	return view{
		listed: true,
		read:   m.Mark.Read,
		unread: m.Mark.Unread(r.Msgs),
		shape:  shape{epoch: r.Epoch, version: r.Version, state: m.State, role: m.Role, private: m.Mark.Private},
	}
}

// shown is the standing as the user sees it: everybody who may be in an open
// room is a member.
func (e *entry) shown() chat.Member {
	m := e.member
	if e.room.room.Access == chat.AccessOpen {
		m.Role = max(m.Role, chat.RoleMember)
	}
	return m
}

// list returns the user's rooms by their ids.
func (u *user) list() []store.Standing {
	rooms := make([]store.Standing, 0, len(u.entries))
	for _, e := range u.entries {
		if e.own() {
			rooms = append(rooms, store.Standing{Room: e.room.room, Member: e.shown()})
		}
	}
	slices.SortFunc(rooms, func(a, b store.Standing) int { return cmp.Compare(a.Room.ID, b.Room.ID) })
	return rooms
}

// forget takes a user out, and returns what is not to be listened to any more.
// The caller holds mu, and closes that without it.
func (s *Service) forget(u *user) (subs []bus.Subscription) {
	u.gone = true
	for _, e := range u.entries {
		subs = s.unlink(subs, e)
	}
	if u.listener != nil {
		subs = append(subs, u.listener)
	}
	return subs
}

// unlink takes an entry out, and its room with the last one. It appends to subs
// what is not to be listened to any more. The caller holds mu.
func (s *Service) unlink(subs []bus.Subscription, e *entry) []bus.Subscription {
	e.gone = true
	delete(e.user.entries, e.room.id)
	delete(e.room.entries, e.user.by.User.ID)
	if len(e.room.entries) > 0 {
		return subs
	}
	delete(s.rooms, e.room.id)
	if e.room.listener != nil {
		subs = append(subs, e.room.listener)
	}
	return subs
}

// fresh notes that something of an entry has changed. The caller holds mu.
func (s *Service) fresh(e *entry) {
	s.notices.mark(e)
	wake(s.tell)
}

// freshRoom notes that something of a room has changed, for all who have it.
// The caller holds mu.
func (s *Service) freshRoom(w *watched) {
	s.news.mark(w)
	wake(s.tell)
}
