// Package store states the contract of Tertulia's durable truth: the logs of
// the rooms, and the rules by which they grow.
//
// What every implementation promises (internal/store/storetest has a named
// case for each sentence):
//
//   - An event that Append has returned is on stable storage, and survives a
//     crash of the process, of the system, and of the power supply if the
//     disk honours flushes.
//   - The seqs of a room are 1..head without a hole, at every instant and
//     after every crash.
//   - One (room, actor, nonce) is stored once for as long as the event, or
//     what a deletion left of it, exists.
//   - A batch is stored whole or not at all, save for the rows refused by
//     name; rows of one room keep the order that they have in the batch.
//   - At never goes back within a room, and ids are unique and at most 2^53−1.
//     Within a room ids rise with the seqs.
//   - What an event changes (a message's current form, the standing of a
//     member, the settings of a room) changes in the transaction that stores
//     the event, so that the state is always what the log says.
//   - A condition holds in the very transaction that stores its row.
//   - What a read returns is one snapshot: a page and the room state beside
//     it belong together.
package store

import (
	"context"
	"errors"
	"time"

	"tertulia/chat"
)

// ErrUnknown marks an outcome that nobody knows: the batch may be stored or
// not. The caller runs the very same batch again, whole and with the same
// nonces, until there is an answer; rows already stored come back as
// duplicates.
var ErrUnknown = errors.New("store: outcome unknown")

// ErrUnavailable marks a failure after which nothing was stored. The same
// batch may succeed later.
var ErrUnavailable = errors.New("store: unavailable")

// ErrBroken marks a store that must not be used again, for instance after a
// failed fsync, where a retry could report success for lost data. The process
// exits.
var ErrBroken = errors.New("store: broken")

// Append is one event to be stored.
type Append struct {
	Room  chat.RoomID
	Kind  chat.Kind // durable
	Actor chat.User
	// Nonce may be empty. A store that can answer ErrUnknown first fills empty
	// ones in, in the caller's slice, so that running it again is safe; such
	// nonces begin with a space, which no client's nonce does.
	Nonce chat.Nonce
	// Body is a JSON object. The store keeps these bytes as they are.
	Body []byte
	// MayCreate lets this event begin the log of a room that has none.
	// Without it such an event is refused with chat.RoomNotFound.
	MayCreate bool

	// Target is the seq of the message that an edit or a deletion changes; the
	// row is refused with chat.MessageNotFound if there is none, or if it was
	// deleted or trimmed. The message takes the Body of an edit as its own. A
	// deletion leaves {} as the Body of the message, which is Deleted from then
	// on, and of all its edits. Other kinds have no target.
	Target uint64
	// Member is the Subject's standing from a membership event on: its User,
	// State and Role count. In StateNone and StateBanned the role is RoleNone
	// whatever it says. JoinedAt is the event's At if the user comes to be in
	// StateJoined by it. An empty name leaves the one that is known.
	//
	// Of KindMessagesErased the User's id counts alone: of that user's
	// messages up to here, and of all edits of them, is left what a deletion
	// leaves; of a message that was trimmed, the user's own edits. Those deleted
	// before stay as they are.
	Member *chat.Member
	// Settings are the room's from a KindRoomCreated or KindRoomUpdated on.
	// Keep.Age loses what is less than a second.
	Settings *chat.Settings

	Condition
}

// Condition is what must hold for a row to be stored. Its zero value asks for
// nothing. The conditions are looked at in the order of the fields, and after
// Live whether the Target is there. To them, a room without a log is an open
// one in which nobody has a standing.
type Condition struct {
	// With refuses the row if the one before it in the batch was refused, and
	// by the same error.
	With bool
	// New refuses the row with chat.RoomExists if the room has a log. A repeat
	// under the same nonce and actor is a duplicate all the same.
	New bool
	// Role is the least role of the Actor, else chat.Forbidden, or chat.Banned
	// for who is banned. In an open room everybody who is not banned is a
	// member at least; elsewhere only who has joined has a role. RoleNone
	// asks for nothing, of the banned neither.
	Role chat.Role
	// Live refuses the row with chat.RoomReadOnly in an archived room.
	Live bool
	// Own refuses the row with chat.Forbidden if Target is somebody else's,
	// unless Over is not RoleNone and the Actor's role is Over or higher. It
	// asks for nothing of kinds without a target.
	Own  bool
	Over chat.Role
	// Versioned refuses the row with chat.VersionConflict unless Version is
	// that of what the row changes: Member.Version of the Subject (0: never
	// had a standing), Room.Version, or Event.Changed of the Target. It asks
	// for nothing of KindMessage and KindMessagesErased.
	Versioned bool
	Version   uint64
	// Owned refuses a membership event with chat.Forbidden if others than its
	// Subject have joined and none of them is an owner, unless the Subject is
	// one from then on.
	Owned bool
}

