package presence

import (
	"sync"
	"time"

	"tertulia/chat"
)

// Statement is what one node says of one user in one room. It stands until the
// node says something else, or is void.
type Statement struct {
	Room chat.RoomID
	User chat.User
	// Sessions is how many the user has there on that node; 0 in the grace.
	Sessions int
	// Here is false for a user who is not there by that node, or no longer.
	Here bool
}

// others is what other nodes say. Its lock makes their statements one stream.
type others struct {
	mu    sync.Mutex
	nodes map[string]*node
}

// node is what one of them says. All of it is guarded by others.mu.
type node struct {
	said map[place]claim
	void *time.Timer // set while it is to be forgotten
}

// place is a user in a room.
type place struct {
	room chat.RoomID
	user chat.UserID
}

// maxSessions bounds what one statement can do to the sums.
const maxSessions = 1 << 20

// claim is a Statement that somebody is here.
type claim struct {
	name     string
	sessions int32
}

// TellTo has tell called with everything that this node has to say to others:
// the calls about one user in one room are in order, and each replaces the one
// before. tell is called under locks (see the package comment), so it waits
// for nobody. TellTo is to be called before the first Join.
func (t *Tracker) TellTo(tell func(Statement)) { t.tell = tell }

// Own returns what this node has to say now of everybody who is here by it. A
// statement that is told while Own runs may be in the answer or not.
func (t *Tracker) Own() []Statement {
	var own []Statement
	for _, r := range t.all() {
		own = r.appendOwn(own)
	}
	return own
}

// appendOwn takes mu.
func (r *room) appendOwn(own []Statement) []Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.first; p != nil; p = p.next {
		if p.own() {
			own = append(own, r.statement(p))
		}
	}
	return own
}

// SetDegraded says whether this node hears the others. It is shown in every
// [Snapshot].
func (t *Tracker) SetDegraded(degraded bool) { t.degraded.Store(degraded) }

// Degraded reports whether this node does not hear the others.
func (t *Tracker) Degraded() bool { return t.degraded.Load() }

// Said takes what a node says, beside what it has said before. Repeating a
// statement changes nothing.
func (t *Tracker) Said(name string, statements []Statement) {
	t.others.mu.Lock()
	defer t.others.mu.Unlock()
	n := t.others.node(name)
	for i := range statements {
		t.hear(n, &statements[i])
	}
}

// Replace takes all that a node says: who is not in statements is not there
// by it. Users who were there before and are still cause no events. A node
// that was to be forgotten is not.
func (t *Tracker) Replace(name string, statements []Statement) {
	t.others.mu.Lock()
	defer t.others.mu.Unlock()
	n := t.others.node(name)
	n.stopVoid(t)
	stale := make(map[place]claim, len(n.said))
	for at, c := range n.said {
		stale[at] = c
	}
	for i := range statements {
		s := &statements[i]
		if s.Here {
			delete(stale, place{s.Room, s.User.ID})
			t.hear(n, s)
		}
	}
	for at := range stale {
		t.unhear(n, at)
	}
}

// Void says that a node does not live any more: its users have no sessions
// there, and leave after the given time unless another node has them, or the
// node comes back with Replace. A node that is void already stays so, with
// the time that it was given.
func (t *Tracker) Void(name string, after time.Duration) {
	t.others.mu.Lock()
	defer t.others.mu.Unlock()
	n := t.others.nodes[name]
	if n == nil || n.void != nil || t.closed.Load() {
		return
	}
	for at, c := range n.said {
		t.hear(n, &Statement{Room: at.room, User: chat.User{ID: at.user, Name: c.name}, Here: true})
	}
	t.graces.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		defer t.graces.Done()
		t.others.mu.Lock()
		defer t.others.mu.Unlock()
		if n.void == timer { // else it came back while this waited for mu
			t.forgetNode(name, n)
		}
	})
	n.void = timer
}

// forgetNode lets go of a node and of all that it said.
func (t *Tracker) forgetNode(name string, n *node) {
	delete(t.others.nodes, name)
	for at := range n.said {
		t.unhear(n, at)
	}
}

// hear takes one statement of a node.
func (t *Tracker) hear(n *node, s *Statement) {
	at := place{s.Room, s.User.ID}
	if !s.Here {
		t.unhear(n, at)
		return
	}
	old, known := n.said[at]
	now := claim{name: s.User.Name, sessions: int32(min(max(s.Sessions, 0), maxSessions))}
	if known && now == old {
		return
	}
	r := t.lockOrMake(s.Room)
	defer r.mu.Unlock()
	p := r.find(s.User.ID)
	switch {
	case p == nil:
		p = &person{user: s.User}
		r.enter(p)
	case !known && p.nodes == maxNodes:
		return
	case !known || now.name != old.name:
		p.user.Name = now.name // the latest name wins
	}
	if !known {
		p.nodes++
	}
	r.weigh(p, old.sessions, now.sessions)
	n.said[place{r.id, p.user.ID}] = now // the room's strings, which are there once
}

// unhear takes back what a node said of a user in a room, if it did.
func (t *Tracker) unhear(n *node, at place) {
	old, known := n.said[at]
	if !known {
		return
	}
	delete(n.said, at)
	r := t.lockOrMake(at.room)
	defer r.mu.Unlock()
	p := r.find(at.user)
	p.nodes--
	r.weigh(p, old.sessions, 0)
	if p.nodes == 0 && !p.own() {
		r.exit(p)
	}
}

// weigh keeps the numbers of sessions on other nodes, of which one says that p
// has now and not old ones.
func (r *room) weigh(p *person, old, now int32) {
	before := p.attached()
	if old > 0 {
		p.live--
	}
	if now > 0 {
		p.live++
	}
	r.elsewhere += now - old
	switch after := p.attached(); {
	case after && !before:
		r.anywhere++
	case before && !after:
		r.anywhere--
	}
}

// node returns what is known of a node. mu is held.
func (o *others) node(name string) *node {
	n := o.nodes[name]
	if n == nil {
		n = &node{said: make(map[place]claim)}
		o.nodes[name] = n
	}
	return n
}

// stopVoid lets a node live that was to be forgotten. others.mu is held.
func (n *node) stopVoid(t *Tracker) {
	if n.void != nil && n.void.Stop() {
		t.graces.Done()
	}
	n.void = nil
}

// stopVoids lets all nodes be, for ever.
func (o *others) stopVoids(t *Tracker) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.nodes {
		n.stopVoid(t)
	}
}
