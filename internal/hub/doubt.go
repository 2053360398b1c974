package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
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

// dispute has the log be asked which event it has at a seq of the feed's: of
// two that were heard of one is not there, as after the failover to a store that
// lacked the newest events. The caller holds f.mu.
func (f *Feed) dispute(seq uint64) {
	f.disputed = seq
	f.hub.doubt(f, lookConflict)
}

// isPast reports whether e has a seq that the feed has, and disputes that if its
// tag is another. The caller holds f.mu.
func (f *Feed) isPast(e *chat.Event) bool {
	if e.Seq >= f.next {
		return false
	}
	if f.tail.contradicts(e.Seq, e.Tag) {
		f.dispute(e.Seq)
	}
	return true
}

// isNext reports whether e is what the feed takes next. If it follows another
// event than the newest of the feed, that one is disputed. The caller holds
// f.mu.
func (f *Feed) isNext(e *chat.Event) bool {
	if e.Seq != f.next || f.disputed != 0 {
		return false
	}
	if !f.fits(e) {
		f.dispute(e.Seq - 1)
		return false
	}
	return true
}

// fits reports whether the event of f.next may follow the newest of the feed, by
// what is known of it. The caller holds f.mu.
func (f *Feed) fits(e *chat.Event) bool {
	tag, ok := f.tail.lastTag()
	return e.Follows == 0 || !ok || e.Follows == tag
}

// undispute ends a dispute: the feed is right. What has been held and follows
// something else is wrong, or will be read from the log. The caller holds f.mu.
func (f *Feed) undispute() {
	f.disputed = 0
	f.held = slices.DeleteFunc(f.held, func(e *chat.Event) bool { return e.Seq == f.next && !f.fits(e) })
}

// inDispute returns the disputed seq and the feed's tag of it; ok is false if
// there is none, or it is long past, and is not disputed any more.
func (f *Feed) inDispute() (seq uint64, tag uint32, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seq = f.disputed
	if tag, ok = f.tail.tag(seq); !ok {
		f.undispute()
	}
	return seq, tag, ok
}

// settleDispute asks the log which event has the disputed seq, and evicts the
// feed if it is not the feed's own.
func (f *Feed) settleDispute() {
	seq, tag, ok := f.inDispute()
	if !ok {
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
		f.mu.Lock()
		f.undispute()
		f.mu.Unlock()
	}
}
