package hub

import (
	"context"
	"sync/atomic"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Sub is one connection's cursor in one feed.
type Sub struct {
	feed *Feed
	conn *Conn

	// ended is set by Detach; a loop that still holds the Sub ignores it.
	ended atomic.Bool

	// index is the Sub's place in feed.subs, guarded by feed.mu; -1 before
	// Start and after Detach.
	index int

	// Owned by the connection's loop once Start has been called.
	cursor  uint64 // the last seq written
	version uint64 // presence events up to it are in the snapshot
	page    *chunk // what is being caught up from, nil if nothing
	paging  bool   // a page is being read
	due     uint64 // the pass for which conn.due holds this Sub

	// passed is the last passing event looked at. It is written by the loop
	// and read by the hub's keeper.
	passed atomic.Uint64
}

// Gap says why a cursor could not be continued.
type Gap int

// The reasons, docs/protocol.md §6.4.
const (
	GapNone Gap = iota
	GapEpoch
	GapRetention
)

// Recent is one event of the recent past, encoded. Frame is shared and must
// not be changed.
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
	// by RecentBytes. None are given to a reader that can be continued.
	Recent      int
	RecentBytes int
}

// Attached is the instant at which a reader joined a room.
type Attached struct {
	Epoch string
	Head  uint64
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
// [Sub.Start], and nothing is missed between the two. Errors are
// *chat.Error, or wrap the store's. The caller ends the Sub with Detach.
func (h *Hub) Attach(ctx context.Context, c *Conn, id chat.RoomID, opt AttachOptions) (*Sub, Attached, error) {
	f, err := h.feed(id)
	if err != nil {
		return nil, Attached{}, err
	}
	s := &Sub{feed: f, conn: c, index: -1}
	at, err := f.attach(ctx, s, opt)
	if err != nil {
		h.release(f)
		return nil, Attached{}, err
	}
	return s, at, nil
}

func (f *Feed) attach(ctx context.Context, s *Sub, opt AttachOptions) (Attached, error) {
	gap := GapNone
	if opt.After != nil {
		var err error
		if gap, err = f.judge(ctx, *opt.After); err != nil {
			return Attached{}, err
		}
	}
	resumed := opt.After != nil && gap == GapNone

	f.mu.Lock()
	head := f.next - 1
	at := Attached{
		Epoch:  f.epoch,
		Head:   head,
		Cursor: chat.Cursor{Epoch: f.epoch, Seq: head},
		Gap:    gap,
	}
	at.Cursor.Tag, at.Cursor.HasTag = f.tail.tag(head)
	s.cursor = head
	s.passed.Store(f.passing.last)
	floor := f.floor
	var known tail
	if !resumed {
		known = f.tail.snapshot(nil)
	}
	f.mu.Unlock()

	if resumed {
		s.cursor, at.Cursor = opt.After.Seq, *opt.After
		return at, nil
	}
	var err error
	at.Recent, err = f.recent(ctx, &known, head, floor, opt)
	if gap != GapNone {
		at.From, at.To = floor, head-uint64(len(at.Recent))
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

// recent returns the newest events up to head: from the tail if it reaches
// back far enough, else from the log.
func (f *Feed) recent(ctx context.Context, known *tail, head, floor uint64, opt AttachOptions) ([]Recent, error) {
	want := uint64(max(opt.Recent, 0))
	if have := head + 1 - min(floor, head+1); want > have {
		want = have
	}
	if want == 0 {
		return nil, nil
	}
	first := head + 1 - want
	k := known.find(first)
	if k == nil && known.find(head) != nil && known.length() >= opt.RecentBytes {
		k = &known.chunks[0] // the limit in bytes ends before the tail does
		first = k.first
	}
	if k == nil {
		page, err := f.hub.cfg.Log.Before(ctx, f.room, head+1, store.Limit{Events: int(want), Bytes: opt.RecentBytes})
		if err != nil {
			return nil, err
		}
		return newest(f.encode(page.Events), opt.RecentBytes), nil
	}
	list := make([]Recent, 0, want)
	for seq := first; seq <= head; seq++ {
		k := known.find(seq)
		list = append(list, Recent{Seq: seq, Frame: k.frame(seq)})
	}
	return newest(list, opt.RecentBytes), nil
}

// newest cuts list from its old end to what fits into budget bytes.
func newest(list []Recent, budget int) []Recent {
	i := len(list)
	for i > 0 && budget >= len(list[i-1].Frame) {
		i--
		budget -= len(list[i].Frame)
	}
	return list[i:]
}

func (f *Feed) encode(events []chat.Event) []Recent {
	list := make([]Recent, len(events))
	for i := range events {
		list[i] = Recent{Seq: events[i].Seq, Frame: f.hub.cfg.Encode(nil, &events[i])}
	}
	return list
}

// Start begins delivery after the cursor. version is that of the presence
// snapshot that the reader has been given: presence events up to it are left
// out. What was queued by [Conn.Reply] before is written first.
func (s *Sub) Start(version uint64) {
	f, l := s.feed, s.conn.loop
	s.version = version
	s.conn.addSub(s)
	f.mu.Lock()
	s.index = len(f.subs[l.id])
	f.subs[l.id] = append(f.subs[l.id], s)
	f.mu.Unlock()
	s.conn.wakeAll()
}

// Detach ends the subscription. It may be called once, also without Start.
func (s *Sub) Detach() {
	s.ended.Store(true)
	f, l := s.feed, s.conn.loop
	f.mu.Lock()
	if s.index >= 0 {
		subs := f.subs[l.id]
		moved := subs[len(subs)-1]
		subs[s.index], moved.index = moved, s.index
		subs[len(subs)-1] = nil
		f.subs[l.id] = subs[:len(subs)-1]
		s.index = -1
	}
	f.mu.Unlock()
	s.conn.removeSub(s)
	f.hub.release(f)
}
