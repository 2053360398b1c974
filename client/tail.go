package client

import (
	"sort"

	"tertulia/chat"
)

const (
	// maxTailEvents and maxTailBytes bound what is kept of one room for
	// readers that are not as far as the connection. A reader that needs older
	// events reads them from the server again.
	maxTailEvents = 256
	maxTailBytes  = 256 << 10
)

// tail is the end of one room's log, as it came: everything after floor and up
// to last. It is bounded; what is dropped raises the floor.
type tail struct {
	// life counts the logs that the room had: it changes with the epoch.
	life  int
	base  uint64 // where this life began to be followed
	floor uint64
	last  chat.Cursor
	items []item
	bytes int
}

// item covers the seqs from first to last: one event, a gap, or nothing that
// is handed over (event nil, after a skip).
type item struct {
	first uint64
	last  chat.Cursor
	event Event
	size  int
}

// begin makes the tail empty at c; a new epoch is a new life.
func (t *tail) begin(c chat.Cursor) {
	if c.Epoch != t.last.Epoch || t.life == 0 {
		t.life++
		t.base = c.Seq
	}
	t.floor, t.last, t.items, t.bytes = c.Seq, c, nil, 0
}

// add appends it, and drops old items beyond the bounds.
func (t *tail) add(it item) {
	t.items = append(t.items, it)
	t.last = it.last
	t.bytes += it.size
	for len(t.items) > maxTailEvents || t.bytes > maxTailBytes && len(t.items) > 1 {
		t.drop()
	}
}

// drop forgets the oldest item.
func (t *tail) drop() {
	t.floor = t.items[0].last.Seq
	t.bytes -= t.items[0].size
	t.items[0] = item{}
	t.items = t.items[1:]
}

// trim forgets what every reader has taken.
func (t *tail) trim(seq uint64) {
	for len(t.items) > 0 && t.items[0].last.Seq <= seq {
		t.drop()
	}
}

// after returns the first item that reaches beyond seq. behind reports that
// it was dropped and has to be read from the server.
func (t *tail) after(seq uint64) (it item, found, behind bool) {
	if seq < t.floor {
		return item{}, false, true
	}
	i := sort.Search(len(t.items), func(i int) bool { return t.items[i].last.Seq > seq })
	if i == len(t.items) {
		return item{}, false, false
	}
	return t.items[i], true, false
}
