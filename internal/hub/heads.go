package hub

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

const (
	// quietEvery is how many ticks of HeadCheck pass between two looks at quiet
	// rooms.
	quietEvery = 5
	// sleptAfter is how late a tick has to be for the process to have been
	// stopped meanwhile.
	sleptAfter = 2 * time.Second
	// headPage is how many rooms one look at the store compares.
	headPage = 1000
	// headsTime bounds one look.
	headsTime = 10 * time.Second
)

// rounds are the ticks of HeadCheck.
type rounds struct {
	every time.Duration
	count int
	last  time.Time
}

// all reports whether the round of now is one in which quiet rooms are looked
// at too: every quietEvery-th, and the first after a sleep (SIGSTOP, a paused
// virtual machine), in which anything may have happened. A sleep shows on one
// of the two clocks: a paused machine's monotonic clock may stand still.
func (r *rounds) all(now time.Time) bool {
	slept := max(now.Sub(r.last), now.Round(0).Sub(r.last.Round(0))) > r.every+sleptAfter
	r.last = now
	all := slept || r.count%quietEvery == 0
	r.count++
	return all
}

// checkHeads compares feeds with the store and lets those that are behind
// read what they lack: idea 4 of the design, "a periodic check finds a lost
// last event". all includes rooms in which nothing has happened lately.
func (h *Hub) checkHeads(all bool) {
	var feeds []*Feed
	h.mu.Lock()
	for _, f := range h.feeds {
		if f.refs > 0 && f.room != "" && f.isReady() && (f.active.Swap(false) || all) {
			feeds = append(feeds, f)
		}
	}
	h.mu.Unlock()
	h.counts.Looks.Of(lookCheck).Add(uint64(len(feeds)))
	h.compare(feeds)
}

// compare compares ready feeds of rooms with the store, page by page.
func (h *Hub) compare(feeds []*Feed) {
	for _, f := range feeds {
		f.settleDispute()
	}
	for len(feeds) > 0 {
		n := min(headPage, len(feeds))
		h.compareHeads(feeds[:n])
		feeds = feeds[n:]
	}
}

// compareHeads asks the store for the heads of one page of rooms.
func (h *Hub) compareHeads(feeds []*Feed) {
	if h.ctx.Err() != nil {
		return
	}
	ids := make([]chat.RoomID, len(feeds))
	known := make(map[chat.RoomID]compared, len(feeds))
	for i, f := range feeds {
		ids[i] = f.room
		known[f.room] = compared{f, f.head()}
	}
	ctx, cancel := context.WithTimeout(h.ctx, headsTime)
	defer cancel()
	heads, err := h.cfg.Log.Heads(ctx, ids)
	if err != nil {
		for _, f := range feeds {
			f.active.Store(true) // look again next time
		}
		if h.ctx.Err() == nil {
			h.cfg.Logger.Warn("compare rooms with the store", "error", err)
		}
		return
	}
	for _, head := range heads {
		at := known[head.Room.ID]
		delete(known, head.Room.ID)
		at.feed.compare(head, at.head)
	}
	for id, at := range known { // without a log
		at.feed.compare(store.Head{Room: chat.Room{ID: id, Epoch: h.cfg.Log.Epoch(), Floor: 1}}, at.head)
	}
}

// compared is a feed, and its head before the store was asked.
type compared struct {
	feed *Feed
	head uint64
}
