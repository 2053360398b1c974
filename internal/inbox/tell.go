package inbox

import (
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// flushEvery is the shortest time between two rounds of notices: what changes
// together is told together.
const flushEvery = 25 * time.Millisecond

// runTeller tells users what has changed, until the service ends.
func (s *Service) runTeller() {
	var last time.Time
	for s.waitToTell(last) {
		last = time.Now()
		s.flush(last)
	}
}

// waitToTell returns when there is something to be told, or something may have
// rested; false if the service ends.
func (s *Service) waitToTell(last time.Time) bool {
	for {
		at, ok := s.nextAt()
		if !ok {
			select {
			case <-s.tell:
				continue
			case <-s.ctx.Done():
				return false
			}
		}
		if soonest := last.Add(flushEvery); at.Before(soonest) {
			at = soonest
		}
		pause := time.Until(at)
		if pause <= 0 {
			return s.ctx.Err() == nil
		}
		if !s.pause(pause) {
			return false
		}
	}
}

// pause waits until d is over or something new has come; false if the service
// ends.
func (s *Service) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.tell:
	case <-s.ctx.Done():
		return false
	}
	return true
}

func (s *Service) nextAt() (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	at, ok = s.notices.next(now)
	if news, any := s.news.next(now); any && (!ok || news.Before(at)) {
		at, ok = news, true
	}
	return at, ok
}

// flush tells everybody what is due.
func (s *Service) flush(now time.Time) {
	told := make(map[chat.UserID][]chat.Event)
	var subs []bus.Subscription
	s.mu.Lock()
	for _, w := range s.news.take(now) {
		s.news.rest(w, now)
		for _, e := range w.entries {
			s.notices.mark(e)
		}
	}
	for _, e := range s.notices.take(now) {
		if e.gone || e.pending || !e.user.loaded {
			continue
		}
		if notice, ok := s.notice(e); ok {
			s.notices.rest(e, now)
			told[e.user.by.User.ID] = append(told[e.user.by.User.ID], notice)
		}
		if !e.told.listed {
			subs = s.unlink(subs, e)
		}
	}
	s.mu.Unlock()
	for user, notices := range told {
		s.cfg.Notify(user, notices)
	}
	closeAll(subs)
}

// notice makes what a user is to be told of a room; ok is false if the user
// knows it all. The caller holds mu.
func (s *Service) notice(e *entry) (n chat.Event, ok bool) {
	was, now := e.told, e.now()
	if was == now {
		return n, false
	}
	e.told = now
	s.version++
	n = chat.Event{Room: e.room.id, Kind: chat.KindRoomChanged, Subject: e.user.by.User.ID, Version: s.version}
	r, m := &e.room.room, e.shown()
	switch {
	case !now.listed:
		n.Body = chat.RoomGoneBody(&m)
	case was.shape != now.shape || !was.listed:
		n.Body = chat.RoomChangedBody(r, &m)
	default:
		n.Kind, n.Body = chat.KindUnread, chat.UnreadBody(r, m.Mark)
	}
	return n, true
}
