package hub

import (
	"slices"
	"sync"

	"tertulia/chat"
)

// Transport carries one connection's bytes to its peer. The hub calls
// TryWrite from one goroutine at a time and never while Write runs.
type Transport interface {
	// TryWrite writes as much of p as goes without waiting, and keeps
	// nothing of p. n < len(p) without an error means that the rest would
	// block. A transport that cannot write without waiting returns 0, nil.
	TryWrite(p []byte) (n int, err error)
	// Write goes on with a batch of whole frames of which the first sent bytes
	// have been written, and waits for the peer for as long as the
	// transport's write timeout allows. On a timeout the transport has told
	// the peer so as far as that was possible.
	Write(batch []byte, sent int) error
	// Finish is called after the last byte has been written: the peer may
	// answer for a moment, then the transport closes.
	Finish()
	// Abort closes the connection at once. It may be called at any time, from
	// any goroutine, more than once.
	Abort()
}

// Reason says why the hub itself ends a connection.
type Reason int

// The hub's reasons to end a connection. All but Removed are resumable.
const (
	// Slow: the reader lost presence events, being too far behind.
	Slow Reason = 1 + iota
	// Rewritten: the log is not the one that the reader has read.
	Rewritten
	// Unreadable: the store could not be read for a reader that is behind.
	Unreadable
	// Removed: the user has been removed from the room, and the connection's
	// dialect has no other way to say so.
	Removed
)

// maxReplyBytes bounds the replies that wait for a connection: beyond it
// [Conn.Wait] keeps the session from reading more commands.
const maxReplyBytes = 64 << 10

// replyBuf holds replies while they wait. It is borrowed, because most
// connections have nothing waiting most of the time.
type replyBuf struct {
	frames []byte
	n      uint64 // calls of Reply, each of which has one frame as a rule
}

var replyBufs = sync.Pool{New: func() any { return new(replyBuf) }}

func (b *replyBuf) free() {
	if cap(b.frames) <= 2*maxReplyBytes {
		b.frames, b.n = b.frames[:0], 0
		replyBufs.Put(b)
	}
}

type connState uint8

const (
	connOpen    connState = iota
	connWriting           // a goroutine of its own is in Transport.Write
	connClosed            // nothing more is written
)

// Conn is the outgoing side of one connection. It belongs to one loop, which
// does all its writing.
type Conn struct {
	// Fixed after construction.
	loop    *loop
	out     Transport
	self    chat.UserID // whose passing events are left out
	dialect *Dialect
	id      uint32

	// Owned by the loop.
	pass uint64 // the pass that conn is in the work list for
	due  []*Sub // what that pass looks at

	mu      sync.Mutex
	state   connState
	queued  bool      // in the loop's list
	replies *replyBuf // whole frames; nil while none wait
	last    []byte    // the close frame; set once, written after all else
	drained chan struct{}
	subs    []*Sub // in no order
	woken   []*Sub // what the next pass looks at, beside those of woken feeds
	owner   any
}

// Connect makes the outgoing side of a connection. self is the user at the
// other end, who is spoken to in d. A Conn needs no closing; its Transport does.
func (h *Hub) Connect(out Transport, self chat.UserID, d *Dialect) *Conn {
	id := h.connected.Add(1)
	l := h.loops[int(id)%len(h.loops)]
	return &Conn{loop: l, out: out, self: self, dialect: d, id: id}
}

// SetOwner gives c what the functions of its [Dialect] find again with Owner: a
// session. It is called before the first [Sub.Start].
func (c *Conn) SetOwner(owner any) {
	c.mu.Lock()
	c.owner = owner
	c.mu.Unlock()
}

// Owner returns what SetOwner was given, nil before.
func (c *Conn) Owner() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owner
}

// Cursors calls f with each started subscription that reads a room and has not
// ended, in no order, and the place right after what has been written of it. It
// is called by the functions of [Dialect] and [Marker] only; f calls no method
// of c.
func (c *Conn) Cursors(f func(s *Sub, at chat.Cursor)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if s.Room() != "" && !s.ended.Load() {
			f(s, s.Cursor())
		}
	}
}

// ID tells a node's connections apart in its log.
func (c *Conn) ID() uint32 { return c.id }

// Reply queues whole frames to be written before any event that is published
// later. It never waits; p is copied.
func (c *Conn) Reply(p []byte) {
	c.mu.Lock()
	if c.state == connClosed || c.last != nil {
		c.mu.Unlock()
		return
	}
	if c.replies == nil {
		c.replies = replyBufs.Get().(*replyBuf)
	}
	c.replies.frames = append(c.replies.frames, p...)
	c.replies.n++
	c.enqueue()
}

