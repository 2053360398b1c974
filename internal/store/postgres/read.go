package postgres

import (
	"context"
	"math"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/store"
)

// Room returns a room's state; see [store.Reader].
func (s *Store) Room(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	s.counts.Reads.Of(count.ReadRoom).Inc()
	room := s.noRoom(id)
	var r roomRow
	err := s.read(ctx, "read room "+string(id), statement{s.sql.room, []any{string(id)}, r.dest(), func() (err error) {
		room, err = r.room(s.meta.epoch)
		return err
	}})
	return room, err
}

// noRoom is a room without a log.
func (s *Store) noRoom(id chat.RoomID) chat.Room {
	return chat.Room{ID: id, Epoch: s.meta.epoch, Floor: 1}
}

// Heads returns the rooms among ids that have a log, with the tags of their
// newest events.
func (s *Store) Heads(ctx context.Context, ids []chat.RoomID) (heads []store.Head, err error) {
	var (
		r   roomRow
		tag number
	)
	err = s.read(ctx, "read heads", statement{s.sql.heads, []any{ids}, append(r.dest(), &tag), func() error {
		room, err := r.room(s.meta.epoch)
		heads = append(heads, store.Head{Room: room, Tag: uint32(tag)})
		return err
	}})
	return heads, err
}

// listRooms returns the rooms that a statement finds.
func (s *Store) listRooms(ctx context.Context, step, sql string, args ...any) (rooms []chat.Room, err error) {
	s.counts.Reads.Of(count.ReadRoom).Inc()
	var r roomRow
	err = s.read(ctx, step, statement{sql, args, r.dest(), func() error {
		room, err := r.room(s.meta.epoch)
		rooms = append(rooms, room)
		return err
	}})
	return rooms, err
}

// After returns the first events with seq > after.
func (s *Store) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	return s.page(ctx, s.sql.after, id, after, limit)
}

// Before returns the last events with seq < before; 0 means the end.
func (s *Store) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return s.page(ctx, s.sql.before, id, before, limit)
}

func (s *Store) page(ctx context.Context, sql string, id chat.RoomID, seq uint64, limit store.Limit) (store.Page, error) {
	s.counts.Reads.Of(count.ReadHistory).Inc()
	page := store.Page{Room: s.noRoom(id)}
	var (
		r    roomRow
		e    eventRow
		args = []any{string(id), clampSeq(seq), int64(max(limit.Events, 1)), only(limit.Only), int64(limit.Bytes)}
	)
	err := s.read(ctx, "read room "+string(id), statement{sql, args, append(r.dest(), e.dest()...), func() (err error) {
		if page.Room, err = r.room(s.meta.epoch); err != nil || e.seq == 0 {
			return err
		}
		event, err := e.event(page.Room.ID, page.Room.Epoch)
		page.Events = append(page.Events, event)
		return err
	}})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// only is the word of the kind that a page is of, NULL for every kind. A kind
// that is not stored has the empty word, which no event has.
func only(kind chat.Kind) *string {
	if kind == 0 {
		return nil
	}
	word := store.KindName(kind)
	return &word
}
