package hub

import (
	"time"

	"tertulia/internal/count"
)

// Counts are what a hub has done since it began.
type Counts struct {
	// Resumes are the cursors that readers came back with: complete if the
	// log continues there, gap if not.
	Resumes *count.Set
	// Slow are the readers sent away because they were too far behind.
	Slow count.Counter
	// Looks are the rooms that were compared with the store, by reason: loss,
	// of which the bus has told; conflict, of an event with what was there; check,
	// which is done every now and then.
	Looks *count.Set
	// Healed are the events that the bus had lost, or brought too late, and that
	// were read from the log. Those that it told of by bare ones are not counted.
	Healed count.Counter
	// Rewritten are the logs that were found to be others than what readers had
	// been given.
	Rewritten count.Counter
	// Recipients is how many readers a room has when events come.
	Recipients *count.Histogram

	loops []*loopCounts
}

// The reasons to compare a room with the store.
const (
	lookLoss     = "loss"
	lookConflict = "conflict"
	lookCheck    = "check"
)

// The types of frames that a hub sends.
const (
	sentEvent   = iota // durable
	sentPassing        // typing, presence
	sentReply
	sentClose
	sentTypes
)

var sentNames = [sentTypes]string{"event", "passing", "reply", "close"}

// loopCounts are those of one loop, so that loops do not wait for each other.
type loopCounts struct {
	sent     [sentTypes]count.Counter
	delivery *count.Histogram
}

// newCounts makes the counts of a hub with n loops.
func newCounts(n int) *Counts {
	c := &Counts{
		Resumes:    count.NewSet("complete", "gap"),
		Looks:      count.NewSet(lookLoss, lookConflict, lookCheck),
		Recipients: count.NewHistogram(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
	}
	for range n {
		c.loops = append(c.loops, &loopCounts{delivery: count.NewDurations(deliveryBounds...)})
	}
	return c
}

// deliveryBounds begin where an idle server delivers to one reader.
var deliveryBounds = []time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Counts returns the hub's counts, which go on rising.
func (h *Hub) Counts() *Counts { return h.counts }

// Sent yields how many frames of each type were handed to connections.
func (c *Counts) Sent(yield func(typ string, n uint64) bool) {
	for i, name := range sentNames {
		n := uint64(0)
		for _, l := range c.loops {
			n += l.sent[i].Value()
		}
		if !yield(name, n) {
			return
		}
	}
}

// Delivery is the time from when a feed has an event until a loop has written
// it to all of its readers who take bytes: one value for each pass of a loop
// over a feed with something new, of its oldest new event. There is a
// histogram for each loop.
func (c *Counts) Delivery() (all []*count.Histogram) {
	for _, l := range c.loops {
		all = append(all, l.delivery)
	}
	return all
}

// resumed counts a reader that came with a cursor.
func (c *Counts) resumed(gap Gap) {
	result := "complete"
	if gap != GapNone {
		result = "gap"
	}
	c.Resumes.Of(result).Inc()
}

// taken notes that the feed has had something durable for these loops (bits)
// since now, unless it has been waiting for longer. The caller holds f.mu.
func (f *Feed) taken(loops uint64) {
	readers, now := 0, time.Now()
	for i, subs := range f.subs {
		readers += len(subs)
		if loops&(1<<i) != 0 && f.since[i].IsZero() {
			f.since[i] = now
		}
	}
	f.hub.counts.Recipients.Observe(int64(readers))
}

// publishCounts adds what this pass has done to the counts. It costs one
// addition for each type of frame, however many were sent, and two for each
// feed.
func (l *loop) publishCounts() {
	counts := l.hub.counts.loops[l.id]
	for i, n := range l.sent {
		if n > 0 {
			counts.sent[i].Add(n)
		}
	}
	clear(l.sent[:])
	var now time.Time
	for _, v := range l.noted {
		if v.since.IsZero() {
			continue
		}
		if now.IsZero() {
			now = time.Now()
		}
		counts.delivery.Observe(int64(now.Sub(v.since)))
	}
}
