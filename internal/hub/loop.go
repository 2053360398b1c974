package hub

import (
	"slices"
	"sync"
)

// maxBatchBytes bounds one write to one connection; what does not fit leaves
// in the next pass, so that nobody waits long for a reader who catches up.
const maxBatchBytes = 64 << 10

// loop delivers to the connections that it owns. It is one goroutine, owned
// by the hub, and never waits for a peer.
type loop struct {
	id   int
	hub  *Hub
	wake chan struct{} // one slot: a poke, not a queue

	// Owned by the goroutine.
	passes uint64
	buf    []byte  // one batch is put together here
	work   []*Conn // the connections of this pass
	noted  []*view // the feeds' views of this pass
	feeds  []*Feed // taken from dirty
	conns  []*Conn
	pages  []pageRead

	mu         sync.Mutex
	dirtyFeeds []*Feed
	dirtyConns []*Conn
	readPages  []pageRead
}

func (l *loop) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) wakeFeed(f *Feed) {
	l.mu.Lock()
	if !f.dirty[l.id] {
		f.dirty[l.id] = true
		l.dirtyFeeds = append(l.dirtyFeeds, f)
	}
	l.mu.Unlock()
	l.poke()
}

func (l *loop) wakeConn(c *Conn) {
	l.mu.Lock()
	l.dirtyConns = append(l.dirtyConns, c)
	l.mu.Unlock()
	l.poke()
}

func (l *loop) wakePage(p pageRead) {
	l.mu.Lock()
	l.readPages = append(l.readPages, p)
	l.mu.Unlock()
	l.poke()
}

func (l *loop) run() {
	l.buf = make([]byte, 0, maxBatchBytes)
	for {
		select {
		case <-l.hub.ctx.Done():
			return
		case <-l.wake:
			l.deliver()
		}
	}
}

// deliver is one pass: all that waits, one write a connection. The heads of
// the feeds are noted before the replies are taken; see the package's second
// promise.
func (l *loop) deliver() {
	l.passes++
	l.take()
	for _, p := range l.pages {
		l.turnPage(p)
	}
	for _, f := range l.feeds {
		l.noteFeed(f)
	}
	for _, c := range l.conns {
		l.noteConn(c)
	}
	for _, c := range l.work {
		l.serve(c)
	}
	for _, v := range l.noted {
		v.forget()
	}
	clear(l.noted)
	l.noted = l.noted[:0]
	clear(l.work)
	clear(l.feeds)
	clear(l.conns)
	clear(l.pages)
	l.work = l.work[:0]
}

// take swaps the lists of what has been woken with empty ones.
func (l *loop) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.feeds, l.dirtyFeeds = l.dirtyFeeds, l.feeds[:0]
	l.conns, l.dirtyConns = l.dirtyConns, l.conns[:0]
	l.pages, l.readPages = l.readPages, l.pages[:0]
	for _, f := range l.feeds {
		f.dirty[l.id] = false
	}
}

// noteFeed puts the feed's subscribers of this loop on the work list.
func (l *loop) noteFeed(f *Feed) {
	f.note(l)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.subs[l.id] {
		l.include(s)
	}
}

// include has this pass look at s. Its feed must have been noted.
func (l *loop) include(s *Sub) {
	if s.due == l.passes {
		return
	}
	s.due = l.passes
	l.includeConn(s.conn)
	s.conn.due = append(s.conn.due, s)
}

func (l *loop) includeConn(c *Conn) {
	if c.pass != l.passes {
		c.pass = l.passes
		clear(c.due)
		c.due = c.due[:0]
		l.work = append(l.work, c)
	}
}

// noteConn puts a woken connection on the work list: for its replies, and
// for all its subscriptions if it asks for that.
func (l *loop) noteConn(c *Conn) {
	l.includeConn(c)
	c.mu.Lock()
	c.queued = false
	all := c.all && c.state == connOpen
	if all {
		c.all = false
	}
	var subs []*Sub
	if all {
		subs = append(subs, c.subs...)
	}
	c.mu.Unlock()
	for _, s := range subs {
		s.feed.note(l)
		l.include(s)
	}
}

