package sqlite

import "tertulia/internal/count"

// Counts are how long the database took, without waiting for a connection.
type Counts struct {
	// Append is for each write transaction, Read for each read.
	Append, Read *count.Histogram
	// Reads are those of Read that belong to rooms and users, by what was read:
	// a part of a log, the state of rooms, standings in them, accounts.
	Reads *count.Set
}

const (
	readHistory = "history"
	readRoom    = "room"
	readMember  = "member"
	readAccount = "account"
)

func newCounts() *Counts {
	return &Counts{Append: count.NewStoreDurations(), Read: count.NewStoreDurations(), Reads: count.NewSet(readHistory, readRoom, readMember, readAccount)}
}

// Counts returns the store's counts, which go on rising.
func (s *Store) Counts() *Counts { return s.counts }
