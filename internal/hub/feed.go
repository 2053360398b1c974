package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// maxHeld bounds the events that wait for an earlier one.
const maxHeld = 64

// gapRetry is the pause after a gap could not be read.
const gapRetry = time.Second

// gapLimit is one read of the log for a gap.
var gapLimit = store.Limit{Events: 256, Bytes: 256 << 10}

// Feed is one room's recent tail in a node's memory. A feed of a user's topic
// has no log and no room; what comes there is passing, whatever its kind.
type Feed struct {
	hub   *Hub
	topic bus.Topic
	room  chat.RoomID   // "" for a user's
	ready chan struct{} // closed when open is over

	// These are written before ready is closed.
	openErr  error
	listener bus.Subscription
	epoch    string

	active atomic.Bool // something durable has come since the last check

	// refs and idleSince are guarded by hub.mu.
	refs      int
	idleSince time.Time

	// views[i] and dirty[i] belong to loop i: views to its goroutine, dirty
	// to its lock.
	views []view
	dirty []bool

	mu      sync.Mutex
	since   []time.Time // by loop: since when something durable waits for it
	floor   uint64
	next    uint64 // the seq that is taken next; 0 until open has read the log
	tail    tail
	changes changes
	passing passing
	held    []*chat.Event // durable events from next on, in no order
	told    uint64        // the highest seq of which a bare event has told
	changed uint64        // the last seq that may be of a ban or of settings
	filling bool          // one goroutine reads what is missing
	// cut says that a change of the log has taken from the tail what readers may
	// yet ask for; mending is closed when that has been read again, and nil
	// unless it is being read.
	cut     bool
	mending chan struct{}
	// disputed is a seq that an event has come for, or has come after, whose tag
	// is another than the tail's; 0 if none. Until the log has been asked nothing
	// is taken, for it may follow the other event.
	disputed uint64
	closed   bool
	gap      *time.Timer
	subs     [][]*Sub // by loop, from Attach on
}

// view is what one loop has noted of a feed for one pass.
type view struct {
	pass    uint64
	head    uint64
	since   time.Time // the feed has had what is new; zero if nothing is
	tail    tail
	changes changes
	passing passing
}

func newFeed(h *Hub, topic bus.Topic, id chat.RoomID) *Feed {
	n := len(h.loops)
	return &Feed{
		hub:   h,
		topic: topic,
		room:  id,
		ready: make(chan struct{}),
		views: make([]view, n),
		dirty: make([]bool, n),
		since: make([]time.Time, n),
		subs:  make([][]*Sub, n),
	}
}

func (f *Feed) isReady() bool {
	select {
	case <-f.ready:
		return f.openErr == nil
	default:
		return false
	}
}

