package room

import (
	"time"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/store"
)

// Source is the way by which a post has come.
type Source uint8

// The sources. What says nothing else comes over a WebSocket.
const (
	FromSocket Source = iota
	FromREST
	sources
)

var sourceNames = [sources]string{"ws", "rest"}

// Counts are what the rooms of a node have done since it began.
type Counts struct {
	// Deduplicated are the posts that had been stored before.
	Deduplicated count.Counter
	// Rejected are the posts that were not stored, by chat.Code.
	Rejected *count.Set
	// Typing are the events that say who begins or ends to type.
	Typing count.Counter
	// Marks are the read marks that were stored and moved by that; several
	// calls of one moment for one user and room are one.
	Marks count.Counter
	// StoreTime is how long the store takes for a batch, and Batch how many
	// rows that has.
	StoreTime, Batch *count.Histogram

	accepted [sources]count.Counter
}

func newCounts() *Counts {
	codes := []string{}
	for code := range chat.Codes {
		if code != chat.Internal {
			codes = append(codes, string(code))
		}
	}
	return &Counts{
		Rejected: count.NewSet(append(codes, string(chat.Internal))...),
		StoreTime: count.NewDurations(500*time.Microsecond, time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond,
			10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 250*time.Millisecond,
			500*time.Millisecond, time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second),
		Batch: count.NewHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, maxBatchRows),
	}
}

// Counts returns the counts of the service, which go on rising.
func (s *Service) Counts() *Counts { return s.counts }

// Accepted yields the messages that were stored, by source.
func (c *Counts) Accepted(yield func(source string, n uint64) bool) {
	for i, name := range sourceNames {
		if !yield(name, c.accepted[i].Value()) {
			return
		}
	}
}

// stored counts what has become of a batch's messages.
func (c *Counts) stored(b *batch, results []store.Result) {
	for i := range results {
		switch r := &results[i]; {
		case b.rows[i].Kind != chat.KindMessage:
		case r.Err != nil:
			c.refused(chat.AsError(r.Err))
		case r.Duplicate:
			c.Deduplicated.Inc()
		default:
			c.accepted[b.waiters[i].source].Inc()
		}
	}
}

// dropped counts the messages of a batch that was not stored, or not known to
// be.
func (c *Counts) dropped(b *batch, why *chat.Error) {
	for i := range b.rows {
		if b.rows[i].Kind == chat.KindMessage {
			c.refused(why)
		}
	}
}

func (c *Counts) refused(why *chat.Error) { c.Rejected.Of(string(why.Code)).Inc() }
