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
	subs   []*Sub            // of one connection, for a moment
	again  []*Sub            // of one connection: what the next pass looks at
	sent   [sentTypes]uint64 // frames in this pass

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
// promise. What a connection has been woken for comes before what its feeds
// have been woken for: it has waited longer.
func (l *loop) deliver() {
	l.passes++
	l.take()
	for _, p := range l.pages {
		l.turnPage(p)
	}
	for _, c := range l.conns {
		l.noteConn(c)
	}
	for _, f := range l.feeds {
		l.noteFeed(f)
	}
	for _, c := range l.work {
		l.serve(c)
		c.forgetDue()
	}
	l.publishCounts()
	for _, v := range l.noted {
		v.forget()
	}
	clear(l.noted)
	l.noted = l.noted[:0]
	clear(l.subs[:cap(l.subs)])
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
		if s.started {
			l.include(s)
		}
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
		l.work = append(l.work, c)
	}
}

// keptDue is how many places for what is due a connection keeps.
const keptDue = 8

// forgetDue ends a pass for c.
func (c *Conn) forgetDue() {
	clear(c.due)
	c.due = c.due[:0]
	if cap(c.due) > keptDue {
		c.due = nil
	}
}

// noteConn puts a woken connection on the work list: for its replies, and
// for the subscriptions that it has been woken for.
func (l *loop) noteConn(c *Conn) {
	l.includeConn(c)
	l.subs = c.takeWoken(l.subs[:0])
	for _, s := range l.subs {
		s.feed.note(l)
		l.include(s)
	}
}

