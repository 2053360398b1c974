package hub

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// mendEvents is how many of the newest events are in memory again after a
// change of the log: more than the 200 of the longest history on connect.
const mendEvents = 256

// mend sees to it that what a reader needs is in the tail again, if a change of
// the log has cut it: it is read once, whoever waits for it. Where that fails,
// or takes longer than ctx, the reader reads for itself.
func (f *Feed) mend(ctx context.Context, opt AttachOptions) {
	f.mu.Lock()
	if !f.cut || !f.needs(opt) {
		f.mu.Unlock()
		return
	}
	mended := f.mending
	if mended == nil {
		mended = make(chan struct{})
		if before := f.tail.first(); f.hub.spawn(func() { f.readTail(before, mended) }) {
			f.mending = mended
		} else {
			close(mended) // the hub is closing
		}
	}
	f.mu.Unlock()
	select {
	case <-mended:
	case <-ctx.Done():
	}
}

// needs reports whether a reader is to be given events that are older than the
// tail. The caller holds f.mu.
func (f *Feed) needs(opt AttachOptions) bool {
	if opt.After != nil {
		return opt.After.Seq < f.tail.first()
	}
	return opt.Recent > 0 && f.next-f.tail.first() < mendEvents
}

// readTail reads what comes before the seq at which the tail begins, and closes
// mended.
func (f *Feed) readTail(before uint64, mended chan struct{}) {
	defer close(mended)
	ctx, cancel := context.WithTimeout(f.hub.ctx, openTimeout)
	defer cancel()
	changes := f.changeCount()
	limit := store.Limit{Events: mendEvents, Bytes: f.hub.cfg.TailBytes / 2}
	page, err := f.hub.cfg.Log.Before(ctx, f.room, before, limit)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mending = nil
	if err != nil || page.Room.Epoch != f.epoch || f.tail.first() != before { // the tail has moved on
		return
	}
	if len(page.Events) == 0 { // retention has taken them
		f.cut = false
		return
	}
	// Another change may have come meanwhile.
	if first := page.Events[0].Seq; !f.changes.touch(first, before-1, changes) {
		f.tail.prepend(f.encode(page.Events), f.hub.cfg.TailBytes)
		f.cut = false
	}
}

// encode makes a tail of events.
func (f *Feed) encode(events []chat.Event) (t tail) {
	buf := f.hub.scratch()
	defer f.hub.putScratch(buf)
	for i := range events {
		e := &events[i]
		*buf = f.hub.cfg.Encode.Durable((*buf)[:0], e)
		t.add(e.Seq, *buf, e.Tag, hides(e), f.hub.cfg.TailBytes)
	}
	return t
}
