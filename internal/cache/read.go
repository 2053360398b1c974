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
	head, err := s.head(ctx, id, limit.Patient)
	if err != nil {
		return store.Page{}, err
	}
	room := &head.Room
	top := room.Head
	if before != 0 {
		top = min(top, before-1)
	}
	if room.Exists && top >= room.Floor && room.Head-top < keepEvents {
		if w, ok := s.window(ctx, &head, max(room.Floor, top+1-min(n, top))); ok {
			return page(*room, w.entries[:top+1-w.first], true, limit), nil
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
	head, err := s.head(ctx, id, false)
	if err != nil {
		return store.Page{}, err
	}
	room := &head.Room
	if !room.Exists || after >= room.Head {
		return store.Page{Room: *room}, nil
	}
	if first := max(after+1, room.Floor); room.Head-first < keepEvents {
		if w, ok := s.window(ctx, &head, first); ok {
			return page(*room, w.entries, false, limit), nil
		}
	}
	p, err := s.Store.After(ctx, id, after, limit)
	s.refresh(&p, err)
	return p, err
}

// head reads from the store how far a log goes, and with which event it ends, if
// the reader is patient together with the heads that others read.
func (s *Store) head(ctx context.Context, id chat.RoomID, patient bool) (store.Head, error) {
	var heads []store.Head
	var err error
	if patient {
		heads, err = s.heads.Get(ctx, id)
	} else {
		heads, err = s.readHeads(ctx, []chat.RoomID{id})
	}
	if err != nil {
		return store.Head{}, err
	}
	return heads[0], nil
}

// readHeads returns a head for each id; that of a room without a log is 0.
func (s *Store) readHeads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	found, err := s.Store.Heads(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[chat.RoomID]store.Head, len(found))
	for _, h := range found {
		byID[h.Room.ID] = h
	}
	heads := make([]store.Head, len(ids))
	for i, id := range ids {
		var ok bool
		if heads[i], ok = byID[id]; !ok {
			heads[i].Room = chat.Room{ID: id, Epoch: s.Epoch(), Floor: 1} // as Room has it
		}
	}
	return heads, nil
}

// window returns the end of a log from first on, if it is in the cache.
func (s *Store) window(ctx context.Context, head *store.Head, first uint64) (window, bool) {
	room := &head.Room
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
	w, ok := proven(found, head, first)
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
