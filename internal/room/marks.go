package room

import (
	"context"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

const (
	// markEvery is the shortest time between two transactions of marks: a
	// reader moves its mark with every message, and nobody sees 50 ms.
	markEvery = 50 * time.Millisecond
	// seenEvery is the shortest time between two notes of who was seen.
	seenEvery = time.Second
	// maxMarks bounds the marks that wait, with their callers.
	maxMarks = 1 << 14
	// maxSeen bounds the users to be noted as seen; what is beyond is not
	// noted this time.
	maxSeen = 1 << 16
	// markPatience is how long a transaction of marks may take.
	markPatience = 10 * time.Second
)

// marker stores marks, and who was seen, with few transactions, and shows
// the marks to the others.
type marker struct {
	// Fixed after construction.
	service *Service
	wake    chan struct{} // one slot
	halt    chan struct{} // closed by end
	ended   chan struct{} // closed when run has returned

	receipts receipts // owned by run

	mu      sync.Mutex
	queue   []*markRow
	index   map[markKey]*markRow
	waiting int // callers
	seen    map[chat.UserID]chat.User
	over    bool
}

// markKey is what is stored as one row.
type markKey struct {
	room    chat.RoomID
	user    chat.UserID
	trusted bool
}

// markRow is the mark that comes of several calls, and who waits for it.
type markRow struct {
	mark    store.Mark
	waiters []chan marked
}

type marked struct {
	mark chat.Mark
	err  error
}

func newMarker(s *Service) *marker {
	return &marker{
		service:  s,
		wake:     make(chan struct{}, 1),
		halt:     make(chan struct{}),
		ended:    make(chan struct{}),
		receipts: receipts{bus: s.bus, users: make(map[receiptKey]*receipt)},
		index:    make(map[markKey]*markRow),
		seen:     make(map[chat.UserID]chat.User),
	}
}

// move queues a mark and waits until it is stored.
func (m *marker) move(ctx context.Context, mark store.Mark) (chat.Mark, error) {
	done := make(chan marked, 1)
	if err := m.queueUp(mark, done); err != nil {
		return chat.Mark{}, err
	}
	select {
	case got := <-done:
		return got.mark, got.err
	case <-ctx.Done():
		return chat.Mark{}, errLeft
	}
}

func (m *marker) queueUp(mark store.Mark, done chan marked) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.over:
		return errShuttingDown
	case m.waiting >= maxMarks:
		return errQueueFull
	}
	key := markKey{mark.Room, mark.User.ID, mark.Trusted}
	row := m.index[key]
	if row == nil {
		row = &markRow{mark: mark}
		m.index[key] = row
		m.queue = append(m.queue, row)
	} else {
		row.merge(mark)
	}
	row.waiters = append(row.waiters, done)
	m.waiting++
	m.awaken()
	return nil
}

// merge moves r on by a later call.
func (r *markRow) merge(mark store.Mark) {
	r.mark.User = mark.User
	r.mark.Read = max(r.mark.Read, mark.Read)
	r.mark.Delivered = max(r.mark.Delivered, mark.Delivered)
	if mark.Private != nil {
		r.mark.Private = mark.Private
	}
}

// Seen notes that a user is connected now; it is stored some time later, and
// lost if the server crashes before.
func (s *Service) Seen(user chat.User) {
	m := s.marks
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.seen[user.ID]; m.over || !known && len(m.seen) >= maxSeen {
		return
	}
	m.seen[user.ID] = user
	m.awaken()
}

func (m *marker) awaken() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// end takes no more marks, has what is queued stored, and joins run.
func (m *marker) end() {
	m.mu.Lock()
	over := m.over
	m.over = true
	m.mu.Unlock()
	if !over {
		close(m.halt)
	}
	<-m.ended
}

// run stores what is queued until end.
func (m *marker) run() {
	defer close(m.ended)
	var storedAt, seenAt time.Time
	for {
		over := m.idle(storedAt, seenAt)
		now := time.Now()
		if over || now.Sub(storedAt) >= markEvery {
			if m.storeMarks() {
				storedAt = now
			}
		}
		if over || now.Sub(seenAt) >= seenEvery {
			if m.storeSeen(now) {
				seenAt = now
			}
		}
		m.receipts.show(now, over)
		if over {
			return
		}
	}
}

// idle waits until something is due, and reports whether run is to end.
func (m *marker) idle(storedAt, seenAt time.Time) (over bool) {
	var due <-chan time.Time
	if at, ok := m.dueAt(storedAt, seenAt); ok {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-due:
	case <-m.wake:
	case <-m.halt:
		return true
	}
	return false
}

