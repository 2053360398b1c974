package crashtest

import (
	"fmt"
	"strings"
)

// Anomaly is something that must not happen.
type Anomaly uint8

// The anomalies. A sender is one user in one room.
const (
	// Lost: a message was acknowledged and is not stored.
	Lost Anomaly = iota
	// Undelivered: a message is stored, and a reader that was there to the
	// end did not get so far.
	Undelivered
	// Double: one nonce of one sender is stored twice.
	Double
	// DupDelivery: a reader was given a seq that it already had.
	DupDelivery
	// Phantom: a message was stored or delivered that nobody sent, or of
	// which every attempt was refused.
	Phantom
	// Hole: the stored seqs are not 1, 2, 3… up to the head, or a reader was
	// never given a seq between two that it got.
	Hole
	// Swap: a reader was given a seq after a later one.
	Swap
	// Divergence: at one seq of one room, two observers saw different
	// messages. The store counts as an observer.
	Divergence
	// AckMismatch: an acknowledgement names another seq or id than the store
	// has, or the content is not what was sent.
	AckMismatch
	// FIFO: messages of one sender are stored, or acknowledged, in another
	// order than they were sent. It presumes a sender that sends again, in
	// order, what was not acknowledged, before anything new; and that gives
	// up a message that was refused.
	FIFO

	anomalies // their number
)

var anomalyNames = [anomalies]string{
	"A1 lost", "A2 undelivered", "A3 double", "A4 dup-delivery", "A5 phantom", "A6 hole",
	"A7 swap", "A8 divergence", "A9 ack-mismatch", "A10 fifo",
}

func (a Anomaly) String() string { return anomalyNames[a] }

// Report is what a history came to.
type Report struct {
	Acked, Stored, Delivered uint64
	Count                    [anomalies]uint64
	// Examples describe the first anomalies found, maxExamples at most.
	Examples []string
}

const maxExamples = 20

// Anomalies is the number of anomalies of all kinds.
func (r *Report) Anomalies() uint64 {
	var sum uint64
	for _, n := range r.Count {
		sum += n
	}
	return sum
}

// Add adds what another history came to.
func (r *Report) Add(other Report) {
	r.Acked, r.Stored, r.Delivered = r.Acked+other.Acked, r.Stored+other.Stored, r.Delivered+other.Delivered
	for a, n := range other.Count {
		r.Count[a] += n
	}
	r.Examples = append(r.Examples, other.Examples...)
}

func (r *Report) String() string {
	return fmt.Sprintf("acked=%d stored=%d delivered=%d anomalies=%d", r.Acked, r.Stored, r.Delivered, r.Anomalies())
}

// Details lists the kinds that were found and the examples, one a line.
func (r *Report) Details() string {
	var b strings.Builder
	for a, n := range r.Count {
		if n > 0 {
			fmt.Fprintf(&b, "%s: %d\n", Anomaly(a), n)
		}
	}
	for _, e := range r.Examples {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

func (r *Report) found(a Anomaly, format string, args ...any) {
	r.Count[a]++
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, a.String()+": "+fmt.Sprintf(format, args...))
	}
}
