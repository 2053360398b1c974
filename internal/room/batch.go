package room

import (
	"time"

	"tertulia/internal/store"
)

// A batch holds at most maxBatchRows events or maxBatchBytes. SQLite stores
// 4,600 rows a second singly, 39,000 by 16, 67,000 by 128 and 183,000 by 1,024
// (docs/performance.md, SQLite rows by batch): beyond that little is left to
// gain, while the first of the batch waits for the last. The bytes bound the
// transaction of a batch of long messages.
const (
	maxBatchRows  = 1024
	maxBatchBytes = 1 << 20
)

// rowOverhead is what a queued post costs beside its texts: a store.Append, a
// waiter, and the closure behind the latter.
const rowOverhead = 256

// batch is what one Append stores: the rows, and who waits for each.
type batch struct {
	rows    []store.Append
	waiters []waiter
	bytes   int
	// answered is set when the callbacks have been called. It belongs to the
	// lane's goroutine, and between watch and unwatch to stall.
	answered bool
	// settled is made by the first reader that waits for the answers, and
	// closed after them. It is guarded by the lane's mu.
	settled chan struct{}
}

// waiter is who waits for one row.
type waiter struct {
	key      uint64 // of the room, see Service.lane
	conn     uint32 // over which a post has come, 0 if over none; see Post.Conn
	done     func(Posted, error)
	source   Source
	postedAt time.Time // only for the log at debug
}

func rowBytes(row *store.Append) int {
	return len(row.Body) + len(row.Room) + len(row.Actor.ID) + len(row.Actor.Name) + len(row.Nonce) + rowOverhead
}

func (b *batch) takes(rows, bytes int) bool {
	return len(b.rows)+rows <= maxBatchRows && b.bytes+bytes <= maxBatchBytes
}

func (b *batch) add(rows []store.Append, waiters []waiter, bytes int) {
	b.rows = append(b.rows, rows...)
	b.waiters = append(b.waiters, waiters...)
	b.bytes += bytes
}

// moveTo moves the posts that are chosen to another batch, in their order, and
// returns their size.
func (b *batch) moveTo(other *batch, chosen func(*waiter) bool) (bytes int) {
	rows, waiters := b.rows[:0], b.waiters[:0]
	for i := range b.rows {
		if !chosen(&b.waiters[i]) {
			rows, waiters = append(rows, b.rows[i]), append(waiters, b.waiters[i])
			continue
		}
		size := rowBytes(&b.rows[i])
		other.add(b.rows[i:i+1], b.waiters[i:i+1], size)
		bytes += size
	}
	clear(b.rows[len(rows):])
	clear(b.waiters[len(waiters):])
	b.rows, b.waiters = rows, waiters
	b.bytes -= bytes
	return bytes
}

// concerns reports whether b holds a post to the room of this key. Another
// room may have the same key, which delays a reader and does no harm.
func (b *batch) concerns(key uint64) bool {
	for i := range b.waiters {
		if b.waiters[i].key == key {
			return true
		}
	}
	return false
}

// reset empties b for its next use. It keeps the arrays, which maxBatchRows
// bounds, and nothing that they referred to.
func (b *batch) reset() {
	clear(b.rows)
	clear(b.waiters)
	*b = batch{rows: b.rows[:0], waiters: b.waiters[:0]}
}