// dueAt returns when the next thing is to be done, if there is any.
func (m *marker) dueAt(storedAt, seenAt time.Time) (at time.Time, ok bool) {
	m.mu.Lock()
	marks, seen := len(m.queue) > 0, len(m.seen) > 0
	m.mu.Unlock()
	at, ok = m.receipts.dueAt()
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if marks {
		sooner(storedAt.Add(markEvery))
	}
	if seen {
		sooner(seenAt.Add(seenEvery))
	}
	return at, ok
}

// storeMarks stores what is queued, answers, and then shows what has moved.
// It reports whether there was anything.
func (m *marker) storeMarks() bool {
	m.mu.Lock()
	queue := m.queue
	m.queue = nil
	clear(m.index)
	m.waiting = 0
	m.mu.Unlock()
	if len(queue) == 0 {
		return false
	}
	rows := make([]store.Mark, len(queue))
	for i := range queue {
		rows[i] = queue[i].mark
	}
	ctx, cancel := context.WithTimeout(context.Background(), markPatience)
	defer cancel()
	results, err := m.service.store.Mark(ctx, rows)
	if err != nil {
		err = m.service.unwritten("marks", err)
		results = make([]store.Marked, len(rows))
	}
	for i, row := range queue {
		row.answer(&results[i], err)
	}
	now := time.Now().UTC()
	for i := range results {
		if r := &results[i]; r.Moved {
			m.service.counts.Marks.Inc()
			m.receipts.take(rows[i].User, r.Member, now)
		}
	}
	return true
}

func (r *markRow) answer(got *store.Marked, err error) {
	if err == nil {
		err = got.Err
	}
	for _, w := range r.waiters {
		w <- marked{got.Member.Mark, err}
	}
}

// storeSeen notes who was seen, and reports whether there was anybody. What
// fails is not tried again: who is connected will be seen again.
func (m *marker) storeSeen(now time.Time) bool {
	m.mu.Lock()
	seen := m.seen
	m.seen = make(map[chat.UserID]chat.User)
	m.mu.Unlock()
	if len(seen) == 0 {
		return false
	}
	users := make([]chat.User, 0, len(seen))
	for _, u := range seen {
		users = append(users, u)
	}
	ctx, cancel := context.WithTimeout(context.Background(), markPatience)
	defer cancel()
	if err := m.service.store.Seen(ctx, users, now.UTC()); err != nil {
		_ = m.service.unwritten("who was seen", err)
	}
	return true
}

// receiptEvery is how often the others are shown one user's mark in a room.
const receiptEvery = time.Second

// receipts shows marks: to the user's own sessions each as it is stored, to
// the others at most one a second for each user and room, the newest, and
// the last one always. It holds an entry for a second after each mark, so the
// marks of a second bound it.
type receipts struct {
	bus   bus.Bus
	users map[receiptKey]*receipt
}

type receiptKey struct {
	room chat.RoomID
	user chat.UserID
}

// receipt is one mark that was shown, and the next.
type receipt struct {
	shownAt time.Time
	next    []chat.Event // nil if the newest was shown
}

// take shows a mark that has moved, or keeps it for later.
func (r *receipts) take(user chat.User, m chat.Member, at time.Time) {
	e := chat.Event{
		Room:    m.Room,
		Kind:    chat.KindReceipt,
		Actor:   user,
		Subject: user.ID,
		At:      at,
		Body:    chat.MarkBody(m.Mark),
	}
	own := e
	own.Msgs = m.Mark.ReadMsgs
	r.bus.Publish(bus.UserTopic(user.ID), []chat.Event{own})
	key := receiptKey{m.Room, user.ID}
	if m.Mark.Private {
		if to := r.users[key]; to != nil {
			to.next = nil // what waits has become private
		}
		return
	}
	if r.users[key] == nil {
		r.users[key] = new(receipt)
	}
	r.users[key].next = []chat.Event{e}
}

// show publishes what is due, or everything at the end.
func (r *receipts) show(now time.Time, over bool) {
	for key, to := range r.users {
		switch due := over || now.Sub(to.shownAt) >= receiptEvery; {
		case !due:
		case to.next == nil:
			delete(r.users, key)
		default:
			r.bus.Publish(bus.RoomTopic(key.room), to.next)
			to.shownAt, to.next = now, nil
		}
	}
}

// dueAt returns when show has the next thing to do, if there is any.
func (r *receipts) dueAt() (at time.Time, ok bool) {
	for _, to := range r.users {
		if t := to.shownAt.Add(receiptEvery); !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	return at, ok
}
