package sqlite

import "tertulia/internal/count"

// Counts are how long the database took, without waiting for a connection.
type Counts struct {
	// Append is for each write transaction, Read for each read.
	Append, Read *count.Histogram
}

func newCounts() *Counts {
	return &Counts{Append: count.NewStoreDurations(), Read: count.NewStoreDurations()}
}

// Counts returns the store's counts, which go on rising.
func (s *Store) Counts() *Counts { return s.counts }