// serve writes to one connection: first its replies, then what stands after
// its cursors.
func (l *loop) serve(c *Conn) {
	buf, last, ok := c.takeReplies(l.buf[:0])
	if !ok {
		return // the goroutine that writes wakes it with all its subs
	}
	b := batch{buf: buf}
	more := false
	for _, s := range c.due {
		more = l.gather(&b, s) || more
	}
	if last != nil {
		b.add(last)
	}
	l.write(c, &b, last != nil)
	if l.hub.debugging() {
		l.logWritten(c, b.size())
	}
	l.buf = b.buf[:0]
	if cap(l.buf) > 2*maxBatchBytes {
		l.buf = make([]byte, 0, maxBatchBytes)
	}
	if more {
		c.wakeAll()
	}
}

func (l *loop) write(c *Conn, b *batch, last bool) {
	p := b.bytes()
	n := 0
	if len(p) > 0 {
		var err error
		if n, err = c.out.TryWrite(p); err != nil {
			c.fail()
			return
		}
	}
	switch {
	case n < len(p):
		c.block(b.keep(), n, last)
	case last:
		c.finish()
	}
}

// logWritten says how far each subscription of this pass has come. Bytes that
// the socket did not take at once are being written by a goroutine.
func (l *loop) logWritten(c *Conn, bytes int) {
	for _, s := range c.due {
		l.hub.cfg.Logger.Debug("events written", "conn_id", c.id, "user_id", c.self, "room_id", s.feed.room, "up_to", s.cursor, "bytes", bytes)
	}
}

// batch is one write in the making. A single run of shared frames is written
// from where it lies; anything else is copied together.
type batch struct {
	buf    []byte
	shared []byte // set only while buf is empty
}

func (b *batch) add(p []byte) {
	b.buf = append(append(b.buf, b.shared...), p...)
	b.shared = nil
}

// addShared adds bytes that nobody will ever change.
func (b *batch) addShared(p []byte) {
	if len(b.buf) == 0 && b.shared == nil {
		b.shared = p
		return
	}
	b.add(p)
}

func (b *batch) bytes() []byte {
	if b.shared != nil {
		return b.shared
	}
	return b.buf
}

func (b *batch) size() int { return len(b.buf) + len(b.shared) }

// keep returns the batch as it may be kept after the pass.
func (b *batch) keep() []byte {
	if b.shared != nil {
		return b.shared
	}
	return slices.Clone(b.buf)
}

// gather adds what s lacks up to the noted head, within the batch's budget.
// more says that something is left that could be added now.
func (l *loop) gather(b *batch, s *Sub) (more bool) {
	if s.ended.Load() {
		return false
	}
	v := &s.feed.views[l.id]
	if v.passing.lost > s.passed.Load() {
		s.conn.drop(Slow)
		return false
	}
	for _, e := range v.passing.after(s.passed.Load()) {
		if done, more := l.advance(b, s, v, e.head); !done {
			return more
		}
		s.passed.Store(e.n)
		if e.actor != s.conn.self && (e.presence == 0 || e.presence > s.version) {
			b.addShared(e.frame)
		}
	}
	_, more = l.advance(b, s, v, v.head)
	return more
}

// advance adds durable events until the cursor is at upto. If it does not get
// there, more says whether that is for want of budget; otherwise a page is
// being read, which wakes the connection.
func (l *loop) advance(b *batch, s *Sub, v *view, upto uint64) (done, more bool) {
	for s.cursor < upto {
		budget := maxBatchBytes - b.size()
		if budget <= 0 {
			return false, true
		}
		from := s.page
		if from == nil || from.last() <= s.cursor {
			s.page = nil
			if from = v.tail.find(s.cursor + 1); from == nil {
				l.readPage(s)
				return false, false
			}
		}
		frames, last := from.after(s.cursor, upto, budget)
		b.addShared(frames)
		s.cursor = last
	}
	return true, false
}
