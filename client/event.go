package client

import (
	"time"

	"tertulia/chat"
)

// Event is what [Room.Events] and [Client.Events] hand over.
//
// Durable, in the order of the room's log: [Message], [MessageEdited],
// [MessageDeleted], [MessagesErased], [RoomUpdated], [MemberChanged] and, of
// kinds that this client does not know, [Other].
//
// About the stream: [Subscribed], [CaughtUp], [Gap], [Unsubscribed] and
// [Malformed].
//
// Passing: [Typing], [Receipt], [PresenceChanged], [Unread], [RoomChanged],
// [ConnectionState], [Renewal] and [ServerError].
type Event interface{ event() }

// Stored is what all durable events have. It moves the reader's cursor.
type Stored struct {
	Room chat.RoomID
	// ID is unique on the server; only Seq orders.
	ID  int64
	Seq uint64
	// From is who did it, under the name of that time; empty if it was the
	// operator or an application.
	From chat.User
	At   time.Time
	// Nonce is the author's; empty if there was none.
	Nonce chat.Nonce
	// Cursor is the place right after this event, for [From].
	Cursor chat.Cursor
}

// Message is what a user said, in the form that it had when it was read. One's
// own messages come too.
type Message struct {
	Stored
	// Content is as the author wrote it: it may hold control characters.
	// It is empty if Deleted.
	Content string
	// Changed is the seq of the latest edit, deletion or erasure that is
	// already in Content, 0 if there was none; ChangedAt is when that was.
	Changed   uint64
	ChangedAt time.Time
	Deleted   bool
}

// MessageEdited gives a message other content.
type MessageEdited struct {
	Stored
	TargetSeq uint64
	MessageID int64
	// Content is empty, and Blank set, if the message was deleted later: the
	// deletion follows.
	Content string
	Blank   bool
}

// MessageDeleted takes a message away.
type MessageDeleted struct {
	Stored
	TargetSeq uint64
	MessageID int64
	Reason    string
}

// MessagesErased deletes all messages of Subject with a lower seq.
type MessagesErased struct {
	Stored
	Subject chat.UserID
}

// RoomUpdated says what a room is like from then on.
type RoomUpdated struct {
	Stored
	// Created marks the room's first event.
	Created  bool
	Settings chat.Settings
}

// MemberChanged gives a user another standing in a room.
type MemberChanged struct {
	Stored
	// Type is the server's word: member_invited, member_added,
	// member_removed, member_banned, member_unbanned or member_role.
	Type   string
	Member chat.User
	State  chat.State
	Role   chat.Role
	Reason string
}

// Other is a durable event of a kind that this client does not know.
type Other struct {
	Stored
	Type string
	// Frame is the whole frame, JSON.
	Frame []byte
}

// Malformed is a durable event that could not be understood; it is left out.
type Malformed struct {
	Stored
	Err error
}

// Subscribed follows each beginning and resumption of a room.
type Subscribed struct {
	Room chat.RoomID
	// Head is the highest seq of the room at that instant.
	Head     uint64
	Settings chat.Settings
	My       Standing
	// Presence is nil if it was not asked for.
	Presence *Presence
	Receipts []Receipt
}

// Standing is the user's own place in a room.
type Standing struct {
	State           chat.State
	Role            chat.Role
	Read, Delivered uint64
	// Unread counts the messages after Read and up to UpTo, a seq.
	Unread, UpTo uint64
	Private      bool
}

// Presence is who is in a room. Users are at most 200, and nil if only the
// number is known.
type Presence struct {
	Count int
	Users []chat.User
}

// CaughtUp says that the reader has taken all that was missed; what follows
// is live. It comes once after each connection.
type CaughtUp struct {
	Room chat.RoomID
	Seq  uint64
}

// GapReason says why events are missing.
type GapReason string

// The reasons (docs/protocol.md §14.3).
const (
	// GapEpoch: the log began another life, by a restore or a failover that
	// lost events. What was handed over before may no longer be in it.
	GapEpoch GapReason = "epoch"
	// GapRetention: the log was trimmed above the cursor.
	GapRetention GapReason = "retention"
	// GapPermission: they are not for this user.
	GapPermission GapReason = "permission"
)

// Gap says that the events From to To, both included, will not be handed
// over. To is less than From if none are known to be missing.
type Gap struct {
	Room     chat.RoomID
	Reason   GapReason
	From, To uint64
}

// Unsubscribed is the last event of a room until it is subscribed to again.
type Unsubscribed struct {
	Room chat.RoomID
	// Err says why: nil if the program asked, a [*RemovedError], or the
	// [*chat.Error] with which the server refused.
	Err error
}

// Typing is a user who begins or stops to write.
type Typing struct {
	Room chat.RoomID
	User chat.User
	On   bool
	// ExpiresIn is how long to show it without hearing of it again.
	ExpiresIn time.Duration
}

// Receipt is how far somebody else has come in a room; the highest counts.
type Receipt struct {
	Room            chat.RoomID
	User            chat.User
	Read, Delivered uint64
}

// PresenceChanged is who has come and gone. In large rooms only Count, how
// many there are now, is told.
type PresenceChanged struct {
	Room         chat.RoomID
	Joined, Left []chat.User
	Count        int
}

// Unread is a new number of unread messages in one of the user's rooms, told
// after [Client.WatchInbox].
type Unread struct {
	Room         chat.RoomID
	Read         uint64
	Unread, UpTo uint64
}

// RoomChanged is a room of the user's list as it is now, told after
// [Client.WatchInbox].
type RoomChanged struct {
	Room     chat.RoomID
	Settings chat.Settings
	My       Standing
}

// ServerError is a refusal that answers nothing that a program waits for.
type ServerError struct {
	Room chat.RoomID
	Err  *chat.Error
}

// Renewal is the end of an attempt to replace the credential of the connection
// before it ends ([WithToken]).
type Renewal struct {
	// ExpiresAt is when the credential ends now.
	ExpiresAt time.Time
	// Err is why it was not replaced: what the token source returned, or the
	// [*chat.Error] of the server; nil if it was. The connection goes on, and
	// another attempt follows.
	Err error
}

func (Message) event()         {}
func (MessageEdited) event()   {}
func (MessageDeleted) event()  {}
func (MessagesErased) event()  {}
func (RoomUpdated) event()     {}
func (MemberChanged) event()   {}
func (Other) event()           {}
func (Malformed) event()       {}
func (Subscribed) event()      {}
func (CaughtUp) event()        {}
func (Gap) event()             {}
func (Unsubscribed) event()    {}
func (Typing) event()          {}
func (Receipt) event()         {}
func (PresenceChanged) event() {}
func (Unread) event()          {}
func (RoomChanged) event()     {}
func (ConnectionState) event() {}
func (Renewal) event()         {}
func (ServerError) event()     {}

// Durable is an event of a room's log.
type Durable interface {
	Event
	// Place returns what all durable events have.
	Place() Stored
}

// Place is [Durable.Place].
func (s Stored) Place() Stored { return s }