// Result is the fate of one [Append].
type Result struct {
	// Event is complete if Err is nil. For a duplicate it is the event that was
	// stored the first time, in its current form; otherwise it shares its Body
	// with the row, so nobody changes that any more. Event.Follows may be 0; a
	// store whose failover may lose events says it unless what came before has
	// been trimmed.
	Event     chat.Event
	Duplicate bool
	// Err is a *chat.Error: RoomNotFound, MessageNotFound, one that a condition
	// names, IdempotencyConflict if the nonce was used for another kind, target,
	// standing (but for its name), settings or body, or Internal for a kind that
	// is not stored or has no Member or Settings where it needs them. A repeat is
	// answered before any condition is looked at. A refused row changes nothing.
	Err error
}

// Appender lets logs grow. Append may be called from one goroutine at a time
// for each of Writers lanes.
type Appender interface {
	// Writers is the number of batches that the store takes in parallel.
	// Rooms are divided among that many lanes by the caller, so that no room
	// is ever in two batches at once.
	Writers() int
	// Append stores a batch in one transaction and returns one result for
	// each row, in order. Within the batch, a repeated (room, actor, nonce)
	// is a duplicate of the first. On an error there are no results, and the
	// error wraps ErrUnknown, ErrUnavailable or ErrBroken. A context that has
	// ended before the work begins is ErrUnavailable; one that ends later does
	// not end a commit already under way. The caller keeps batch, the store
	// keeps nothing of it afterwards. After ErrBroken every call is ErrBroken.
	//
	// A message moves its author's own mark, as a trusted Mark would with Read
	// at the message's seq, if the author has, or had, a standing or a mark in
	// the room.
	Append(ctx context.Context, batch []Append) ([]Result, error)
}

// Page is a run of events and the room as it was in the same snapshot.
type Page struct {
	Room   chat.Room
	Events []chat.Event // rising seq
}

// Head is how far the log of a room goes. Two logs may end at the same seq,
// one of them being what a failover or a backup has made of the other: then
// the tags differ.
type Head struct {
	Room chat.Room
	Tag  uint32 // of the event at Room.Head
}

// Limit bounds a page by events and by the bytes of their bodies, whichever
// comes first; a page that is not at its end holds at least one event, so
// numbers below 1 mean one event. No more memory is taken than the page needs
// and one event besides.
type Limit struct {
	Events int
	Bytes  int
	// Only leaves out events of other kinds, which then count for nothing; 0 is
	// every kind.
	Only chat.Kind
	// Patient says that the reader waits a tenth of a second rather than cost a
	// read of its own where many read at the same time.
	Patient bool
}

// Reader reads logs; it may be called from any goroutine. Errors wrap
// ErrUnavailable or ErrBroken, or are the context's.
type Reader interface {
	// Epoch is the life of logs that do not exist yet.
	Epoch() string
	// Room returns a room's state; for one without a log, Exists is false and
	// the error nil.
	Room(ctx context.Context, id chat.RoomID) (chat.Room, error)
	// Heads returns the rooms among ids that have a log, each once and in any
	// order.
	Heads(ctx context.Context, ids []chat.RoomID) ([]Head, error)
	// After returns the first events with seq > after, oldest first; none if
	// after is at or beyond the head.
	After(ctx context.Context, id chat.RoomID, after uint64, limit Limit) (Page, error)
	// Before returns the last events with seq < before, oldest first;
	// before 0 means the end of the log.
	Before(ctx context.Context, id chat.RoomID, before uint64, limit Limit) (Page, error)
}

// Members reads and marks the standings of users in rooms. All methods may be
// called from any goroutine. Errors are as for Reader, for Mark as for Append.
// A limit below 1 returns nothing, here and below.
type Members interface {
	// Member returns a room and the standing of one user in it, of one
	// instant. Who has none is the zero Member but for Room and User.ID, also
	// in a room without a log.
	Member(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Room, chat.Member, error)
	// Arrivals returns, for each of some users who come into rooms, what Member
	// returns, and whether the user's account is disabled, in the order of what
	// was asked.
	Arrivals(ctx context.Context, asked []Arrival) ([]Arrived, error)
	// Members returns up to limit of those in the room whose user id is above
	// after, in the order of their ids, byte by byte, in one of the states.
	// Who has left, or has a mark only, is in StateNone.
	Members(ctx context.Context, room chat.RoomID, states []chat.State, after chat.UserID, limit int) ([]chat.Member, error)
	// Standings returns up to limit of the rooms with an id above after, in the
	// order of their ids, byte by byte, in which the user is invited, has
	// joined, or has a mark that is not zero; each with the user's standing.
	Standings(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) ([]Standing, error)
	// Mark moves marks forward in one transaction; nothing moves back. Read
	// and Delivered beyond the head are the head. Read moves Delivered along.
	// Messages that were trimmed above a Read count as read. A mark that moves
	// brings the user's name with it, if that is not empty. Marks for one user
	// follow one another in their order.
	//
	// Rooms without a log, users who are banned, and users without the role of
	// a member (see Condition.Role) are refused by their result: RoomNotFound,
	// Banned, Forbidden. A refused mark leaves the others of its call.
	Mark(ctx context.Context, marks []Mark) ([]Marked, error)
}