// open listens to the topic, and only then reads the end of the room's log:
// what is stored after the read is also heard.
func (f *Feed) open(hurry bool) {
	defer close(f.ready)
	ctx, cancel := context.WithTimeout(f.hub.ctx, openTimeout)
	defer cancel()
	var err error
	if f.listener, err = f.hub.cfg.Bus.Subscribe(ctx, f.topic, f.take); err != nil {
		f.openErr = fmt.Errorf("listen to %s: %w", f.topic, err)
		return
	}
	if f.room == "" {
		f.mu.Lock()
		f.next = 1
		f.mu.Unlock()
		return
	}
	limit := store.Limit{Events: warmEvents, Bytes: f.hub.cfg.TailBytes / 2, Patient: !hurry}
	page, err := f.hub.cfg.Log.Before(ctx, f.room, 0, limit)
	if err != nil {
		f.openErr = fmt.Errorf("read the end of room %s: %w", f.room, err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch, f.floor = page.Room.Epoch, page.Room.Floor
	f.next = page.Room.Head + 1
	if n := len(page.Events); n > 0 {
		f.next = page.Events[0].Seq
		for i := range page.Events { // in their current form: nothing is to be forgotten
			f.add(&page.Events[i])
		}
	}
	f.changed = f.next - 1
	f.takeHeld()
	if f.told >= f.next {
		f.startFill()
	}
	f.active.Store(true) // a held event may have been dropped: look again soon
}

// close ends the feed; nobody refers to it any more. It may be called twice.
func (f *Feed) close() {
	<-f.ready
	if f.listener != nil {
		f.listener.Close()
	}
	f.mu.Lock()
	f.closed = true
	if f.gap != nil {
		f.gap.Stop()
	}
	f.mu.Unlock()
}

// take is the feed's bus handler: it puts what comes in order and wakes the
// loops. It never waits. Without events, some may have been lost.
func (f *Feed) take(events []chat.Event) {
	if len(events) == 0 {
		if f.room != "" { // a user's topic has no log to look at
			f.hub.doubt(f, lookLoss)
		}
		return
	}
	f.mu.Lock()
	wanted := f.takeAll(events)
	f.mu.Unlock()
	f.wake(wanted)
}

// takeFromLog is take for a page that begins with what the feed has last: the
// log has that, and so all before it.
func (f *Feed) takeFromLog(events []chat.Event) {
	f.mu.Lock()
	f.undispute()
	wanted := f.takeAll(events)
	f.mu.Unlock()
	f.wake(wanted)
}

// takeAll returns the loops, as bits, that are to be woken. The caller holds
// f.mu.
func (f *Feed) takeAll(events []chat.Event) (wanted uint64) {
	changed, next := false, f.next
	for i := range events {
		e := &events[i]
		switch {
		case f.room == "" || !e.Kind.Durable():
			changed = f.takePassing(e) || changed
		case f.next == 0 && e.Bare():
			f.told = max(f.told, e.Seq)
		case f.next == 0:
			f.hold(e)
		case e.Epoch != f.epoch:
			// The log of another life. The check of heads finds out.
			f.active.Store(true)
		case f.isPast(e):
		case e.Bare():
			f.told = max(f.told, e.Seq)
			f.startFill()
		case f.isNext(e):
			f.append(e)
			changed = true
		default:
			f.hold(e)
		}
	}
	if f.takeHeld() {
		changed = true
	}
	wanted = f.wantedBy(changed)
	if f.next > next {
		f.taken(wanted)
	}
	return wanted
}

// wantedBy returns the loops, as bits, that have subscribers here. The caller
// holds f.mu.
func (f *Feed) wantedBy(changed bool) (loops uint64) {
	if changed {
		for i, subs := range f.subs {
			if len(subs) > 0 {
				loops |= 1 << i
			}
		}
	}
	return loops
}

func (f *Feed) wake(loops uint64) {
	for i, l := range f.hub.loops {
		if loops&(1<<i) != 0 {
			l.wakeFeed(f)
		}
	}
}

// append takes the event of f.next, and does what it says to the feed. The
// caller holds f.mu.
func (f *Feed) append(e *chat.Event) {
	if c, ok := changeOf(e); ok {
		f.changes.add(c)
		f.cut = f.tail.forget(c.last) || f.cut
	}
	switch e.Kind {
	case chat.KindMemberRemoved, chat.KindMemberBanned:
		f.endMember(e.Subject, e.Seq)
	case chat.KindMemberAdded:
		f.readmit(e.Subject)
	}
	switch e.Kind {
	case chat.KindMemberBanned, chat.KindRoomUpdated, chat.KindRoomCreated:
		f.changed = e.Seq
	}
	f.add(e)
	f.active.Store(true)
	if f.hub.debugging() {
		readers := 0
		for _, subs := range f.subs {
			readers += len(subs)
		}
		f.hub.cfg.Logger.Debug("event fanned out", "room_id", f.room, "seq", e.Seq, "readers", readers)
	}
}

// add puts the event of f.next into the tail. The caller holds f.mu.
func (f *Feed) add(e *chat.Event) {
	buf := f.hub.scratch()
	*buf = f.hub.cfg.Encode.Durable((*buf)[:0], e)
	f.tail.add(e.Seq, *buf, e.Tag, hides(e), f.hub.cfg.TailBytes)
	f.hub.putScratch(buf)
	f.next = e.Seq + 1
}

// endMember has the user's subscriptions end right after the event of seq. The
// caller holds f.mu.
func (f *Feed) endMember(user chat.UserID, seq uint64) {
	for _, subs := range f.subs {
		for _, s := range subs {
			if s.conn.self == user {
				s.end.CompareAndSwap(0, seq)
			}
		}
	}
}

// readmit takes back endMember for those that have not been started. The
// caller holds f.mu.
func (f *Feed) readmit(user chat.UserID) {
	for _, subs := range f.subs {
		for _, s := range subs {
			if !s.started && s.conn.self == user {
				s.end.Store(0)
			}
		}
	}
}

// takePassing keeps a passing event for the subscribers there are.
func (f *Feed) takePassing(e *chat.Event) bool {
	if f.next == 0 {
		return false // nobody can have subscribed yet
	}
	var p passingEvent
	if f.room == "" {
		p = f.hub.encodeNotice(e)
	} else {
		p = f.hub.encodePassing(e)
	}
	p.head = f.next - 1
	f.passing.add(p)
	return true
}

// releasePassing frees the passing events that all subscribers have passed.
func (f *Feed) releasePassing() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.passing.events) == 0 {
		return
	}
	passed := f.passing.last
	for _, subs := range f.subs {
		for _, s := range subs {
			passed = min(passed, s.passed.Load())
		}
	}
	f.passing.release(passed)
}

