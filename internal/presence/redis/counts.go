package redis

import "tertulia/internal/count"

// Counts are what a [Ledger] has done since it began.
type Counts struct {
	// Failed are the exchanges with Redis that it refused, or did not answer.
	Failed count.Counter
	// Forged are the leases, and the fields of pages, that no node of this
	// deployment has sealed; each is counted as often as it is read.
	Forged count.Counter
	// Restated is how often this node has written all that it says: once at
	// the beginning, and whenever something of it was lost.
	Restated count.Counter
}

// Counts returns the ledger's counts, which go on rising.
func (l *Ledger) Counts() *Counts { return &l.counts }
