package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sort"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/store"
)

// Rooms lists rooms; see [store.Directory].
func (s *Store) Rooms(ctx context.Context, access []chat.Access, after chat.RoomID, limit int) (rooms []chat.Room, err error) {
	s.counts.Reads.Of(count.ReadRoom).Inc()
	err = s.read(ctx, "list rooms", func(r *reader) (err error) {
		rooms, err = r.rooms(ctx, access, after, limit)
		return err
	})
	return rooms, err
}

// Find returns the event with an id.
func (s *Store) Find(ctx context.Context, id chat.RoomID, event int64) (found chat.Event, err error) {
	var refusal *chat.Error
	err = s.read(ctx, "find in room "+string(id), func(r *reader) (err error) {
		found, refusal, err = r.find(id, event)
		return err
	})
	if err == nil && refusal != nil {
		return chat.Event{}, refusal
	}
	return found, err
}

// Wrote returns the rooms in which a user has said something.
func (s *Store) Wrote(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) (rooms []chat.RoomID, err error) {
	if limit < 1 {
		return nil, ctx.Err()
	}
	err = s.read(ctx, "look for user "+string(user), func(r *reader) (err error) {
		rooms, err = r.wrote(ctx, user, after, limit)
		return err
	})
	return rooms, err
}

func (r *reader) rooms(ctx context.Context, access []chat.Access, after chat.RoomID, limit int) (rooms []chat.Room, err error) {
	// An access that is not asked for finds nothing in its arm.
	var args [9]driver.Value
	for i := range 4 {
		args[2*i+1] = string(after)
	}
	for _, a := range access {
		args[2*a] = a.String()
	}
	args[8] = rowLimit(limit)
	rows, err := r.stmt.rooms.query(args[:]...)
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, rows, roomWidth, func(v *row) bool {
		rooms = append(rooms, v.room(r.epoch))
		return true
	})
	return rooms, err
}

// find halves the log until it meets the event: ids rise with the seqs of a
// room, so no index is needed.
func (r *reader) find(id chat.RoomID, event int64) (e chat.Event, refusal *chat.Error, err error) {
	defer func() { err = errors.Join(err, r.end()) }()
	room, no, err := r.room(id)
	if err != nil {
		return e, nil, err
	}
	if !room.Exists {
		return e, store.NoRoom(id), nil
	}
	var failed error
	n := sort.Search(int(room.Head-room.Floor), func(i int) bool {
		if failed != nil {
			return true
		}
		var at int64
		at, failed = r.idAt(no, int64(room.Floor)+int64(i))
		return at >= event
	})
	if failed != nil {
		return e, nil, failed
	}
	ok, err := r.stmt.eventAt.queryRow(r.vals[:eventWidth], no, int64(room.Floor)+int64(n))
	if err != nil {
		return e, nil, err
	}
	v := row{vals: r.vals[:eventWidth]}
	if ok {
		e = v.event()
	}
	if !ok || e.ID != event {
		return chat.Event{}, store.NoEvent(id, event), v.err
	}
	e.Room, e.Epoch = room.ID, room.Epoch
	return e, nil, v.err
}

// idAt returns the id of the event at seq, which must be there.
func (r *reader) idAt(no, seq int64) (int64, error) {
	ok, err := r.stmt.idAt.queryRow(r.vals[:1], no, seq)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("seq %d is missing: %w", seq, errRow)
	}
	v := row{vals: r.vals[:1]}
	return v.int(0), v.err
}

// wrote looks into one room after another, so that an ended context ends it
// between two of them.
func (r *reader) wrote(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) (rooms []chat.RoomID, err error) {
	rows, err := r.stmt.wrote.query(string(user), string(after))
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, rows, 2, func(v *row) bool {
		if v.int(1) != 0 {
			rooms = append(rooms, chat.RoomID(v.text(0)))
		}
		return len(rooms) < limit
	})
	return rooms, err
}