// hold keeps an event that cannot be taken yet.
func (f *Feed) hold(e *chat.Event) {
	if len(f.held) < maxHeld {
		f.held = append(f.held, e)
	}
}

// takeHeld takes the held events that are due and drops those that are past.
// If some are left, it sees to it that what is missing before them is read
// from the log, should it not come by itself; and so is what was only told of.
// The caller holds f.mu.
func (f *Feed) takeHeld() (changed bool) {
	if f.next == 0 {
		return false
	}
	for again := len(f.held) > 0; again; {
		again = false
		kept := f.held[:0]
		for _, e := range f.held {
			switch {
			case e.Epoch != f.epoch:
			case f.isPast(e):
			case f.isNext(e):
				f.append(e)
				changed, again = true, true
			default:
				kept = append(kept, e)
			}
		}
		clear(f.held[len(kept):])
		f.held = kept
	}
	if len(f.held) == 0 {
		f.held = nil
	}
	if !f.misses() {
		if f.gap != nil {
			f.gap.Stop()
			f.gap = nil
		}
	} else if f.gap == nil && !f.filling && !f.closed {
		f.gap = time.AfterFunc(f.hub.cfg.GapWait, f.gapOver)
	}
	return changed
}

// misses reports whether the feed knows of an event that it has not taken. The
// caller holds f.mu.
func (f *Feed) misses() bool { return len(f.held) > 0 || f.told >= f.next }

// gapOver runs when the missing event has not come within GapWait.
func (f *Feed) gapOver() {
	f.mu.Lock()
	f.gap = nil
	missing := f.misses()
	f.mu.Unlock()
	if missing {
		f.fill()
	}
}

// fill starts reading from the log what comes after the feed's head, unless
// that is going on already.
func (f *Feed) fill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.startFill()
}

// startFill is fill for a caller that holds f.mu.
func (f *Feed) startFill() {
	if !f.filling && !f.closed {
		f.filling = f.hub.spawn(f.readGap)
	}
}

// readGap reads pages until the feed has all that the store has. It is the
// only goroutine of its feed that does so.
func (f *Feed) readGap() {
	for {
		after, told, waiting := f.known()
		page, err := f.readOn(after)
		if err != nil && f.hub.ctx.Err() == nil {
			f.hub.cfg.Logger.Warn("read a gap", "room_id", f.room, "after", after, "error", err)
		}
		forked := err == nil && f.forks(&page)
		if err == nil && !forked && len(page.Events) > 0 {
			f.takeFromLog(page.Events)
			last := page.Events[len(page.Events)-1].Seq
			known := min(max(after, told), last) // what was only told of was not lost
			f.hub.counts.Healed.Add(min(f.head(), last) - min(f.head(), known))
		}
		f.mu.Lock()
		// What the log has now does not follow what the feed has.
		rewritten := forked || err == nil && page.Room.Head > after && f.next == after+1
		// What was told of before the read began is in the page, or never was.
		more := f.told > told && f.told >= f.next
		over := err != nil || rewritten || f.next > page.Room.Head && !more
		if over {
			f.filling = false
			if err == nil {
				f.told = min(f.told, f.next-1)
				f.forget(waiting, page.Room.Head)
			}
			f.active.Store(true)
			if err != nil && f.gap == nil && !f.closed {
				f.gap = time.AfterFunc(gapRetry, f.gapOver)
			}
			f.takeHeld() // waits for the next gap, if one is left
		}
		f.mu.Unlock()
		if rewritten {
			f.evict(page.Room)
		}
		if over {
			return
		}
	}
}

