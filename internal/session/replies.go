package session

import (
	"sync"

	"tertulia/internal/hub"
)

// replies puts what a client is told in the order of its commands, while the
// journal answers posts from another goroutine.
type replies struct {
	// Fixed after construction.
	conn *hub.Conn
	text func(dst, json []byte) []byte

	// mu is taken before hub.Conn's.
	mu    sync.Mutex
	first uint64        // the number of slots[0]
	slots []slot        // the places not yet sent, oldest first
	freed chan struct{} // closed when places are; nil unless the reader waits
	last  []byte        // the close frame that follows them, nil if none
}

// slot is the place of one reply. frame is nil until it is filled.
type slot struct{ frame []byte }

// noReply fills a place whose command is not answered.
var noReply = []byte{}

// keptSlots is how much memory for places an idle session keeps.
const keptSlots = 4

// appender appends the JSON of one frame.
type appender = func([]byte) []byte

func (r *replies) init(conn *hub.Conn, text func(dst, json []byte) []byte) {
	r.conn, r.text = conn, text
}

// encoding lends the two buffers that a frame is made in.
type encoding struct{ json, frame []byte }

var encodings = sync.Pool{New: func() any { return new(encoding) }}

// maxKeptEncoding bounds what the pool keeps; a connected frame with its
// history may be larger.
const maxKeptEncoding = 16 << 10

// send encodes a frame and queues it to the connection, ahead of every reply
// still waited for.
func (r *replies) send(a appender) {
	e := encodings.Get().(*encoding)
	e.json = a(e.json[:0])
	e.frame = r.text(e.frame[:0], e.json)
	r.conn.Reply(e.frame)
	if cap(e.frame) <= maxKeptEncoding {
		encodings.Put(e)
	}
}

// later queues a frame after the replies still waited for. It waits while
// maxInFlight of them do.
func (r *replies) later(a appender) {
	r.mu.Lock()
	idle := len(r.slots) == 0
	r.mu.Unlock()
	if idle { // only this goroutine adds places, so it stays so
		r.send(a)
		return
	}
	r.fill(r.reserve(), a)
}

// settle returns when no reply is waited for any more. Only the goroutine that
// reserves places calls it.
func (r *replies) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.slots) > 0 {
		r.waitFreed()
	}
}

// waitFreed waits until places are freed. The caller holds mu, which is let go
// of meanwhile.
func (r *replies) waitFreed() {
	freed := make(chan struct{})
	r.freed = freed
	r.mu.Unlock()
	<-freed
	r.mu.Lock()
}

// reserve takes the place of the next reply. It waits while maxInFlight are
// taken.
func (r *replies) reserve() (place uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.slots) >= maxInFlight {
		r.waitFreed()
	}
	r.slots = append(r.slots, slot{})
	return r.first + uint64(len(r.slots)) - 1
}

// fill gives a place its reply, nil for none, and sends what has become due.
// It may be called from any goroutine, once for each place.
func (r *replies) fill(place uint64, a appender) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case place == r.first && a != nil:
		r.send(a)
	case place == r.first:
	case a == nil:
		r.slots[place-r.first].frame = noReply
		return
	default:
		r.slots[place-r.first].frame = r.text(nil, a(nil))
		return
	}
	due := 1
	for due < len(r.slots) && r.slots[due].frame != nil {
		r.conn.Reply(r.slots[due].frame)
		due++
	}
	r.first += uint64(due)
	clear(r.slots[:due])
	r.slots = r.slots[due:]
	if len(r.slots) == 0 && cap(r.slots) > keptSlots {
		r.slots = nil
	}
	if r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
	if len(r.slots) == 0 && r.last != nil {
		r.conn.Close(r.last)
	}
}

// end closes the connection with a close frame behind the replies still
// waited for. No places are to be taken afterwards.
func (r *replies) end(frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = frame
	if len(r.slots) == 0 {
		r.conn.Close(frame)
	}
}
