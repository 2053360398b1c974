package postgres

import (
	"time"

	"tertulia/internal/count"
)

// Counts are how long the database took, the way there and back with it,
// without waiting for a connection.
type Counts struct {
	// Append is for each statement that writes, Read for each that reads.
	Append, Read *count.Histogram
}

func newCounts() *Counts {
	histogram := func() *count.Histogram {
		return count.NewDurations(50*time.Microsecond, 100*time.Microsecond, 250*time.Microsecond, 500*time.Microsecond,
			time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond,
			50*time.Millisecond, 100*time.Millisecond, 250*time.Millisecond, time.Second, 2500*time.Millisecond, 10*time.Second)
	}
	return &Counts{Append: histogram(), Read: histogram()}
}

// Counts returns the store's counts, which go on rising.
func (s *Store) Counts() *Counts { return s.counts }
