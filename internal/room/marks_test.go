package room

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// ledger is a store of marks alone.
type ledger struct {
	*hostile
	calls  []int // marks of each call
	takes  time.Duration
	marks  map[chat.UserID]chat.Mark
	seen   [][]chat.User
	refuse error
}

func (l *ledger) Mark(_ context.Context, marks []store.Mark) ([]store.Marked, error) {
	time.Sleep(l.takes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, len(marks))
	if l.refuse != nil {
		return nil, l.refuse
	}
	var results []store.Marked
	for _, m := range marks {
		was := l.marks[m.User.ID]
		now := chat.Mark{Read: max(was.Read, m.Read), Delivered: max(was.Delivered, m.Read, m.Delivered), Private: was.Private}
		if m.Private != nil {
			now.Private = *m.Private
		}
		l.marks[m.User.ID] = now
		results = append(results, store.Marked{Member: chat.Member{Room: m.Room, User: m.User, Mark: now}, Moved: now != was})
	}
	return results, nil
}

func (l *ledger) Seen(_ context.Context, users []chat.User, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, users)
	return nil
}

// marking is a Service over a ledger, and what it published.
type marking struct {
	*Service
	*ledger
	bus   *recorder
	t     *testing.T
	asked sync.WaitGroup
}

func newMarking(t *testing.T) *marking {
	l := &ledger{hostile: newHostile(1), marks: make(map[chat.UserID]chat.Mark)}
	m := &marking{ledger: l, bus: new(recorder), t: t}
	m.Service = New(Config{Store: l, Bus: m.bus, AutoCreate: true, Fatal: func(err error) { t.Error(err) }})
	t.Cleanup(func() { m.Service.Close() })
	return m
}

func (m *marking) mark(user chat.User, mark Mark) {
	m.asked.Go(func() {
		if _, err := m.Service.Mark(m.t.Context(), chat.Principal{User: user}, "1", mark); err != nil {
			m.t.Errorf("Mark = %v", err)
		}
	})
	synctest.Wait()
}

// shown returns the receipts published on a topic.
func (m *marking) shown(topic bus.Topic) []string {
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	var bodies []string
	for i, run := range m.bus.runs {
		if m.bus.topics[i] == topic && run[0].Kind == chat.KindReceipt {
			bodies = append(bodies, string(run[0].Subject)+string(run[0].Body))
		}
	}
	return bodies
}

func TestMarksOfAMomentAreStoredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		for i := range 100 {
			m.mark(chat.User{ID: chat.UserID(fmt.Sprint(i % 10))}, Mark{Read: uint64(i)})
		}
		pass(markEvery)
		m.asked.Wait()
		if want := []int{1, 10}; !slices.Equal(m.ledger.calls, want) {
			t.Errorf("stored %v marks, want %v: the first at once, one row a user after 50 ms", m.ledger.calls, want)
		}
		if got := m.Counts().Marks.Value(); got == 0 || got > 11 {
			t.Errorf("%d marks are counted, want those of the 11 rows that moved", got)
		}
	})
}

func TestOneReceiptASecondAndTheLastOneAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		for i := range uint64(20) { // for 2 s
			m.mark(alice, Mark{Read: i + 1})
			pass(100 * time.Millisecond)
		}
		pass(time.Minute)
		got := m.shown(bus.RoomTopic("1"))
		want := []string{`1{"read":1,"delivered":1}`, `1{"read":10,"delivered":10}`, `1{"read":20,"delivered":20}`}
		if !slices.Equal(got, want) {
			t.Errorf("the room was shown %q, want %q", got, want)
		}
		if own := m.shown(bus.UserTopic(alice.ID)); len(own) != 20 {
			t.Errorf("the user's own sessions were shown %d marks, want all 20", len(own))
		}
		if len(m.Service.marks.receipts.users) != 0 {
			t.Errorf("%d receipts are remembered after a minute, want none", len(m.Service.marks.receipts.users))
		}
	})
}

func TestPrivateMarksAreShownToNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		private := true
		m.mark(alice, Mark{Read: 1})
		pass(100 * time.Millisecond)
		m.mark(alice, Mark{Read: 2}) // waits for its second
		pass(100 * time.Millisecond)
		m.mark(alice, Mark{Read: 3, Private: &private})
		pass(time.Minute)
		if got, want := m.shown(bus.RoomTopic("1")), []string{`1{"read":1,"delivered":1}`}; !slices.Equal(got, want) {
			t.Errorf("the room was shown %q, want %q", got, want)
		}
		if own := m.shown(bus.UserTopic(alice.ID)); len(own) != 3 {
			t.Errorf("the user's own sessions were shown %d marks, want 3", len(own))
		}
	})
}

func TestMarksOverAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		m.ledger.refuse = store.ErrUnavailable
		if _, err := m.Service.Mark(t.Context(), byAlice, "1", Mark{Read: 1}); !hasCode(err, chat.StoreUnavailable) {
			t.Errorf("Mark = %v, want %s", err, chat.StoreUnavailable)
		}
	})
}

func TestMarksThatWaitAreStoredByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		m.mark(alice, Mark{Read: 1})
		m.mark(bob, Mark{Read: 7}) // waits for its 50 ms
		m.Service.Seen(alice)
		m.Service.Close()
		m.asked.Wait()
		if got := m.ledger.marks[bob.ID].Read; got != 7 {
			t.Errorf("Bob's mark is at %d, want 7", got)
		}
		if len(m.seen) != 1 {
			t.Errorf("seen was noted %d times, want once", len(m.seen))
		}
		if _, err := m.Service.Mark(t.Context(), byAlice, "1", Mark{Read: 9}); err != errShuttingDown {
			t.Errorf("Mark after Close = %v, want %v", err, errShuttingDown)
		}
	})
}

func TestMarksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		m.takes = time.Second
		m.mark(alice, Mark{Read: 1}) // with the store
		done := make(chan marked, maxMarks+1)
		for range maxMarks {
			if err := m.Service.marks.queueUp(store.Mark{Room: "1", User: bob}, done); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Service.marks.queueUp(store.Mark{Room: "1", User: bob}, done); err != errQueueFull {
			t.Errorf("one mark too many = %v, want %v", err, errQueueFull)
		}
		pass(3 * time.Second)
		m.asked.Wait()
	})
}

func TestSeenIsNotedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarking(t)
		for range 10 {
			m.Service.Seen(alice)
			m.Service.Seen(bob)
			pass(250 * time.Millisecond)
		}
		pass(time.Second)
		if len(m.seen) != 4 || len(m.seen[1]) != 2 {
			t.Errorf("seen was noted as %v, want both users, at 0, 1, 2 and 3 s", m.seen)
		}
	})
}
