package cache

import (
	"context"
	"slices"
	"strconv"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Before is store.Reader's Before.
func (s *Store) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	n := uint64(max(limit.Events, 1))
	if limit.Only != 0 || n > keepEvents || s.resting() {
		return s.Store.Before(ctx, id, before, limit)
	}
	room, err := s.state(ctx, id, limit.Patient)
	if err != nil {
		return store.Page{}, err
	}
	top := room.Head
	if before != 0 {
		top = min(top, before-1)
	}
	if room.Exists && top >= room.Floor && room.Head-top < keepEvents {
		if w, ok := s.window(ctx, &room, max(room.Floor, top+1-min(n, top))); ok {
			return page(room, w.entries[:top+1-w.first], true, limit), nil
		}
	}
	p, err := s.Store.Before(ctx, id, before, limit)
	s.refresh(&p, err)
	return p, err
}

// After is store.Reader's After.
func (s *Store) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	if limit.Only != 0 || s.resting() {
		return s.Store.After(ctx, id, after, limit)
	}
	room, err := s.Store.Room(ctx, id)
	if err != nil {
		return store.Page{}, err
	}
	if !room.Exists || after >= room.Head {
		return store.Page{Room: room}, nil
	}
	if first := max(after+1, room.Floor); room.Head-first < keepEvents {
		if w, ok := s.window(ctx, &room, first); ok {
			return page(room, w.entries, false, limit), nil
		}
	}
	p, err := s.Store.After(ctx, id, after, limit)
	s.refresh(&p, err)
	return p, err
}

// state reads a room from the store, if the reader is patient together with
// those of others.
func (s *Store) state(ctx context.Context, id chat.RoomID, patient bool) (chat.Room, error) {
	if !patient {
		return s.Store.Room(ctx, id)
	}
	rooms, err := s.states.Get(ctx, id)
	if err != nil {
		return chat.Room{}, err
	}
	return rooms[0], nil
}

// readStates returns a room for each id.
func (s *Store) readStates(ctx context.Context, ids []chat.RoomID) ([]chat.Room, error) {
	found, err := s.Store.Heads(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[chat.RoomID]chat.Room, len(found))
	for i := range found {
		byID[found[i].Room.ID] = found[i].Room
	}
	rooms := make([]chat.Room, len(ids))
	for i, id := range ids {
		var ok bool
		if rooms[i], ok = byID[id]; !ok {
			rooms[i] = chat.Room{ID: id, Epoch: s.Epoch(), Floor: 1} // as Room has it
		}
	}
	return rooms, nil
}

// window returns the end of a log from first on, if it is in the cache.
func (s *Store) window(ctx context.Context, room *chat.Room, first uint64) (window, bool) {
	if first > room.Head || room.Head-first >= keepEvents {
		return window{}, false
	}
	client := s.redis.Commands()
	answers := s.do(ctx, client.B().Zrange().Key(s.keyOf(room.ID, room.Epoch)).Min(strconv.FormatUint(first, 10)).Max("+inf").Byscore().Limit(0, 2*keepEvents).Build())
	if answers == nil {
		return window{}, false
	}
	members, err := answers[0].AsStrSlice()
	if err != nil {
		s.counts.Misses.Inc()
		return window{}, false
	}
	found := make([]entry, 0, len(members))
	for _, m := range members {
		if e, ok := s.unpack(m, room); ok {
			found = append(found, e)
		}
	}
	w, ok := proven(found, room, first)
	if ok {
		s.counts.Hits.Inc()
	} else {
		s.counts.Misses.Inc()
	}
	return w, ok
}

// page cuts a page out of entries, from their end if last, as the store does.
func page(room chat.Room, entries []entry, last bool, limit store.Limit) store.Page {
	p := store.Page{Room: room}
	left := limit.Bytes
	for i := range min(len(entries), max(limit.Events, 1)) {
		e := &entries[i].event
		if last {
			e = &entries[len(entries)-1-i].event
		}
		if left -= len(e.Body); left < 0 && i > 0 {
			break
		}
		p.Events = append(p.Events, *e)
		if left <= 0 {
			break
		}
	}
	if last {
		slices.Reverse(p.Events)
	}
	return p
}
