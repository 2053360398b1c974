package room

import (
	"context"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// Typing tells the others that the principal types or has stopped. Who may
// not post is refused. Nothing is stored: the event may be lost, and takes no
// seq.
//
// Whoever has entered the room lately, or typed in it, is not looked up again
// for 5 to 10 s; a change of its standing, or of the room's settings, ends
// that at once, on another node as soon as the bus carries it.
func (s *Service) Typing(ctx context.Context, by chat.Principal, id chat.RoomID, on bool) error {
	if by.User.ID == "" {
		return errNobody
	}
	if err := s.admit(ctx, by); err != nil {
		return err
	}
	if w := (writer{id, by.User.ID}); by.Service || !s.writers.has(w) {
		if _, err := s.allow(ctx, by, ActPost, id); err != nil {
			return err
		}
		if !by.Service { // whose right is not the user's
			s.writers.add(w)
		}
	}
	kind := chat.KindTypingStopped
	if on {
		kind = chat.KindTyping
	}
	s.counts.Typing.Inc()
	s.bus.Publish(bus.RoomTopic(id), []chat.Event{{
		Room:  id,
		Kind:  kind,
		Actor: by.User,
		At:    time.Now().UTC(),
	}})
	return nil
}

const (
	// writersFor is how long a writer is remembered at least, and twice that
	// at most.
	writersFor = 5 * time.Second
	// maxWriters bounds each half of what is remembered: some 2 MB.
	maxWriters = 1 << 14
)

// writer is a user who may post in a room.
type writer struct {
	room chat.RoomID
	user chat.UserID
}

// writers remembers for a moment who may post where, for what is not worth a
// read of the store.
type writers struct {
	mu         sync.Mutex
	young, old map[writer]bool
	turnedAt   time.Time
}

func (w *writers) has(who writer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	return w.young[who] || w.old[who]
}

func (w *writers) add(who writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	if w.young == nil || len(w.young) >= maxWriters {
		w.young = make(map[writer]bool)
	}
	w.young[who] = true
}

// turn forgets what is old. The caller holds mu.
func (w *writers) turn() {
	now := time.Now()
	switch age := now.Sub(w.turnedAt); {
	case age < writersFor:
		return
	case age < 2*writersFor:
		w.old, w.young = w.young, nil
	default:
		w.old, w.young = nil, nil
	}
	w.turnedAt = now
}

// notice forgets what an event may have changed.
func (w *writers) notice(e *chat.Event) {
	switch {
	case e.Kind.Membership():
		w.mu.Lock()
		delete(w.young, writer{e.Room, e.Subject})
		delete(w.old, writer{e.Room, e.Subject})
		w.mu.Unlock()
	case e.Kind == chat.KindRoomUpdated || e.Kind == chat.KindRoomCreated:
		w.clear()
	}
}

func (w *writers) clear() {
	w.mu.Lock()
	w.young, w.old = nil, nil
	w.mu.Unlock()
}
