package client

import (
	"time"

	"tertulia/chat"
)

// Event is what [Room.Events] hands over: one of [Connected], [Message],
// [Joined], [Left], [Typing], [Gap], [StateChanged], [ServerError],
// [Malformed] and [Other].
type Event interface{ event() }

// Connected follows the [StateChanged] to [Online]. History, or what was
// missed, comes after it.
type Connected struct {
	// Active are the users in the room, oneself included; the server caps the
	// list. ActiveCount is their number.
	Active      []chat.User
	ActiveCount int
	// Head is the highest seq of the room at that instant.
	Head uint64
	// Resumed reports whether the server continues after the last event taken.
	Resumed bool
}

// Message is what a user said. One's own messages come too.
type Message struct {
	// ID is unique on the server; only Seq orders.
	ID int64
	// Seq is 0 if the server does not number its messages; such a message is
	// not protected against loss and repetition.
	Seq  uint64
	From chat.User
	// Content is as the author wrote it: it may hold control characters.
	Content string
	At      time.Time
	// Nonce is the author's; empty if there was none.
	Nonce chat.Nonce
	// History marks a message of the past that came with the connection.
	History bool
	// Cursor is the place right after this message, for [Options.Cursor].
	Cursor chat.Cursor
}

// Joined is a user's first session in the room.
type Joined struct{ User chat.User }

// Left is the end of a user's last session in the room.
type Left struct{ User chat.User }

// Typing is a user who begins or stops to write.
type Typing struct {
	User chat.User
	On   bool
	// ExpiresIn is how long to show it without hearing of it again.
	ExpiresIn time.Duration
}

// GapReason says why events are missing.
type GapReason string

// The reasons. The first two are the server's words (docs/protocol.md §6.4).
const (
	// GapEpoch: the log began another life, by a restore or a failover that
	// lost events. What was handed over before may no longer be in it.
	GapEpoch GapReason = "epoch"
	// GapRetention: the log was trimmed above the cursor.
	GapRetention GapReason = "retention"
	// GapHole: a seq was jumped over. Kinds of events that the connection's
	// profile does not carry make such holes too.
	GapHole GapReason = "hole"
)

// Gap says that the events From to To, both included, will not be handed
// over. To is less than From if it is not known that any are missing.
type Gap struct {
	Reason   GapReason
	From, To uint64
	// Epoch is the life of the log that goes on after the gap.
	Epoch string
}

// ServerError is a refusal that answers no post, for example of typing too often.
type ServerError struct{ Err *chat.Error }

// Malformed is a frame that could not be understood and was left out.
type Malformed struct {
	// Seq is the frame's place in the log, 0 if it has none or it was not legible.
	Seq uint64
	Err error
}

// Other is a frame of a type that this client does not know.
type Other struct {
	Type string
	// Seq is its place in the log, 0 for passing events.
	Seq uint64
	// Frame is the whole frame, JSON.
	Frame []byte
}

func (Connected) event()    {}
func (Message) event()      {}
func (Joined) event()       {}
func (Left) event()         {}
func (Typing) event()       {}
func (Gap) event()          {}
func (StateChanged) event() {}
func (ServerError) event()  {}
func (Malformed) event()    {}
func (Other) event()        {}
