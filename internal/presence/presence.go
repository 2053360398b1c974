// Package presence knows who is here: which users have a session in a room,
// on this node or another.
//
// # Users, not sessions
//
// A user with three sessions in a room is there once. The first session in
// publishes [chat.KindUserJoined] on the room's topic, the last one out
// [chat.KindUserLeft]: at once if that session left cleanly, and after a grace
// otherwise, so that a reconnect shows nothing. Only the last session's leave
// counts: a session that was cut off while another one stayed starts no
// grace, and the clean leave of that other one says that the user is gone. In
// the grace a user is still here for everybody. A user has the name of the
// latest join; a new name alone publishes nothing.
//
// # Other nodes
//
// Each node says of its own users who is here: a [Statement] when the first
// session comes, when their number changes, and when the user's presence on
// the node ends, that is after the grace if the last session was cut off. A
// user is in a room while any node says so, and what is published is about
// that merged picture: a reconnect on another node shows nothing, for the old
// node says "gone" only when its grace ends, and the new one has spoken by
// then. What other nodes say comes in by [Tracker.Said], [Tracker.Replace] and
// [Tracker.Void], and the own statements go out by [Tracker.TellTo]. Carrying
// them is not this package's matter, see internal/presence/redis.
//
// The events and their versions are each node's own, for its own readers, and
// must not leave it: Config.Bus is a bus of one node.
//
// # The list and its versions
//
// Each room has a list: its first [Config.ListCap] users in the order in which
// they came. That is all that is ever told of the room by name. A change of
// the list, one user more or less, is one version and one event, and versions
// go 1, 2, 3… without holes and are published in that order. A reader who
// holds a [Snapshot] at version v skips events up to v and applies the rest,
// a join at the end of its list, and then has the list as it is published; it
// never sees a user join who is on its list, nor leave who is not. A room that
// has emptied is forgotten; should it fill again while the process lives, its
// versions go on from a higher number, for an event of its former life may
// still be on its way to a slow reader.
//
// # Large rooms
//
// In a room of n users n joins would be n² deliveries, so a join that finds
// ListCap users publishes nothing: the newcomer is counted and stands behind
// the list. When somebody on the list leaves such a room, the first of those
// behind moves up, and neither is published then: these changes take their
// versions, are in every snapshot from there on, and wait. They go out
// together, in one Publish, when a leave brings the room below ListCap users,
// or when 4 × ListCap of them wait. So
//
//   - below ListCap users everybody who is here is on the list, and every
//     reader knows it exactly;
//   - from ListCap users on the count is right, the snapshot's list is right
//     when it is taken, and a reader's own list lags behind, but by no more
//     than those waiting changes;
//   - somebody who was never on the list, came and went unannounced; somebody
//     who moved up is announced like any other, before he is said to leave.
//
// While that is so, the number of users is published once a second if it has
// changed, as [chat.KindPresenceCount]; named events carry it too.
//
// If users leave in an order that has nothing to do with that of their
// coming, a leave in a room of n costs 2 × ListCap / n events.
//
// # Locks
//
// The order is: the lock of what other nodes say, a room's lock, then the
// tracker's, or the locks that the bus and its handlers take. Events are
// published, and statements told, under the room's lock, which keeps both in
// order. So nothing here may be called from a bus handler or from what TellTo
// was given, nor while holding a lock that these take.
package presence

