package chat

import "time"

// Room is the state of one room and of its log.
type Room struct {
	ID RoomID
	// Exists is false for a room that has no event yet; the other fields
	// then describe the empty log that its first event would begin.
	Exists bool
	Settings
	// Version is the seq of the event that gave the room its Settings, 0 if
	// none did: a room that began with its first message.
	Version   uint64
	CreatedAt time.Time
	// Members counts those who have joined.
	Members int

	Epoch string
	// Head is the highest committed seq, 0 for an empty log.
	Head uint64
	// Floor is the lowest seq still kept, 1 if nothing was trimmed.
	Floor uint64
	// Msgs counts messages from the beginning of the log, trimmed ones too.
	Msgs uint64
}

// Settings are what the owners of a room decide.
type Settings struct {
	Access Access
	Title  string // at most MaxTitleBytes
	Topic  string // at most MaxTopicBytes
	// Archived rooms can be read and not written.
	Archived bool
	// Keep bounds the room's log; zero keeps what the server keeps.
	Keep Retention
}

// Retention says how much of a log is kept. What exceeds either bound is
// trimmed from the old end; zero is no bound. The newest event is always kept.
type Retention struct {
	Age    time.Duration // whole seconds
	Events int64
}

// Access says who may be in a room.
type Access uint8

const (
	// AccessOpen: every user, without joining. Rooms that begin with their
	// first message are open, as the prototype's are.
	AccessOpen Access = iota
	// AccessPublic: members; every user may join, and finds the room listed.
	AccessPublic
	// AccessPrivate: members, by invitation. To others it does not exist.
	AccessPrivate
	// AccessDirect: two users, for ever. To others it does not exist.
	AccessDirect
)

var accessWords = [...]string{"open", "public", "private", "direct"}

func (a Access) String() string { return accessWords[a] }

// ParseAccess reads the word for an access; ok is false for any other.
func ParseAccess(s string) (a Access, ok bool) {
	for i, word := range accessWords {
		if s == word {
			return Access(i), true
		}
	}
	return 0, false
}

// Limits on the settings of a room; docs/protocol.md §9 lists them.
const (
	MaxTitleBytes = 128
	MaxTopicBytes = 1024
	// MaxReasonBytes bounds what is said about a deletion, a removal or a ban.
	MaxReasonBytes = 512
)