// serve writes to one connection: first its replies, then what stands after
// its cursors.
func (l *loop) serve(c *Conn) {
	buf, last, ok := c.takeReplies(l.buf[:0])
	if !ok {
		return // the goroutine that writes wakes it
	}
	b := batch{buf: buf}
	l.gatherDue(&b, c)
	if last != nil {
		l.sent[sentClose]++
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
	if len(l.again) > 0 {
		c.wakeSub(l.again...)
		clear(l.again)
		l.again = l.again[:0]
	}
}

// gatherDue shares the batch among what is due, in rounds: each subscription
// gets an equal part of what is left, so that one that is far behind does not
// hold up the others. What is left over goes to the next pass: first those that
// got nothing in the last round, then those that have more.
func (l *loop) gatherDue(b *batch, c *Conn) {
	if len(c.due) == 1 { // as it is nearly always
		if l.gather(b, c.due[0], maxBatchBytes) {
			l.again = append(l.again, c.due[0])
		}
		return
	}
	l.subs = append(l.subs[:0], c.due...)
	round := l.subs
	for len(round) > 0 {
		part := (maxBatchBytes - b.size()) / len(round)
		more := round[:0]
		for i, s := range round {
			if b.size() >= maxBatchBytes {
				l.again = append(append(l.again, round[i:]...), more...)
				return
			}
			if l.gather(b, s, b.size()+max(part, 1)) {
				more = append(more, s)
			}
		}
		round = more
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

// flat returns the batch as a buffer of its own, to append to.
func (b *batch) flat() []byte {
	if b.shared != nil {
		b.add(nil)
	}
	return b.buf
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

// gather adds what s lacks up to the noted head, until the batch has full
// bytes. more says that something is left that could be added now.
func (l *loop) gather(b *batch, s *Sub, full int) (more bool) {
	if s.ended.Load() {
		return false
	}
	v := &s.feed.views[l.id]
	if v.passing.lost > s.passed.Load() {
		s.conn.drop(Slow)
		return false
	}
	head := v.head
	end := s.end.Load()
	ends := end != 0 && end <= head
	if ends {
		head = end
	}
	events := v.passing.after(s.passed.Load())
	for i := range events {
		e := &events[i]
		if ends && e.head >= end {
			break
		}
		if b.size() >= full {
			return true
		}
		if done, more := l.advance(b, s, v, e.head, full); !done {
			return more
		}
		s.passed.Store(e.n)
		l.addPassing(b, s, e)
	}
	done, more := l.advance(b, s, v, head, full)
	if done && ends {
		l.end(b, s)
	}
	return more
}

// addPassing adds a passing event, if it is for s.
func (l *loop) addPassing(b *batch, s *Sub, e *passingEvent) {
	frame := e.frames[s.conn.dialect.Profile]
	if len(frame) == 0 || e.cause != "" && e.cause == s.conn.self || e.version != 0 && e.version <= s.version {
		return
	}
	l.sent[sentPassing]++
	if wrap := s.conn.dialect.Wrap; wrap != nil {
		b.buf = wrap(b.flat(), s, 0, l.hub.cfg.Encode.payload(frame))
		return
	}
	b.addShared(frame)
}

// advance adds durable events, and the markers among them, until the cursor is
// at upto. If it does not get there, more says whether that is for want of
// room; otherwise a page is being read, which wakes s.
func (l *loop) advance(b *batch, s *Sub, v *view, upto uint64, full int) (done, more bool) {
	for {
		stop := upto
		if len(s.marks) > 0 {
			stop = l.addMarks(b, s, upto)
		}
		if s.cursor >= upto {
			return true, false
		}
		if b.size() >= full {
			return false, true
		}
		from := s.source(v)
		if from == nil {
			l.readPage(s)
			return false, false
		}
		l.addEvents(b, s, from, stop, full-b.size())
	}
}

// source returns where the event after the cursor is, nil if that is neither in
// the page that s has nor in the tail.
func (s *Sub) source(v *view) *chunk {
	if p := s.page; p != nil {
		if p.last() > s.cursor && !v.changes.touch(s.cursor+1, p.last(), p.changes) {
			return &p.chunk
		}
		s.page = nil
	}
	return v.tail.find(s.cursor + 1)
}

// addEvents moves the cursor on within from, to upto at most, by as many events
// as fit into budget bytes, one at least.
func (l *loop) addEvents(b *batch, s *Sub, from *chunk, upto uint64, budget int) {
	d := s.conn.dialect
	if d.Profile == Seed && len(from.hidden) > 0 {
		last, hidden := from.run(s.cursor+1, upto)
		if hidden {
			s.moveWithin(from, last)
			return
		}
		upto = last
	}
	frames, last := from.after(s.cursor, upto, budget)
	l.sent[sentEvent] += last - s.cursor
	if d.Wrap == nil {
		b.addShared(frames)
		s.moveWithin(from, last)
		return
	}
	for seq := s.cursor + 1; seq <= last; seq++ {
		s.moveWithin(from, seq)
		b.buf = d.Wrap(b.flat(), s, seq, l.hub.cfg.Encode.payload(from.frame(seq)))
	}
}

// moveWithin sets the cursor to an event of k.
func (s *Sub) moveWithin(k *chunk, seq uint64) { s.cursor, s.tag, s.tagged = seq, k.tag(seq), true }

// addMarks adds the markers whose place has come, and returns how far events
// may be added before the next one, upto at most.
func (l *loop) addMarks(b *batch, s *Sub, upto uint64) uint64 {
	for len(s.marks) > 0 {
		if at := s.marks[0].At; at > s.cursor {
			return min(at, upto)
		}
		l.addMade(b, s, s.marks[0].Make)
		s.marks = s.marks[1:]
	}
	s.marks = nil
	return upto
}

// addMade adds the frame that a function of the dialect makes.
func (l *loop) addMade(b *batch, s *Sub, appendFrame func([]byte, *Sub) []byte) {
	wrap := s.conn.dialect.Wrap
	if wrap == nil {
		b.buf = appendFrame(b.flat(), s)
		return
	}
	if payload := appendFrame(nil, s); len(payload) > 0 {
		b.buf = wrap(b.flat(), s, 0, payload)
	}
}

// end ends s after the event with which its user was removed.
func (l *loop) end(b *batch, s *Sub) {
	if !s.ended.CompareAndSwap(false, true) {
		return
	}
	s.marks, s.page = nil, nil
	s.feed.unlink(s)
	if ended := s.conn.dialect.Ended; ended != nil {
		l.addMade(b, s, ended)
	} else {
		s.conn.drop(Removed)
	}
}