// Close writes what is queued, then the close frame p, then lets the
// transport finish. Only the first call counts: it reports whether this was
// it. It does not wait.
func (c *Conn) Close(p []byte) bool {
	c.mu.Lock()
	if c.state == connClosed || c.last != nil {
		c.mu.Unlock()
		return false
	}
	c.last = slices.Clone(p)
	c.wakeWaiters()
	c.enqueue()
	return true
}

// Last returns what Close was given, nil before; it must not be changed.
func (c *Conn) Last() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *Conn) drop(r Reason) {
	if c.Close(c.dialect.Bye(r)) && r == Slow {
		c.loop.hub.counts.Slow.Inc()
	}
}

// Gone tells the hub that the connection has ended; nothing more is written.
// It is called by the connection's reader, once the transport has failed.
func (c *Conn) Gone() {
	c.mu.Lock()
	c.closeLocked()
	c.mu.Unlock()
}

// Wait returns when fewer than 64 KiB of replies wait. A session calls it
// before it takes a command, so that a peer who does not read its replies is
// not read from either. It reports false if the connection is being closed:
// nothing more is to be done for it.
func (c *Conn) Wait() bool {
	for {
		c.mu.Lock()
		over := c.state == connClosed || c.last != nil
		if over || c.replies == nil || len(c.replies.frames) < maxReplyBytes {
			c.mu.Unlock()
			return !over
		}
		if c.drained == nil {
			c.drained = make(chan struct{})
		}
		drained := c.drained
		c.mu.Unlock()
		<-drained
	}
}

// enqueue puts c on its loop's list and unlocks c.mu, which the caller holds.
func (c *Conn) enqueue() {
	wake := !c.queued && c.state == connOpen
	if wake {
		c.queued = true
	}
	c.mu.Unlock()
	if wake {
		c.loop.wakeConn(c)
	}
}

// wakeSub has the loop look at subscriptions, in this order.
func (c *Conn) wakeSub(subs ...*Sub) {
	c.mu.Lock()
	c.setWoken(subs)
	c.enqueue()
}

// setWoken notes what is to be looked at. The caller holds c.mu.
func (c *Conn) setWoken(subs []*Sub) {
	for _, s := range subs {
		if !s.woken && c.state != connClosed {
			s.woken = true
			c.woken = append(c.woken, s)
		}
	}
}

// takeWoken appends to subs what is to be looked at now.
func (c *Conn) takeWoken(subs []*Sub) []*Sub {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued = false
	if c.state != connOpen {
		return subs // once it is open again
	}
	for _, s := range c.woken {
		s.woken = false
	}
	subs = append(subs, c.woken...)
	c.woken = nil
	return subs
}

func (c *Conn) addSub(s *Sub) {
	c.mu.Lock()
	s.place = int32(len(c.subs))
	c.subs = append(c.subs, s)
	c.mu.Unlock()
}

func (c *Conn) removeSub(s *Sub) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.place < 0 {
		return
	}
	last := len(c.subs) - 1
	moved := c.subs[last]
	c.subs[s.place], moved.place = moved, s.place
	c.subs[last] = nil
	c.subs = c.subs[:last]
	s.place = -1
}

// takeReplies empties the queue into buf. ok is false if nothing may be
// written now; what is due is then looked at again later.
func (c *Conn) takeReplies(buf []byte) (_, last []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != connOpen {
		c.setWoken(c.due)
		return buf, nil, false
	}
	if c.replies != nil {
		buf = append(buf, c.replies.frames...)
		c.loop.sent[sentReply] += c.replies.n
		c.replies.free()
		c.replies = nil
	}
	c.wakeWaiters()
	return buf, c.last, true
}

// wakeWaiters lets Wait look again. The caller holds c.mu.
func (c *Conn) wakeWaiters() {
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// closeLocked ends all writing. The caller holds c.mu.
func (c *Conn) closeLocked() {
	c.state = connClosed
	c.replies, c.woken = nil, nil
	c.wakeWaiters()
}

// fail ends the connection after a write error.
func (c *Conn) fail() {
	c.Gone()
	c.out.Abort()
}

// finish ends the connection after its close frame has been written.
func (c *Conn) finish() {
	c.Gone()
	c.out.Finish()
}

// block hands the connection to a goroutine of its own, which waits for the
// peer to take the rest of batch and then gives the connection back to its
// loop.
func (c *Conn) block(batch []byte, sent int, last bool) {
	c.mu.Lock()
	if c.state == connOpen {
		c.state = connWriting
	}
	c.mu.Unlock()
	writer := func() {
		if err := c.out.Write(batch, sent); err != nil {
			c.fail()
			return
		}
		if last {
			c.finish()
			return
		}
		c.mu.Lock()
		if c.state == connWriting {
			c.state = connOpen
		}
		c.queued = false
		c.enqueue()
	}
	if !c.loop.hub.spawn(writer) {
		c.fail()
	}
}
