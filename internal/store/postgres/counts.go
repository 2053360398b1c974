package postgres

import "tertulia/internal/count"

// Counts are how long the database took, the way there and back with it,
// without waiting for a connection.
type Counts struct {
	// Append is for each statement that writes, Read for each that reads.
	Append, Read *count.Histogram
}

func newCounts() *Counts {
	return &Counts{Append: count.NewStoreDurations(), Read: count.NewStoreDurations()}
}

// Counts returns the store's counts, which go on rising.
func (s *Store) Counts() *Counts { return s.counts }
