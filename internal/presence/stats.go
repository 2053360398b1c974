package presence

import "tertulia/chat"

// Scope says whose sessions are counted.
type Scope int

const (
	// Cluster is all nodes, as far as this one has heard of them.
	Cluster Scope = iota
	// Node is this node alone.
	Node
)

// Stats counts what is connected now. A user in grace has no session and is
// not counted, nor is a room listed that has only such users; Snapshot.Count
// does count them.
type Stats struct {
	// Connections and Users are the sums over Rooms: a session or a user in
	// two rooms is counted in both.
	Connections int
	Users       int
	// Rooms has the rooms with at least one session.
	Rooms map[chat.RoomID]RoomStats
}

// RoomStats is one room of [Stats].
type RoomStats struct {
	Connections int // sessions
	Users       int // distinct users with a session, each once however many nodes they are on
}

// Stats reads the counters of each room; it walks no users.
func (t *Tracker) Stats(scope Scope) Stats {
	rooms := t.all()
	s := Stats{Rooms: make(map[chat.RoomID]RoomStats, len(rooms))}
	for _, r := range rooms {
		rs := r.stats(scope)
		if rs.Connections == 0 {
			continue
		}
		s.Rooms[r.id] = rs
		s.Connections += rs.Connections
		s.Users += rs.Users
	}
	return s
}

// stats takes mu.
func (r *room) stats(scope Scope) RoomStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	if scope == Node {
		return RoomStats{Connections: int(r.sessions), Users: int(r.attached)}
	}
	return RoomStats{Connections: int(r.sessions + r.elsewhere), Users: int(r.anywhere)}
}

// Online counts the users with a session on this node, each once however many
// rooms they are in, and the rooms that they are in. It walks all of them, one room's
// lock at a time, and is meant for who asks every few seconds.
func (t *Tracker) Online() (users, rooms int) {
	seen := make(map[chat.UserID]struct{})
	for _, r := range t.all() {
		if r.see(seen) {
			rooms++
		}
	}
	return len(seen), rooms
}

// see adds the users with a session in r and reports whether there are any.
// It takes mu.
func (r *room) see(seen map[chat.UserID]struct{}) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.first; p != nil; p = p.next {
		if p.sessions > 0 {
			seen[p.user.ID] = struct{}{}
		}
	}
	return r.attached > 0
}

// IsHere reports whether a user is in a room, on whatever node, the grace
// included. It asks room by room.
func (t *Tracker) IsHere(id chat.UserID) bool {
	for _, r := range t.all() {
		if r.has(id) {
			return true
		}
	}
	return false
}

// has takes mu.
func (r *room) has(id chat.UserID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(id) != nil
}
