package count

import "time"

// What a store reads; the labels of [Store.Reads].
const (
	ReadHistory = "history" // a part of a log
	ReadRoom    = "room"    // the state of rooms
	ReadMember  = "member"  // standings in rooms
	ReadAccount = "account"
)

// Store is what a store counts, which goes on rising. It is the same for every
// store, so that they can be compared.
type Store struct {
	// Append and Read are how long each statement or transaction took that
	// wrote, or read, the way to the database and back with it, without
	// waiting for a connection.
	Append, Read *Histogram
	// Reads are those of Read that belong to rooms and users, by what was read.
	Reads *Set
}

// NewStore returns the counts of a store that has done nothing yet.
func NewStore() *Store {
	return &Store{Append: newStoreDurations(), Read: newStoreDurations(), Reads: NewSet(ReadHistory, ReadRoom, ReadMember, ReadAccount)}
}

// newStoreDurations makes a histogram of how long a store takes: from a read in
// memory to what nobody waits for any longer.
func newStoreDurations() *Histogram {
	return NewDurations(50*time.Microsecond, 100*time.Microsecond, 250*time.Microsecond, 500*time.Microsecond,
		time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond,
		50*time.Millisecond, 100*time.Millisecond, 250*time.Millisecond, time.Second, 2500*time.Millisecond, 10*time.Second)
}