import (
	"sync"
	"sync/atomic"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// Defaults of [Config].
const (
	// DefaultGrace has room for a lost connection's first tries to come back.
	DefaultGrace = 10 * time.Second
	// DefaultListCap keeps what one join costs a room below 200 deliveries.
	DefaultListCap = 200
)

// Config is what a [Tracker] is made of.
type Config struct {
	// Bus carries the presence events to the readers of this node and must
	// not carry them further. It stays the caller's.
	Bus bus.Bus
	// Grace is how long a user whose last session was cut off stays. Zero is
	// DefaultGrace, negative is none.
	Grace time.Duration
	// ListCap bounds a room's list of users. Zero is DefaultListCap.
	ListCap int
}

// Tracker holds the rooms that somebody is in. Its methods may be called from
// any goroutine, within the limits of the package's lock order.
type Tracker struct {
	// Fixed after construction.
	bus     bus.Bus
	grace   time.Duration
	listCap int
	// maxWait bounds the changes of a large room's list that wait to be
	// published: 800 by default, which is 32 KiB.
	maxWait int
	tell    func(Statement) // nil if nobody is to hear; fixed before the first join

	closed   atomic.Bool
	degraded atomic.Bool
	// graces counts the timers of users in grace, and of nodes, that wait or
	// run. It grows under the lock of a room or of others while closed is
	// false, so Close can wait for it.
	graces sync.WaitGroup

	others others

	mu    sync.Mutex
	rooms map[chat.RoomID]*room // none is empty, save for one just being made
	// floor is the highest version of the rooms that were forgotten.
	floor uint64
}

// New returns a tracker of empty rooms.
func New(c Config) *Tracker {
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.ListCap <= 0 {
		c.ListCap = DefaultListCap
	}
	return &Tracker{
		bus:     c.Bus,
		grace:   c.Grace,
		listCap: c.ListCap,
		maxWait: 4 * c.ListCap,
		others:  others{nodes: make(map[string]*node)},
		rooms:   make(map[chat.RoomID]*room),
	}
}

// Close stops the timers of users in grace, who then stay, and waits for
// those that run. Nothing is published or told afterwards; the sessions that
// are left may still leave.
func (t *Tracker) Close() {
	t.closed.Store(true)
	t.others.stopVoids(t)
	for _, r := range t.all() {
		r.stopGraces()
	}
	t.graces.Wait()
}

// Snapshot is a room at one version.
type Snapshot struct {
	// Users is the room's list: unique, in the order in which they came, at
	// most Config.ListCap. It is the caller's.
	Users []chat.User
	// Count is how many users are here, those behind the list and those in
	// grace included.
	Count int
	// Version is that of the list; the events up to it are in Users.
	Version uint64
	// Degraded says that this node does not hear the others at the moment:
	// what the snapshot says of their users may be out of date.
	Degraded bool
}

// Visit is one session in one room.
type Visit struct {
	room *room
	user *person
	left bool // guarded by room.mu
}

// Join lets a session of user into the room and returns the room with it. The
// join is published, if at all, before Join returns. The strings of room and
// user are kept as long as the user stays; a user who comes to a large room
// stands behind the list and is then not in Snapshot.Users. The visit is to be
// ended with Leave.
func (t *Tracker) Join(id chat.RoomID, user chat.User) (Snapshot, *Visit) {
	r := t.lockOrMake(id)
	defer r.mu.Unlock()
	p := r.join(user)
	return r.snapshot(), &Visit{room: r, user: p}
}

// Leave ends the visit. clean says that the client closed by itself and means
// to be gone; a user whose last session was cut off stays for the grace. Only
// the first call has an effect.
func (v *Visit) Leave(clean bool) {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	if v.left {
		return
	}
	v.left = true
	v.room.leave(v.user, clean)
}

// Snapshot returns the room as it is; nobody is in a room that is unknown.
func (t *Tracker) Snapshot(id chat.RoomID) Snapshot {
	for {
		t.mu.Lock()
		r, floor := t.rooms[id], t.floor
		t.mu.Unlock()
		if r == nil {
			return Snapshot{Version: floor, Degraded: t.degraded.Load()}
		}
		if r.lock() {
			defer r.mu.Unlock()
			return r.snapshot()
		}
	}
}

// lockOrMake returns the room, locked.
func (t *Tracker) lockOrMake(id chat.RoomID) *room {
	for {
		t.mu.Lock()
		r := t.rooms[id]
		if r == nil {
			r = &room{tracker: t, id: id, version: t.floor}
			t.rooms[id] = r
		}
		t.mu.Unlock()
		if r.lock() {
			return r
		}
	}
}

// forget lets go of an empty room, whose lock the caller holds. Who waits for
// that lock with an old pointer looks again.
func (t *Tracker) forget(r *room) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rooms, r.id)
	t.floor = max(t.floor, r.version)
	r.forgotten = true
}

// all returns the rooms that somebody is in.
func (t *Tracker) all() []*room {
	t.mu.Lock()
	defer t.mu.Unlock()
	rooms := make([]*room, 0, len(t.rooms))
	for _, r := range t.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}
