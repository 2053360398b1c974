package hub

import (
	"context"
	"sync"
	"time"

	"tertulia/internal/count"
	"tertulia/internal/store"
)

// doubtWait is how long doubts are collected before the store is asked: a bus
// that has lost its line doubts all topics one after the other, and ten reads
// then do for 10,000 feeds.
const doubtWait = 50 * time.Millisecond

// doubts are the feeds that the bus, or an event, has cast doubt on.
type doubts struct {
	wake chan struct{} // one slot

	mu    sync.Mutex
	feeds map[*Feed]string // and why, the newest reason of lookLoss and lookConflict
}

func newDoubts() doubts {
	return doubts{wake: make(chan struct{}, 1), feeds: make(map[*Feed]string)}
}

// doubt has a feed of a room be compared with the store soon, for a reason. It
// waits for nobody.
func (h *Hub) doubt(f *Feed, why string) {
	h.doubts.mu.Lock()
	h.doubts.feeds[f] = why
	h.doubts.mu.Unlock()
	select {
	case h.doubts.wake <- struct{}{}:
	default:
	}
}

// take returns the feeds in doubt that are ready, also those without a reader:
// the next one is not to begin with what is old. One that is being opened is
// compared at the next check of heads. looks counts them.
func (d *doubts) take(looks *count.Set) []*Feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	feeds := make([]*Feed, 0, len(d.feeds))
	for f, why := range d.feeds {
		if f.isReady() {
			looks.Of(why).Inc()
			feeds = append(feeds, f)
		}
	}
	clear(d.feeds)
	return feeds
}

// settleDoubts collects doubts for a moment and asks the store about them.
func (h *Hub) settleDoubts() {
	select {
	case <-h.ctx.Done():
		return
	case <-time.After(doubtWait):
	}
	h.compare(h.doubts.take(h.counts.Looks))
}

// dispute notes an event of a seq that the feed has, if its tag is another:
// one of the two is not in the log, as after the failover to a store that
// lacked the newest events. The caller holds f.mu.
func (f *Feed) dispute(seq uint64, tag uint32) {
	if f.tail.contradicts(seq, tag) {
		f.disputed = seq
		f.hub.doubt(f, lookConflict)
	}
}

// undispute ends a dispute: the feed is right.
func (f *Feed) undispute() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disputed = 0
}

// settleDispute asks the log which event has the disputed seq, and evicts the
// feed if it is not the feed's own.
func (f *Feed) settleDispute() {
	f.mu.Lock()
	seq := f.disputed
	tag, ok := f.tail.tag(seq)
	f.mu.Unlock()
	if !ok { // none, or long past
		f.undispute()
		return
	}
	ctx, cancel := context.WithTimeout(f.hub.ctx, headsTime)
	defer cancel()
	page, err := f.hub.cfg.Log.After(ctx, f.room, seq-1, store.Limit{Events: 1, Bytes: 1})
	switch {
	case err != nil:
		f.active.Store(true)
		f.hub.cfg.Logger.Warn("look up a disputed event", "room_id", f.room, "seq", seq, "error", err)
	case len(page.Events) == 0 || page.Events[0].Seq == seq && page.Events[0].Tag != tag:
		f.evict(page.Room)
	default:
		f.undispute()
	}
}
