package hub

import (
	"context"
	"sync/atomic"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// Sub is one connection's cursor in one feed.
type Sub struct {
	feed *Feed
	conn *Conn

	// ended is set by Detach, or by the loop when the user has been removed; a
	// loop that still holds the Sub ignores it.
	ended atomic.Bool

	index int32 // the place in feed.subs, guarded by feed.mu; -1 if in none
	place int32 // the place in conn.subs, guarded by conn.mu; -1 if in none

	// Owned by the connection's loop once Start has been called.
	tag     uint32   // of the event at cursor, if tagged
	cursor  uint64   // the last seq written or passed over
	version uint64   // presence events up to it are in the snapshot
	page    *page    // what is being caught up from, nil if nothing
	marks   []Marker // not yet written
	due     uint64   // the pass for which conn.due holds this Sub

	// passed is the last passing event looked at. It is written by the loop
	// and read by the hub's keeper.
	passed atomic.Uint64
	// end is the seq of the event with which the user was removed, 0 if that
	// has not happened. It is set, under feed.mu, before the feed's head
	// reaches it.
	end atomic.Uint64

	tagged  bool // owned by the loop
	paging  bool // owned by the loop: a page is being read
	started bool // guarded by feed.mu
	woken   bool // in conn.woken; guarded by conn.mu
}

// Room returns the room that is read, "" for a user's topic.
func (s *Sub) Room() chat.RoomID { return s.feed.room }

// Conn returns the connection that reads.
func (s *Sub) Conn() *Conn { return s.conn }

// Cursor returns the place right after what has been written. It is called by
// the functions of [Dialect] and [Marker] only.
func (s *Sub) Cursor() chat.Cursor {
	return chat.Cursor{Epoch: s.feed.epoch, Seq: s.cursor, Tag: s.tag, HasTag: s.tagged}
}

// moveTo sets the cursor to c.
func (s *Sub) moveTo(c chat.Cursor) { s.cursor, s.tag, s.tagged = c.Seq, c.Tag, c.HasTag }

// Gap says why a cursor could not be continued.
type Gap int

// The reasons, docs/protocol.md §6.4.
const (
	GapNone Gap = iota
	GapEpoch
	GapRetention
)

// Recent is one event of the recent past, encoded: the whole frame, or what is
// left of it for a connection that wraps. Frame is shared and must not be
// changed.
type Recent struct {
	Seq   uint64
	Frame []byte
}

// AttachOptions say where a reader begins.
type AttachOptions struct {
	// After is where it stopped, nil if it has not read before: it then
	// begins at the head.
	After *chat.Cursor
	// Recent is how many of the newest events it wants to be shown, bounded
	// by RecentBytes; only those that its profile gets count. None are given to
	// a reader that can be continued.
	Recent      int
	RecentBytes int
	// Hurry says that the reader does not wait for others where the store is
	// read for many together, having done so just now.
	Hurry bool
}

// Attached is the instant at which a reader joined a room.
type Attached struct {
	Epoch string
	Head  uint64
	// Since is a seq up to Head after which nobody was banned and the room's
	// settings were not changed.
	Since uint64
	// Cursor is where delivery begins: After if that is continued, else right
	// after Head.
	Cursor chat.Cursor
	// Recent ends at Head; oldest first.
	Recent []Recent
	// Gap says why After was not continued. From and To are the seqs that the
	// reader gets neither in Recent nor later; From > To means none.
	Gap      Gap
	From, To uint64
}

// Attach puts a cursor of c into the room's feed. Nothing is delivered until
// [Sub.Start], and nothing is missed between the two: neither an event nor the
// user's removal. Who asks the store after Attach, and before Start, whether
// the user may read the room learns of every removal, from there or from the
// hub. Errors are *chat.Error, or wrap the store's. The caller ends the Sub
// with Detach.
func (h *Hub) Attach(ctx context.Context, c *Conn, id chat.RoomID, opt AttachOptions) (*Sub, Attached, error) {
	f, err := h.feed(bus.RoomTopic(id), id, opt.Hurry)
	if err != nil {
		return nil, Attached{}, err
	}
	s := &Sub{feed: f, conn: c, index: -1, place: -1}
	at, err := f.attach(ctx, s, opt)
	if err != nil {
		s.Detach()
		return nil, Attached{}, err
	}
	return s, at, nil
}

// AttachUser lets c read what is published under its user's topic, after
// [Sub.Start]. The events are passing ones, made by Encoder.Notice, and all of
// them are for the profile [V1]. Errors and Detach are as for Attach.
func (h *Hub) AttachUser(c *Conn) (*Sub, error) {
	f, err := h.feed(bus.UserTopic(c.self), "", false)
	if err != nil {
		return nil, err
	}
	s := &Sub{feed: f, conn: c, index: -1, place: -1}
	f.mu.Lock()
	f.link(s)
	f.mu.Unlock()
	return s, nil
}

// Notify hands passing events to those connections of a user that read the
// user's topic on this node, as if they had been published there. No other node
// hears of them.
func (h *Hub) Notify(user chat.UserID, events []chat.Event) {
	h.mu.Lock()
	f := h.feeds[bus.UserTopic(user)]
	h.mu.Unlock()
	if f != nil {
		f.take(events)
	}
}

// link puts s among the feed's subscribers, from here on. The caller holds
// f.mu.
func (f *Feed) link(s *Sub) {
	id := s.conn.loop.id
	s.index = int32(len(f.subs[id]))
	f.subs[id] = append(f.subs[id], s)
	s.passed.Store(f.passing.last)
}

// unlink takes s out again; it does nothing the second time.
func (f *Feed) unlink(s *Sub) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.index < 0 {
		return
	}
	list := &f.subs[s.conn.loop.id]
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[s.index], moved.index = moved, s.index
	(*list)[last] = nil
	*list = (*list)[:last]
	s.index = -1
}

