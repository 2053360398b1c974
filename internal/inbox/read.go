package inbox

import (
	"context"
	"fmt"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/room"
	"tertulia/internal/store"
)

// pageRooms is how many of a user's rooms are read at once.
const pageRooms = 500

// load reads a user's rooms for the first time, and tells the user of changes
// from then on.
func (s *Service) load(ctx context.Context, u *user) error {
	u.reading.Lock()
	defer u.reading.Unlock()
	s.mu.Lock()
	loaded := u.loaded
	s.mu.Unlock()
	if loaded {
		return nil
	}
	if err := s.listenToUser(ctx, u); err != nil {
		return err
	}
	if err := s.readAll(ctx, u); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range u.entries {
		e.told = e.now()
	}
	u.loaded = true
	return nil
}

// listenToUser hears what concerns the user on any node. The caller holds
// reading.
func (s *Service) listenToUser(ctx context.Context, u *user) error {
	s.mu.Lock()
	listening := u.listener != nil
	s.mu.Unlock()
	if listening {
		return nil
	}
	topic := bus.UserTopic(u.by.User.ID)
	listener, err := s.cfg.Bus.Subscribe(ctx, topic, func(events []chat.Event) { s.hearUser(u, events) })
	if err != nil {
		return fmt.Errorf("listen to %s: %w", topic, err)
	}
	s.mu.Lock()
	gone := u.gone
	if !gone {
		u.listener = listener
	}
	s.mu.Unlock()
	if gone {
		listener.Close()
		return errClosed
	}
	return nil
}

// readAll reads all of a user's rooms. The caller holds reading.
func (s *Service) readAll(ctx context.Context, u *user) error {
	after := chat.RoomID("")
	for {
		got, err := s.read(u, func() ([]store.Standing, error) { return s.cfg.Rooms.Standings(ctx, u.by, after, pageRooms) })
		if err != nil {
			s.settle(u)
			return err
		}
		last := len(got) < pageRooms
		upTo := after
		if !last {
			upTo = got[len(got)-1].Room.ID
		}
		s.reconcile(u, got, func(id chat.RoomID) bool { return id > after && (last || id <= upTo) })
		s.settle(u)
		if last {
			break
		}
		after = upTo
	}
	s.mu.Lock()
	u.readAt = time.Now()
	s.mu.Unlock()
	return nil
}

// readOne reads a user's standing in one room. The caller holds reading.
func (s *Service) readOne(ctx context.Context, u *user, id chat.RoomID) error {
	defer s.settle(u)
	var at store.Standing
	got, err := s.read(u, func() (_ []store.Standing, err error) {
		if at.Room, at.Member, err = s.cfg.Store.Member(ctx, id, u.by.User.ID); err == nil && own(&at) {
			return []store.Standing{at}, nil
		}
		return nil, err
	})
	if err != nil {
		return err
	}
	if len(got) == 0 {
		got = []store.Standing{at} // which says what has become of an entry
	}
	s.reconcile(u, got, func(chat.RoomID) bool { return false })
	return nil
}

// read asks for standings until it has listened to all of their rooms before it
// asked: what happens after the answer is heard. The entries of these rooms
// are pending until settle. The caller holds reading.
func (s *Service) read(u *user, query func() ([]store.Standing, error)) ([]store.Standing, error) {
	for {
		got, err := query()
		if err != nil {
			return nil, err
		}
		more, err := s.listen(u, got)
		if err != nil || !more {
			return got, err
		}
	}
}

// listen sees to it that the rooms of a user are listened to, and reports
// whether some were not.
func (s *Service) listen(u *user, got []store.Standing) (more bool, err error) {
	var opening, all []*watched
	s.mu.Lock()
	if u.gone {
		s.mu.Unlock()
		return false, errClosed
	}
	for i := range got {
		id := got[i].Room.ID
		e := u.entries[id]
		if e == nil && len(u.entries) < MaxRooms {
			var opened bool
			e, opened = s.link(u, id)
			if more = true; opened {
				opening = append(opening, e.room)
			}
		}
		if e != nil {
			if !e.pending {
				e.pending = true
				u.pending = append(u.pending, e)
			}
			all = append(all, e.room)
		}
	}
	s.mu.Unlock()
	for _, w := range opening {
		s.open(w)
	}
	for _, w := range all {
		if <-w.ready; w.err != nil {
			return false, w.err
		}
	}
	return more, nil
}

