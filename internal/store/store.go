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
//   - What a read returns is one snapshot: a page and the room state beside
//     it belong together.
package store

import (
	"context"
	"errors"

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
}

// Result is the fate of one [Append].
type Result struct {
	// Event is complete if Err is nil. For a duplicate it is the event as it
	// was stored the first time; otherwise it shares its Body with the row,
	// so nobody changes that any more.
	Event     chat.Event
	Duplicate bool
	// Err is a *chat.Error: RoomNotFound, IdempotencyConflict if the nonce was
	// used for another kind or body, or Internal for a kind that is not stored.
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
	Append(ctx context.Context, batch []Append) ([]Result, error)
}

// Page is a run of events and the room as it was in the same snapshot.
type Page struct {
	Room   chat.Room
	Events []chat.Event // rising seq
}

// Limit bounds a page by events and by the bytes of their bodies, whichever
// comes first; a page that is not at its end holds at least one event, so
// numbers below 1 mean one event. No more memory is taken than the page needs
// and one event besides.
type Limit struct {
	Events int
	Bytes  int
}

// Reader reads logs; it may be called from any goroutine. Errors wrap
// ErrUnavailable or ErrBroken, or are the context's.
type Reader interface {
	// Epoch is the life of logs that do not exist yet.
	Epoch() string
	// Room returns a room's state; for one without a log, Exists is false and
	// the error nil.
	Room(ctx context.Context, id chat.RoomID) (chat.Room, error)
	// Heads returns the rooms among ids that have a log, in any order.
	Heads(ctx context.Context, ids []chat.RoomID) ([]chat.Room, error)
	// After returns the first events with seq > after, oldest first; none if
	// after is at or beyond the head.
	After(ctx context.Context, id chat.RoomID, after uint64, limit Limit) (Page, error)
	// Before returns the last events with seq < before, oldest first;
	// before 0 means the end of the log.
	Before(ctx context.Context, id chat.RoomID, before uint64, limit Limit) (Page, error)
}

// Store is the whole contract. A store belongs to one process or is shared,
// as its implementation says.
type Store interface {
	Appender
	Reader
	// Ping reports whether the store could store now; the error says why not
	// in words for an operator. It may be called from any goroutine.
	Ping(ctx context.Context) error
	// Close waits for calls under way, then lets go of everything. Later calls
	// are ErrUnavailable; closing again does nothing.
	Close() error
}
