package presence

import (
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// indexFrom is the number of users from which a room finds them by a map. A
// map costs about 60 bytes a user, and walking a few is as fast.
const indexFrom = 16

// room is who is in one room. Methods are called with mu held, save for lock
// and where it is said.
type room struct {
	// Fixed after construction.
	tracker *Tracker
	id      chat.RoomID

	// mu guards everything below, and the persons and visits of this room. It
	// is held while events are published, so that versions go out in order;
	// the package comment has the lock order.
	mu        sync.Mutex
	forgotten bool

	// The users in the order in which they came; beyond is the first one who
	// stands behind the list, nil if all are on it.
	first, last, beyond *person
	index               map[chat.UserID]*person // nil in a small room
	users               int                     // users in grace included

	// For Stats: on this node, then on others, then on all.
	sessions  int32
	attached  int32 // users with a session here
	elsewhere int32 // sessions
	anywhere  int32 // users with a session on any node

	version uint64      // of the list
	waiting []change    // the last versions, not yet published
	count   *time.Timer // set while the number of users is to be published
}

// person is a user in a room. There is one for each session of a node that is
// full of people who are each in one room, so it keeps to 64 bytes.
type person struct {
	user       chat.User
	prev, next *person
	grace      *time.Timer // set while this node's sessions are 0 and the user is yet here by it
	sessions   int32       // on this node
	nodes      uint8       // other nodes that say that the user is here
	live       uint8       // those of them where the user has a session
	listed     bool
}

// maxNodes is how many other nodes are counted for one user in one room. What
// further ones say of that user goes unheard.
const maxNodes = 255

// own reports whether p is here by this node.
func (p *person) own() bool { return p.sessions > 0 || p.grace != nil }

// attached reports whether p has a session on any node.
func (p *person) attached() bool { return p.sessions > 0 || p.live > 0 }

// change is one version of the list.
type change struct {
	kind chat.Kind
	user chat.User
}

// lock reports whether the room is still in use, and is then locked.
func (r *room) lock() bool {
	r.mu.Lock()
	if r.forgotten {
		r.mu.Unlock()
		return false
	}
	return true
}

// join counts a session of user in.
func (r *room) join(user chat.User) *person {
	p := r.find(user.ID)
	if p == nil {
		p = &person{user: user}
		r.enter(p)
	}
	p.user = user // the latest name wins
	r.stopGrace(p)
	if p.sessions == 0 {
		r.attached++
		if p.live == 0 {
			r.anywhere++
		}
	}
	p.sessions++
	r.sessions++
	r.tell(p)
	return p
}

// leave counts a session of p out.
func (r *room) leave(p *person, clean bool) {
	p.sessions--
	r.sessions--
	if p.sessions > 0 {
		r.tell(p)
		return
	}
	r.attached--
	if p.live == 0 {
		r.anywhere--
	}
	if clean || r.tracker.grace < 0 || r.tracker.closed.Load() {
		r.end(p)
		return
	}
	r.startGrace(p)
	r.tell(p)
}

// end says that p, who has no session and no grace, is not here by this node
// any more, and takes p out of the room unless another node has him.
func (r *room) end(p *person) {
	r.tell(p)
	if p.nodes == 0 {
		r.exit(p)
	}
}

// tell says what this node has to say of p.
func (r *room) tell(p *person) {
	if r.tracker.tell != nil && !r.tracker.closed.Load() {
		r.tracker.tell(r.statement(p))
	}
}

func (r *room) statement(p *person) Statement {
	return Statement{Room: r.id, User: p.user, Sessions: int(p.sessions), Here: p.own()}
}

// enter puts a user into the room: at the end of the list, or behind it.
func (r *room) enter(p *person) {
	r.link(p)
	if r.users > r.tracker.listCap {
		if r.beyond == nil {
			r.beyond = p
		}
		r.recount()
		return
	}
	r.list(p)
	r.publish() // nothing else waits: the room was below the cap
}

// exit takes a user out of the room, and lets the first one behind the list
// move up.
func (r *room) exit(p *person) {
	if r.beyond == p {
		r.beyond = p.next
	}
	r.unlink(p)
	if p.listed {
		r.change(chat.KindUserLeft, p.user)
		if r.beyond != nil {
			r.list(r.beyond)
			r.beyond = r.beyond.next
		}
	}
	if r.users < r.tracker.listCap || len(r.waiting) >= r.tracker.maxWait {
		r.publish()
	} else {
		r.recount()
	}
	if r.users == 0 {
		r.stopCount()
		r.tracker.forget(r)
	}
}

// list puts p on the list, whose end he is.
func (r *room) list(p *person) {
	p.listed = true
	r.change(chat.KindUserJoined, p.user)
}

// change gives the list's next version to a change, which then waits.
func (r *room) change(kind chat.Kind, user chat.User) {
	r.version++
	r.waiting = append(r.waiting, change{kind, user})
}

// publish hands the waiting changes to the bus, unless the tracker is closed.
func (r *room) publish() {
	waiting := r.waiting
	r.waiting = nil
	if len(waiting) == 0 || r.tracker.closed.Load() {
		return
	}
	r.stopCount() // these tell it as well
	events := make([]chat.Event, len(waiting))
	at := time.Now().UTC().Truncate(time.Millisecond)
	before := r.version - uint64(len(waiting))
	for i, c := range waiting {
		events[i] = chat.Event{
			Room:    r.id,
			Kind:    c.kind,
			Actor:   c.user,
			At:      at,
			Version: before + 1 + uint64(i),
			Count:   r.users,
		}
	}
	r.tracker.bus.Publish(bus.RoomTopic(r.id), events)
}

// countEvery is how often the number of users in a large room is published,
// while it changes.
const countEvery = time.Second

// recount has the number of users published in a moment, unless that is due
// already. It is for changes of which nobody is told by name.
func (r *room) recount() {
	if r.count != nil || r.tracker.closed.Load() {
		return
	}
	r.tracker.graces.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(countEvery, func() {
		defer r.tracker.graces.Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.count == timer { // else stopped while this waited for mu
			r.count = nil
			r.publishCount()
		}
	})
	r.count = timer
}

func (r *room) publishCount() {
	r.tracker.bus.Publish(bus.RoomTopic(r.id), []chat.Event{{
		Room:  r.id,
		Kind:  chat.KindPresenceCount,
		At:    time.Now().UTC().Truncate(time.Millisecond),
		Count: r.users,
	}})
}

// stopCount takes recount back.
func (r *room) stopCount() {
	if r.count != nil && r.count.Stop() {
		r.tracker.graces.Done()
	}
	r.count = nil
}

// snapshot returns the room as it is.
func (r *room) snapshot() Snapshot {
	s := Snapshot{
		Users:   make([]chat.User, 0, min(r.users, r.tracker.listCap)),
		Count:   r.users,
		Version: r.version,

		Degraded: r.tracker.degraded.Load(),
	}
	for p := r.first; p != r.beyond; p = p.next {
		s.Users = append(s.Users, p.user)
	}
	return s
}

// startGrace lets p stay for the grace.
func (r *room) startGrace(p *person) {
	r.tracker.graces.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(r.tracker.grace, func() {
		defer r.tracker.graces.Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		if p.grace == timer { // else p came back while this waited for mu
			p.grace = nil
			r.end(p)
		}
	})
	p.grace = timer
}

// stopGrace ends the grace that p may be in; p stays.
func (r *room) stopGrace(p *person) {
	if p.grace == nil {
		return
	}
	if p.grace.Stop() {
		r.tracker.graces.Done()
	}
	p.grace = nil
}

// stopGraces ends all graces, and what else waits; the users stay. It takes mu.
func (r *room) stopGraces() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.first; p != nil; p = p.next {
		r.stopGrace(p)
	}
	r.stopCount()
}

// find returns the user's person, or nil.
func (r *room) find(id chat.UserID) *person {
	if r.index != nil {
		return r.index[id]
	}
	for p := r.first; p != nil; p = p.next {
		if p.user.ID == id {
			return p
		}
	}
	return nil
}

// link appends p to the users and keeps the index.
func (r *room) link(p *person) {
	p.prev = r.last
	if r.last == nil {
		r.first = p
	} else {
		r.last.next = p
	}
	r.last = p
	r.users++
	switch {
	case r.index != nil:
		r.index[p.user.ID] = p
	case r.users >= indexFrom:
		r.index = make(map[chat.UserID]*person, 2*indexFrom)
		for p := r.first; p != nil; p = p.next {
			r.index[p.user.ID] = p
		}
	}
}

// unlink takes p out of the users and of the index.
func (r *room) unlink(p *person) {
	if p.prev == nil {
		r.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		r.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
	r.users--
	delete(r.index, p.user.ID)
	if r.users < indexFrom/2 { // a map does not shrink
		r.index = nil
	}
}
