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

	// KindMessageEdited and KindMessageDeleted are durable: the message at
	// Target has other content, or none any more.
	KindMessageEdited
	KindMessageDeleted
	// KindMessagesErased is durable: all that Subject had said so far is blank.
	KindMessagesErased
	// KindRoomCreated and KindRoomUpdated are durable and carry [Settings].
	KindRoomCreated
	KindRoomUpdated
	// The kinds about membership are durable: Subject has another standing.
	KindMemberInvited
	KindMemberAdded
	KindMemberRemoved
	KindMemberBanned
	KindMemberUnbanned
	KindMemberRole

	// KindReceipt is passing: Subject has received or read further, see
	// [MarkBody]. On the user's own topic its Msgs is Mark.ReadMsgs.
	KindReceipt
	// KindPresenceCount is passing: how many are in a room that is too large
	// to name them.
	KindPresenceCount
	// KindRevoked is passing, on the topic of Subject alone: what let the
	// user in is void, see [RevokedBody] and [DisabledBody]. Sessions end that
	// were let in before At.
	KindRevoked
	// KindUnread and KindRoomChanged are passing, and are made on a node for its
	// own readers of an inbox: the number of unread messages in Room is another,
	// see [UnreadBody]; the room or the user's standing in it is, see
	// [RoomChangedBody]. Version orders the two kinds of one user.
	KindUnread
	KindRoomChanged
	// KindAccountChanged is passing, between nodes only: the account of Subject
	// was made or changed.
	KindAccountChanged
	// KindPresence is passing and between nodes only: what one of them says of
	// its own users.
	KindPresence
)

// Durable reports whether events of this kind are stored in the room's log.
func (k Kind) Durable() bool {
	return k == KindMessage || k >= KindMessageEdited && k <= KindMemberRole
}

// Membership reports whether events of this kind change the standing of
// their Subject in the room.
func (k Kind) Membership() bool { return k >= KindMemberInvited && k <= KindMemberRole }

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
	// Tag is four random bytes stored with the event, for [Cursor]. Follows is
	// the Tag of the event before it in the log, where who stored it says so to
	// others; it is 0 in what is read from a log, and if that is not known.
	Tag, Follows uint32
	Nonce        Nonce
	// Target is the seq of the message that an edit or deletion changes and
	// TargetID its id; 0 for other kinds.
	Target   uint64
	TargetID int64
	// Subject is whom an event about membership, an erasure or a receipt is
	// about.
	Subject UserID
	// Changed is the seq of the latest edit, deletion or erasure of a message,
	// 0 if it is as it was posted; ChangedAt is that event's At. Body is the
	// current one, and empty ({}) if Deleted. Together they are a message's
	// current form: an event that was read before carries an older one.
	Changed   uint64
	ChangedAt time.Time
	Deleted   bool
	// Count is how many users are present, for the kinds about presence.
	Count int
	// Msgs counts the room's messages up to and including this event.
	Msgs uint64
	// Body is a JSON object whose fields depend on Kind; see [MessageBody]. A
	// durable event without one is bare.
	Body []byte

	// Version orders the presence events of one room on one node, and what
	// the reader of an inbox is told; it is 0 for other kinds. A snapshot at
	// version v already contains every such event up to v.
	Version uint64
}

// Bare reports whether e says only that the log has it, and not what it says.
// No store returns such an event; nodes may tell each other of events so.
func (e *Event) Bare() bool { return e.Kind.Durable() && len(e.Body) == 0 }

// Stripped returns a durable event as a bare one: without anything that a user
// has written. Who did what, where and when stays. Passing events are returned
// as they are.
func (e *Event) Stripped() Event {
	bare := *e
	if e.Kind.Durable() {
		bare.Body, bare.Nonce, bare.Actor.Name = nil, "", ""
	}
	return bare
}

// Cursor returns the place right after e.
func (e *Event) Cursor() Cursor {
	return Cursor{Epoch: e.Epoch, Seq: e.Seq, Tag: e.Tag, HasTag: true}
}
