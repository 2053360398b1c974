package room

import (
	"context"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// heed is what the Service hears of rights on other nodes.
type heed struct {
	sub bus.Subscription // nil if nothing is heard

	mu        sync.Mutex
	clearedAt time.Time
}

const (
	// heedTime bounds the wait for the topic. Without it, what is remembered
	// is only forgotten in time.
	heedTime = 5 * time.Second
	// clearEvery is the shortest time between two clearings of all that is
	// remembered: a bus that is down doubts every second, and the store is not
	// to pay for that.
	clearEvery = 2 * time.Second
)

func (s *Service) listen() {
	ctx, cancel := context.WithTimeout(context.Background(), heedTime)
	defer cancel()
	sub, err := s.bus.Subscribe(ctx, bus.RightsTopic, s.hear)
	if err != nil {
		s.log.Warn("listen for changes of rights", "error", err)
		return
	}
	s.heed.sub = sub
}

func (s *Service) deafen() {
	if s.heed.sub != nil {
		s.heed.sub.Close()
	}
}

// hear is the bus handler of what takes rights away: what is remembered of them
// is forgotten, and read from the store when it is needed.
func (s *Service) hear(events []chat.Event) {
	if len(events) == 0 {
		s.forgetAll()
		return
	}
	for i := range events {
		if e := &events[i]; e.Kind == chat.KindAccountChanged {
			s.admissions.forget(e.Subject)
		} else {
			s.writers.notice(e)
			s.opens.notice(e)
		}
	}
}

// forgetAll forgets all rights that are remembered, unless that was done just
// now: they are not remembered for long.
func (s *Service) forgetAll() {
	s.heed.mu.Lock()
	due := time.Since(s.heed.clearedAt) >= clearEvery
	if due {
		s.heed.clearedAt = time.Now()
	}
	s.heed.mu.Unlock()
	if due {
		s.admissions.clear()
		s.writers.clear()
		s.opens.clear()
	}
}

// lessens reports whether somebody may do less after an event than before.
func lessens(e *chat.Event) bool {
	switch e.Kind {
	case chat.KindMemberRemoved, chat.KindMemberBanned, chat.KindMemberRole, chat.KindRoomUpdated, chat.KindRoomCreated:
		return true
	}
	return false
}

// forgetRights forgets what the events of a batch may have changed, before
// anybody is told that they are stored.
func (l *lane) forgetRights(results []store.Result) {
	for i := range results {
		if e := &results[i].Event; results[i].Err == nil {
			l.writers.notice(e)
			l.opens.notice(e)
		}
	}
}
