package chat

import "time"

// Kind says what an event is about.
type Kind uint8

// The kinds of event. Durable kinds are in the room's log; passing kinds are
// not stored and have seq 0.
const (
	// KindMessage is durable: what a user said.
	KindMessage Kind = 1 + iota
	// KindUserJoined and KindUserLeft are passing: a user's first session in
	// a room has come, the last has gone.
	KindUserJoined
	KindUserLeft
	// KindTyping and KindTypingStopped are passing.
	KindTyping
	KindTypingStopped
)

// Durable reports whether events of this kind are stored in the room's log.
func (k Kind) Durable() bool { return k == KindMessage }

// Event is a fact about a room. It is immutable once it has left the store
// or has been published: Body is shared by everyone who holds the event.
type Event struct {
	Room RoomID
	Kind Kind
	// Actor is who did it, under the name carried at that time.
	Actor User
	// At is the store's clock at the commit, UTC, whole milliseconds; it
	// never goes back within a room. It is for display and orders nothing.
	At time.Time

	// Seq is the event's place in its room's log, 0 for passing events.
	Seq uint64
	// ID is unique on the server and at most 2^53−1. It may have gaps, and
	// only Seq orders.
	ID int64
	// Epoch names the life of the log that Seq belongs to.
	Epoch string
	// Tag is four random bytes stored with the event, for [Cursor].
	Tag   uint32
	Nonce Nonce
	// Msgs counts the room's messages up to and including this event.
	Msgs uint64
	// Body is a JSON object whose fields depend on Kind; see [MessageBody].
	Body []byte

	// Version orders the presence events of one room on one node; it is 0
	// for other kinds. A snapshot at version v already contains every
	// presence event up to v.
	Version uint64
}

// Cursor returns the place right after e.
func (e *Event) Cursor() Cursor {
	return Cursor{Epoch: e.Epoch, Seq: e.Seq, Tag: e.Tag, HasTag: true}
}

// Room is the state of one room's log.
type Room struct {
	ID RoomID
	// Exists is false for a room that has no event yet; the other fields
	// then describe the empty log that its first event would begin.
	Exists bool
	Title  string
	Epoch  string
	// Head is the highest committed seq, 0 for an empty log.
	Head uint64
	// Floor is the lowest seq still kept, 1 if nothing was trimmed.
	Floor uint64
	// Msgs counts messages from the beginning of the log, trimmed ones too.
	Msgs uint64
}
