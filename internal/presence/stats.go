package presence

import "tertulia/chat"

// Stats counts what is connected to this node now. A user in grace has no
// session and is not counted, nor is a room listed that has only such users;
// Snapshot.Count does count them.
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
	Users       int // distinct users with a session
}

// Stats reads the counters of each room; it walks no users.
func (t *Tracker) Stats() Stats {
	rooms := t.all()
	s := Stats{Rooms: make(map[chat.RoomID]RoomStats, len(rooms))}
	for _, r := range rooms {
		rs := r.stats()
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
func (r *room) stats() RoomStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RoomStats{Connections: r.sessions, Users: r.attached}
}