// readOn reads a page of the log from the event at the feed's head on, which
// shows whether it is the log that the feed has read so far. Two events of the
// longest kind fit into a page.
func (f *Feed) readOn(head uint64) (store.Page, error) {
	ctx, cancel := context.WithTimeout(f.hub.ctx, openTimeout)
	defer cancel()
	return f.hub.cfg.Log.After(ctx, f.room, max(head, 1)-1, gapLimit)
}

// forks reports whether a page has another event where the feed has one.
func (f *Feed) forks(p *store.Page) bool {
	if len(p.Events) == 0 {
		return false
	}
	first := &p.Events[0]
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.tail.tag(first.Seq)
	return known && first.Epoch != f.epoch || f.tail.contradicts(first.Seq, first.Tag)
}

// changeCount returns how many changes of its log the feed has taken.
func (f *Feed) changeCount() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes.count
}

// head returns the seq of the newest event that the feed has.
func (f *Feed) head() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next - 1
}

// known returns how far the feed goes, how far it has been told that the log
// goes, and what it holds.
func (f *Feed) known() (head, told uint64, held []*chat.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next - 1, f.told, slices.Clone(f.held)
}

// forget drops those of the events that were held before a log was read which
// lie beyond its head: a failover has taken them away, or they would be there.
// Without that the log would be read for them, again and again, until it has
// grown so far. The caller holds f.mu.
func (f *Feed) forget(held []*chat.Event, head uint64) {
	lost := slices.DeleteFunc(held, func(e *chat.Event) bool { return e.Seq <= head })
	if len(lost) == 0 {
		return
	}
	f.held = slices.DeleteFunc(f.held, func(e *chat.Event) bool { return slices.Contains(lost, e) })
	f.hub.cfg.Logger.Warn("events that the log does not have are forgotten", "room_id", f.room, "head", head, "events", len(lost))
}

// compare takes the store's word on how far the room's log goes, and with which
// event it ends. known is the feed's head from before the store was asked.
func (f *Feed) compare(head store.Head, known uint64) {
	room := head.Room
	f.mu.Lock()
	behind := room.Epoch == f.epoch && room.Head >= f.next
	rewritten := room.Epoch != f.epoch || room.Head < known || f.tail.contradicts(room.Head, head.Tag)
	f.floor = max(f.floor, room.Floor)
	f.mu.Unlock()
	switch {
	case behind:
		f.fill()
	case rewritten:
		f.evict(room)
	}
}

// evict forgets a feed whose log was rewritten, and is now as room says. All
// readers are sent away, to come back with their cursors and be told what
// became of them; the last one to go closes the feed.
func (f *Feed) evict(room chat.Room) {
	h := f.hub
	h.mu.Lock()
	unread, current := false, h.feeds[f.topic] == f
	if current {
		delete(h.feeds, f.topic)
		if unread = f.refs == 0; unread {
			h.idle--
		}
	}
	h.mu.Unlock()
	if current { // one look may find out twice
		h.counts.Rewritten.Inc()
		h.cfg.Logger.Error("the log of a room was rewritten below its readers", "room_id", f.room, "epoch", room.Epoch, "head", room.Head)
	}
	if unread {
		f.close()
	}
	f.mu.Lock()
	var conns []*Conn
	for _, subs := range f.subs {
		for _, s := range subs {
			conns = append(conns, s.conn)
		}
	}
	f.mu.Unlock()
	for _, c := range conns {
		c.drop(Rewritten)
	}
}

// note copies into the loop's view what the feed has now, once a pass.
func (f *Feed) note(l *loop) *view {
	v := &f.views[l.id]
	if v.pass != l.passes {
		f.mu.Lock()
		v.pass = l.passes
		v.head = f.next - 1
		v.since, f.since[l.id] = f.since[l.id], time.Time{}
		v.tail = f.tail.snapshot(v.tail.chunks)
		v.changes = f.changes
		v.passing = f.passing
		f.mu.Unlock()
		l.noted = append(l.noted, v)
	}
	return v
}

// forget lets go of what the feed may have let go of, once the pass is over.
func (v *view) forget() {
	clear(v.tail.chunks)
	v.tail.chunks = v.tail.chunks[:0]
	v.changes = changes{}
	v.passing = passing{}
}

var scratches = sync.Pool{New: func() any { return new([]byte) }}

// scratch lends a buffer to encode into.
func (h *Hub) scratch() *[]byte { return scratches.Get().(*[]byte) }

func (h *Hub) putScratch(b *[]byte) {
	if cap(*b) <= maxChunkBytes {
		scratches.Put(b)
	}
}
