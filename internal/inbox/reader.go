package inbox

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

const (
	// checkEvery is how often the rooms in which something was heard are
	// compared with the store: what the bus lost last is found then.
	checkEvery = 10 * time.Second
	// readAllEvery is how often the whole list of a user is read.
	readAllEvery = time.Minute
	// headPage is how many rooms are compared at once.
	headPage = 1000
	// doubtWait is how long doubts are collected, and the pause between two
	// rounds of looking at them.
	doubtWait = 100 * time.Millisecond
	// doubtRound bounds the lists of rooms that are read in a round: of a bus
	// that doubts all topics the store takes 500 lists a second.
	doubtRound = 50
)

// logPage is one read of a room's log.
var logPage = store.Limit{Events: 256, Bytes: 256 << 10}

// runReader reads what is wanted from the store, until the service ends.
func (s *Service) runReader() {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var settle <-chan time.Time // when the doubts have been collected
	for {
		select {
		case <-s.look:
		case <-s.doubt:
			if settle == nil {
				settle = time.After(doubtWait)
			}
			continue
		case <-settle:
			settle = nil
			s.settleDoubts()
		case now := <-tick.C:
			s.check(now)
		case <-s.ctx.Done():
			return
		}
		s.readWanted()
	}
}

// readWanted reads on in the rooms that are behind, and the standings that have
// changed. What fails is tried again with the next.
func (s *Service) readWanted() {
	s.mu.Lock()
	behind, stale := s.behind, s.stale
	s.behind, s.stale = nil, nil
	for _, w := range behind {
		w.behind = false
	}
	s.mu.Unlock()
	for _, w := range behind {
		s.readLog(w)
	}
	for _, u := range stale {
		s.readStale(u)
	}
}

// readLog follows a page of a room's log.
func (s *Service) readLog(w *watched) {
	s.mu.Lock()
	head := w.room.Head
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, readLimit)
	defer cancel()
	page, err := s.cfg.Store.After(ctx, w.id, head, logPage)
	if err != nil {
		s.logFailure("a log", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.followPage(w, &page)
	} else if !w.behind {
		w.behind = true
		s.behind = append(s.behind, w)
	}
}

// followPage follows what was read of a room's log. The caller holds mu.
func (s *Service) followPage(w *watched, page *store.Page) {
	if page.Room.Epoch == w.room.Epoch {
		for i := range page.Events {
			e := &page.Events[i]
			if e.Seq > w.room.Head+1 {
				s.readAllAgain(w) // what was trimmed may have moved marks
			}
			if e.Seq > w.room.Head {
				s.follow(w, e)
			}
		}
	}
	s.learn(w, &page.Room)
}

// readStale reads a user's standing in the rooms where it may have changed.
func (s *Service) readStale(u *user) {
	u.reading.Lock()
	defer u.reading.Unlock()
	s.mu.Lock()
	stale := u.stale
	u.stale = make(map[chat.RoomID]struct{})
	gone := u.gone
	s.mu.Unlock()
	if gone {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, readLimit)
	defer cancel()
	for id := range stale {
		if err := s.readOne(ctx, u, id); err != nil {
			s.logFailure("a standing", err)
			s.putBack(u, id)
		}
	}
}

// putBack has a standing be read with the next. It wakes nobody.
func (s *Service) putBack(u *user, id chat.RoomID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.gone {
		return
	}
	if len(u.stale) == 0 {
		s.stale = append(s.stale, u)
	}
	u.stale[id] = struct{}{}
}

// settleDoubts compares the rooms that are in doubt, and all others in which
// something was heard, and reads a round of lists.
func (s *Service) settleDoubts() {
	s.mu.Lock()
	active := s.takeActive()
	n := min(doubtRound, len(s.doubted))
	round := s.doubted[:n:n]
	if s.doubted = s.doubted[n:]; len(s.doubted) > 0 {
		wake(s.doubt)
	}
	users := make([]*user, 0, n)
	for _, u := range round {
		if u.doubted = false; u.loaded && !u.gone {
			users = append(users, u)
		}
	}
	s.mu.Unlock()
	s.compareAll(active)
	for _, u := range users {
		s.readAllOf(u)
	}
}

// takeActive returns the rooms in which something was heard. The caller holds
// mu.
func (s *Service) takeActive() (active []chat.RoomID) {
	for id, w := range s.rooms {
		if w.active && w.known {
			w.active = false
			active = append(active, id)
		}
	}
	return active
}

// compareAll compares rooms with the store, page by page.
func (s *Service) compareAll(ids []chat.RoomID) {
	for len(ids) > 0 {
		n := min(headPage, len(ids))
		s.compareHeads(ids[:n])
		ids = ids[n:]
	}
}

// check compares with the store what may have been missed.
func (s *Service) check(now time.Time) {
	var due []*user
	s.mu.Lock()
	active := s.takeActive()
	for _, e := range s.moved {
		if e.moved = false; !e.gone {
			s.readAgain(e.user, e.room.id)
		}
	}
	s.moved = nil
	for _, u := range s.users {
		if u.loaded && now.Sub(u.readAt) >= readAllEvery {
			due = append(due, u)
		}
	}
	s.mu.Unlock()
	s.compareAll(active)
	for _, u := range due {
		s.readAllOf(u)
	}
}

// compareHeads reads on where the store's head is another.
func (s *Service) compareHeads(ids []chat.RoomID) {
	ctx, cancel := context.WithTimeout(s.ctx, readLimit)
	defer cancel()
	heads, err := s.cfg.Store.Heads(ctx, ids)
	if err != nil {
		s.logFailure("heads", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		for _, id := range ids {
			if w := s.rooms[id]; w != nil {
				w.active = true
			}
		}
	}
	for i := range heads {
		if w := s.rooms[heads[i].Room.ID]; w != nil {
			s.learn(w, &heads[i].Room)
		}
	}
}

// readAllOf reads a user's whole list.
func (s *Service) readAllOf(u *user) {
	u.reading.Lock()
	defer u.reading.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, readLimit)
	defer cancel()
	if err := s.readAll(ctx, u); err != nil {
		s.logFailure("a list of rooms", err)
	}
}