// Standing is a room as one user sees it.
type Standing struct {
	Room   chat.Room
	Member chat.Member
}

// Arrival is a user who comes into a room.
type Arrival struct {
	Room chat.RoomID
	User chat.UserID
}

// Arrived is what there is to know of an [Arrival].
type Arrived struct {
	Standing
	Disabled bool // the user's account, anywhere
}

// Mark is a wish to move a user's mark. Zero moves nothing.
type Mark struct {
	Room            chat.RoomID
	User            chat.User
	Read, Delivered uint64
	// Private, if not nil, says whether the mark is shown to others.
	Private *bool
	// Trusted leaves out the check of the user's role.
	Trusted bool
}

// Marked is the fate of one [Mark].
type Marked struct {
	Member chat.Member // with the mark as it is now, if Err is nil
	Moved  bool        // something has changed
	Err    error       // a *chat.Error
}

// Directory lists rooms. Its methods may be called from any goroutine; errors
// are as for Reader.
type Directory interface {
	// Rooms returns up to limit rooms with an id above after, in the order of
	// their ids, byte by byte, that have one of the kinds of access; archived
	// ones too.
	Rooms(ctx context.Context, access []chat.Access, after chat.RoomID, limit int) ([]chat.Room, error)
	// Find returns the event with an id, of any kind, which must be in the
	// room and not trimmed, else chat.MessageNotFound; chat.RoomNotFound if
	// there is no room.
	Find(ctx context.Context, room chat.RoomID, id int64) (chat.Event, error)
	// Wrote returns up to limit rooms with an id above after that hold
	// messages of the user with a body. It may be slow.
	Wrote(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) ([]chat.RoomID, error)
	// Trim removes what exceeds keep from the old end of a room's log, at most
	// 10,000 events a call, never the newest event, and returns the room as it
	// is then; more says that something is left to be trimmed. Rows removed
	// take their nonces with them; edits and marks may outlive what they are
	// about. A room without a log has nothing to trim. Errors are as for Append.
	Trim(ctx context.Context, room chat.RoomID, keep chat.Retention) (r chat.Room, more bool, err error)
}

// Accounts keeps what is known of users beyond any room. All methods may be
// called from any goroutine. Errors are as for Reader and, where something is
// written, as for Append.
type Accounts interface {
	// PutAccount makes or changes an account: its Name and Disabled. The rest
	// stays; CreatedAt is when the account was made, by the store's clock. It
	// returns the account.
	PutAccount(ctx context.Context, a chat.Account) (chat.Account, error)
	// Account returns an account; ok is false if there is none.
	Account(ctx context.Context, id chat.UserID) (a chat.Account, ok bool, err error)
	// Accounts returns up to limit accounts with an id above after, in the
	// order of their ids, byte by byte.
	Accounts(ctx context.Context, after chat.UserID, limit int) ([]chat.Account, error)
	// Seen notes when users were connected last (whole milliseconds), and makes
	// accounts for those who have none. It never goes back. An account without
	// a name takes the user's.
	Seen(ctx context.Context, users []chat.User, at time.Time) error
	// Revoke voids the tokens of a user issued before an instant (whole
	// seconds; a fraction is cut), and makes an account without a name if there
	// is none. It never goes back.
	Revoke(ctx context.Context, id chat.UserID, before time.Time) error
	// RevokeToken voids one token by its id; it is remembered until an
	// instant, when the token has expired anyway.
	RevokeToken(ctx context.Context, tokenID string, until time.Time) error
	// Validity returns what stands against each of some credentials, in their
	// order. A token is revoked if RevokeToken was called
	// for its id; after its until the answer may be either.
	Validity(ctx context.Context, credentials []chat.Credential) ([]chat.Validity, error)
}

// Store is the whole contract. A store belongs to one process or is shared,
// as its implementation says.
type Store interface {
	Appender
	Reader
	Members
	Directory
	Accounts
	// Ping reports whether the store could store now; the error says why not
	// in words for an operator. It may be called from any goroutine.
	Ping(ctx context.Context) error
	// Close waits for calls under way, then lets go of everything. Later calls
	// are ErrUnavailable; closing again does nothing.
	Close() error
}