func (f *Feed) attach(ctx context.Context, s *Sub, opt AttachOptions) (Attached, error) {
	f.mend(ctx, opt)
	gap := GapNone
	if opt.After != nil {
		var err error
		if gap, err = f.judge(ctx, *opt.After); err != nil {
			return Attached{}, err
		}
		f.hub.counts.resumed(gap)
	}
	resumed := opt.After != nil && gap == GapNone

	f.mu.Lock()
	head := f.next - 1
	at := Attached{
		Epoch:  f.epoch,
		Head:   head,
		Since:  f.changed,
		Cursor: chat.Cursor{Epoch: f.epoch, Seq: head},
		Gap:    gap,
	}
	at.Cursor.Tag, at.Cursor.HasTag = f.tail.tag(head)
	f.link(s)
	floor := f.floor
	var known tail
	if !resumed {
		known = f.tail.snapshot(nil)
	}
	f.mu.Unlock()

	if resumed {
		at.Cursor = *opt.After
		s.moveTo(at.Cursor)
		return at, nil
	}
	s.moveTo(at.Cursor)
	var err error
	at.Recent, err = f.recent(ctx, &known, head, floor, s.conn.dialect.Profile, opt)
	if s.conn.dialect.Wrap != nil {
		for i := range at.Recent {
			at.Recent[i].Frame = f.hub.cfg.Encode.payload(at.Recent[i].Frame)
		}
	}
	if gap != GapNone {
		at.From, at.To = floor, head
		if len(at.Recent) > 0 {
			at.To = at.Recent[0].Seq - 1
		}
		if gap == GapRetention {
			at.From = opt.After.Seq + 1
		}
	}
	return at, err
}

// judge decides whether the log continues at c.
func (f *Feed) judge(ctx context.Context, c chat.Cursor) (Gap, error) {
	f.mu.Lock()
	epoch, floor, head := f.epoch, f.floor, f.next-1
	tag, known := f.tail.tag(c.Seq)
	f.mu.Unlock()
	switch {
	case c.Epoch != epoch:
		return GapEpoch, nil
	case c.Seq == 0 && floor <= 1:
		return GapNone, nil
	case c.Seq+1 < floor:
		return GapRetention, nil
	case c.Seq <= head && !c.HasTag:
		return GapNone, nil
	}
	if !known {
		// An event of the past, or one that this node has yet to hear of: the
		// store has its tag.
		page, err := f.hub.cfg.Log.After(ctx, f.room, c.Seq-1, store.Limit{Events: 1, Bytes: 1})
		if err != nil {
			return GapNone, err
		}
		if len(page.Events) == 0 || page.Events[0].Seq != c.Seq {
			if c.Seq < page.Room.Floor {
				return GapRetention, nil
			}
			return GapEpoch, nil // ahead of the log, or another life of it
		}
		tag = page.Events[0].Tag
	}
	if c.HasTag && c.Tag != tag {
		return GapEpoch, nil
	}
	return GapNone, nil
}

// Start begins delivery after the cursor. version is that of the snapshot of
// presence, or of an inbox, that the reader has been given: events up to it are
// left out. The markers, in rising order of their places, are written among the
// events. What was queued by [Conn.Reply] before is written first. It is called
// once at most, and not after Detach.
func (s *Sub) Start(version uint64, markers ...Marker) {
	s.version = version
	s.marks = markers
	s.conn.addSub(s)
	s.feed.mu.Lock()
	s.started = true
	s.feed.mu.Unlock()
	s.conn.wakeSub(s)
}

// Detach ends the subscription. Nothing of it is written after a reply that is
// queued once Detach has returned; before such a reply there may still be some,
// and [Dialect.Ended] may be under way. It is called once, also without Start.
func (s *Sub) Detach() {
	s.ended.Store(true)
	s.feed.unlink(s)
	s.conn.removeSub(s)
	s.feed.hub.release(s.feed)
}