// link makes an entry; opened says that its room is to be opened. The caller
// holds mu.
func (s *Service) link(u *user, id chat.RoomID) (e *entry, opened bool) {
	w := s.rooms[id]
	if opened = w == nil; opened {
		w = &watched{id: id, ready: make(chan struct{}), entries: make(map[chat.UserID]*entry)}
		s.rooms[id] = w
	}
	e = &entry{user: u, room: w}
	u.entries[id] = e
	w.entries[u.by.User.ID] = e
	return e, opened
}

// open listens to a room.
func (s *Service) open(w *watched) {
	defer close(w.ready)
	ctx, cancel := context.WithTimeout(s.ctx, readLimit)
	defer cancel()
	topic := bus.RoomTopic(w.id)
	listener, err := s.cfg.Bus.Subscribe(ctx, topic, func(events []chat.Event) { s.hear(w, events) })
	if err != nil {
		w.err = fmt.Errorf("listen to %s: %w", topic, err)
		return
	}
	s.mu.Lock()
	unwanted := s.rooms[w.id] != w
	if !unwanted {
		w.listener = listener
	}
	s.mu.Unlock()
	if unwanted {
		listener.Close()
	}
}

// own reports whether a standing is listed; [store.Members] and [room.Own] have
// the rule.
func own(at *store.Standing) bool {
	return room.Own(at) && (at.Member.State != chat.StateNone || at.Member.Mark.Delivered > 0)
}

// reconcile takes over what was read. Of the rooms within what was asked for,
// those that were not in the answer are none of the user's any more.
func (s *Service) reconcile(u *user, got []store.Standing, asked func(chat.RoomID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := make(map[chat.RoomID]bool, len(got))
	for i := range got {
		in[got[i].Room.ID] = true
		if e := u.entries[got[i].Room.ID]; e != nil {
			s.learn(e.room, &got[i].Room)
			e.learn(&got[i])
			s.fresh(e)
		}
	}
	for id, e := range u.entries {
		if asked(id) && !in[id] {
			e.member = chat.Member{Room: id, User: u.by.User}
			s.fresh(e)
		}
	}
}

// settle ends what listen began: entries that are not the user's are dropped,
// unless the user has yet to be told.
func (s *Service) settle(u *user) {
	var subs []bus.Subscription
	s.mu.Lock()
	for _, e := range u.pending {
		e.pending = false
		switch {
		case e.gone:
		case !e.own() && !e.told.listed:
			subs = s.unlink(subs, e)
		default:
			s.fresh(e)
		}
	}
	u.pending = nil
	s.mu.Unlock()
	closeAll(subs)
}

// learn takes over a user's standing. A mark that was heard of meanwhile is
// kept, unless the log has begun another life.
func (e *entry) learn(at *store.Standing) {
	heard := e.member.Mark
	e.member = at.Member
	e.member.Room = e.room.id
	if e.epoch == "" || e.epoch == at.Room.Epoch {
		e.advance(heard)
	}
	e.epoch = at.Room.Epoch
}

// learn takes over a room as it was read. Its head is not among that: the
// events on the way there are read first. The caller holds mu.
func (s *Service) learn(w *watched, r *chat.Room) {
	switch {
	case !w.known:
		w.room, w.known = *r, true
		w.room.ID = w.id
		if w.heard > r.Head {
			s.readOn(w)
		}
	case r.Epoch != w.room.Epoch:
		w.room = *r
		w.room.ID = w.id
		s.readAllAgain(w)
	default:
		if r.Version > w.room.Version {
			s.freshRoom(w)
		}
		if r.Version >= w.room.Version {
			w.room.Settings, w.room.Version, w.room.Members, w.room.Exists = r.Settings, r.Version, r.Members, r.Exists
		}
		if r.Head > w.room.Head {
			s.readOn(w)
		}
	}
}

// readAllAgain has the reader read everybody's standing in a room. The caller
// holds mu.
func (s *Service) readAllAgain(w *watched) {
	for _, e := range w.entries {
		s.readAgain(e.user, w.id)
	}
}
