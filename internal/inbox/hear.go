package inbox

import "tertulia/chat"

// hear is the bus handler of a room.
func (s *Service) hear(w *watched, events []chat.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(events) == 0 {
		w.active = true
		wake(s.doubt)
	}
	for i := range events {
		if e := &events[i]; e.Kind.Durable() {
			w.active = true
			s.take(w, e)
		}
	}
}

// take follows an event that is the next of its room. Beyond a gap the log is
// read, so that no message of a user's own is missed. The caller holds mu.
func (s *Service) take(w *watched, e *chat.Event) {
	switch {
	case !w.known:
		w.heard = max(w.heard, e.Seq)
	case e.Epoch != w.room.Epoch:
		// The check of heads finds out what has become of the log.
	case e.Seq == w.room.Head+1:
		s.follow(w, e)
	case e.Seq > w.room.Head:
		s.readOn(w)
	}
}

// follow moves a room's head to e, and does what it says. The caller holds mu.
func (s *Service) follow(w *watched, e *chat.Event) {
	w.room.Head, w.room.Msgs = e.Seq, e.Msgs
	switch {
	case e.Kind == chat.KindMessage:
		s.moveAuthor(w, e)
	case e.Kind == chat.KindRoomUpdated || e.Kind == chat.KindRoomCreated:
		s.readOn(w)
	case e.Kind.Membership():
		if at := w.entries[e.Subject]; at != nil {
			s.readAgain(at.user, w.id)
		}
	}
	s.freshRoom(w)
}

// moveAuthor moves the mark of who has posted e, as the store has done with
// the message. The caller holds mu.
func (s *Service) moveAuthor(w *watched, e *chat.Event) {
	at := w.entries[e.Actor.ID]
	if at == nil {
		return
	}
	at.advance(chat.Mark{Read: e.Seq, Delivered: e.Seq, ReadMsgs: e.Msgs})
	s.noteMoved(at)
}

// hearUser is the bus handler of a user's topic.
func (s *Service) hearUser(u *user, events []chat.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(events) == 0 && !u.doubted {
		u.doubted = true
		s.doubted = append(s.doubted, u)
		wake(s.doubt)
	}
	for i := range events {
		switch e := &events[i]; {
		case e.Kind == chat.KindReceipt:
			s.moveReader(u, e)
		case e.Kind.Membership():
			s.readAgain(u, e.Room)
		}
	}
}

// moveReader moves a mark that the user has moved on some device. The caller
// holds mu.
func (s *Service) moveReader(u *user, e *chat.Event) {
	at := u.entries[e.Room]
	mark, err := chat.ParseMarkBody(e.Body)
	if at == nil || err != nil {
		s.readAgain(u, e.Room)
		return
	}
	mark.ReadMsgs = e.Msgs
	at.advance(mark)
	s.noteMoved(at)
	s.fresh(at)
}

// advance moves a mark forward.
func (e *entry) advance(m chat.Mark) {
	to := &e.member.Mark
	to.Read, to.Delivered, to.ReadMsgs = max(to.Read, m.Read), max(to.Delivered, m.Delivered), max(to.ReadMsgs, m.ReadMsgs)
}

// noteMoved has an entry be read at the next check: of the marks that were on
// their way with this one some may be lost. The caller holds mu.
func (s *Service) noteMoved(e *entry) {
	if !e.moved {
		e.moved = true
		s.moved = append(s.moved, e)
	}
}

// readOn has the reader read a room's log, and its settings. The caller holds
// mu.
func (s *Service) readOn(w *watched) {
	if !w.behind {
		w.behind = true
		s.behind = append(s.behind, w)
	}
	wake(s.look)
}

// readAgain has the reader read a user's standing in a room. The caller holds
// mu.
func (s *Service) readAgain(u *user, id chat.RoomID) {
	if len(u.stale) == 0 {
		s.stale = append(s.stale, u)
	}
	u.stale[id] = struct{}{}
	wake(s.look)
}
