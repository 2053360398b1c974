package room

import (
	"context"
	"sync"

	"tertulia/chat"
)

// EnterAt is Enter for who reads a room's log, needs no standing, and knows the
// log up to a place of an epoch: since is a seq there after which nobody was
// banned, and no settings were changed. Of an open room in which nobody is
// banned that is remembered, so that thousands who come at once cost a read of
// the store for each room and not for each of them. A ban that this node has yet
// to hear of comes after the place, and ends what is read from there.
func (s *Service) EnterAt(ctx context.Context, by chat.Principal, id chat.RoomID, epoch string, since uint64) error {
	if err := s.admit(ctx, by); err != nil {
		return err
	}
	if !by.Service {
		if open, err := s.open(ctx, id, epoch, since); err == nil && open.free {
			if !open.archived {
				s.writers.add(writer{id, by.User.ID})
			}
			return nil
		}
	}
	return s.EnterAll(ctx, by, []chat.RoomID{id}, false)[0].Err
}

// open returns what there is to know of a room at a place of its log, from
// memory if that will do. An error is no reason to refuse anybody.
func (s *Service) open(ctx context.Context, id chat.RoomID, epoch string, since uint64) (openRoom, error) {
	if open, ok := s.opens.of(id, epoch, since); ok {
		return open, nil
	}
	_, key := s.lane(id)
	reading := &s.opens.reading[key%uint64(len(s.opens.reading))]
	reading.Lock()
	defer reading.Unlock()
	if open, ok := s.opens.of(id, epoch, since); ok {
		return open, nil // somebody else has read it
	}
	return s.readOpen(ctx, id)
}

// readOpen reads a room, and then whether anybody is banned there: who was
// banned in between is found.
func (s *Service) readOpen(ctx context.Context, id chat.RoomID) (openRoom, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	changes := s.opens.mark()
	r, err := s.store.Room(ctx, id)
	if err != nil {
		return openRoom{}, err
	}
	open := openRoom{epoch: r.Epoch, at: r.Head, archived: r.Archived}
	if r.Access == chat.AccessOpen && (r.Exists || s.mayCreate(id)) {
		banned, err := s.store.Members(ctx, id, []chat.State{chat.StateBanned}, "", 1)
		if err != nil {
			return openRoom{}, err
		}
		open.free = len(banned) == 0
	}
	s.opens.learn(id, open, changes)
	return open, nil
}

// openRoom says whether everybody may read a room. It holds from a place of the
// log on, until somebody is banned or the settings change.
type openRoom struct {
	epoch    string
	at       uint64
	free     bool // it is open, and nobody is banned
	archived bool
}

// maxOpens bounds each half of the rooms that opens remembers: some 3 MB.
const maxOpens = 1 << 14

// opens remembers which rooms everybody may read. What happens on this node it
// is told of before anybody else is.
type opens struct {
	reading [64]sync.Mutex // by room: what many need is read once

	mu         sync.Mutex
	young, old map[chat.RoomID]openRoom
	changes    uint64 // counts notice and clear
}

// of returns what is remembered of a room, if it holds at a place of the log.
func (o *opens) of(id chat.RoomID, epoch string, since uint64) (openRoom, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	open, known := o.young[id]
	if !known {
		open, known = o.old[id]
	}
	return open, known && open.epoch == epoch && open.at >= since
}

// mark is taken before a room is read, and given to learn.
func (o *opens) mark() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changes
}

// learn takes what was read, unless something has changed meanwhile.
func (o *opens) learn(id chat.RoomID, open openRoom, mark uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changes != mark {
		return
	}
	if o.young == nil || len(o.young) >= maxOpens {
		o.old, o.young = o.young, make(map[chat.RoomID]openRoom)
	}
	o.young[id] = open
}

// notice forgets a room that an event may have closed to somebody.
func (o *opens) notice(e *chat.Event) {
	if e.Kind != chat.KindMemberUnbanned && !lessens(e) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes++
	delete(o.young, e.Room)
	delete(o.old, e.Room)
}

func (o *opens) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes++
	o.young, o.old = nil, nil
}
