package chat

import "time"

// Member is a user's standing in one room, and how far the user has read.
// A user who has no standing may still have a mark, in an open room.
type Member struct {
	Room RoomID
	// User is the member, under the name that the server knew last.
	User  User
	State State
	// Role is what a member may do, or would after accepting an invitation;
	// RoleNone in the other states.
	Role Role
	// Version is the seq of the event that gave the user this standing, 0 if
	// none ever did.
	Version uint64
	// JoinedAt is when the user joined; zero unless State is StateJoined.
	JoinedAt time.Time
	Mark     Mark
}

// State is where a user stands in a room.
type State uint8

const (
	StateNone State = iota // never was in it, or has left
	StateInvited
	StateJoined
	StateBanned // may not come back until unbanned
)

var stateWords = [...]string{"none", "invited", "joined", "banned"}

func (s State) String() string { return stateWords[s] }

// ParseState reads the word for a state; ok is false for any other.
func ParseState(s string) (state State, ok bool) {
	for i, word := range stateWords {
		if s == word {
			return State(i), true
		}
	}
	return 0, false
}

// Role is what a member may do in a room. A higher role may do all that a
// lower one may.
type Role uint8

const (
	RoleNone Role = iota
	RoleMember
	RoleModerator
	RoleOwner
)

var roleWords = [...]string{"none", "member", "moderator", "owner"}

func (r Role) String() string { return roleWords[r] }

// ParseRole reads the word for a role that a member can have; ok is false for
// any other word.
func ParseRole(s string) (r Role, ok bool) {
	for i, word := range roleWords[1:] {
		if s == word {
			return Role(i + 1), true
		}
	}
	return RoleNone, false
}

// Mark is how far a user has come in a room. It never goes back.
type Mark struct {
	// Read and Delivered are seqs; Read ≤ Delivered ≤ the room's head.
	Read, Delivered uint64
	// ReadMsgs counts the room's messages up to Read, so that the unread ones
	// are Room.Msgs − ReadMsgs.
	ReadMsgs uint64
	// Private marks are not shown to others.
	Private bool
}

// Unread is the number of messages after the mark in a room with so many.
func (m Mark) Unread(msgs uint64) uint64 { return msgs - min(m.ReadMsgs, msgs) }

// Account is what the server knows of a user beyond any room.
type Account struct {
	User
	CreatedAt time.Time
	// SeenAt is when the user was last connected, zero if never.
	SeenAt time.Time
	// Disabled accounts may not connect or ask for anything.
	Disabled bool
	// RevokedBefore voids the tokens issued before it; zero voids none.
	RevokedBefore time.Time
}
