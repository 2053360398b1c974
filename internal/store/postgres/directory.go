package postgres

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Rooms lists rooms; see [store.Directory].
func (s *Store) Rooms(ctx context.Context, access []chat.Access, after chat.RoomID, limit int) ([]chat.Room, error) {
	words := make([]string, 0, len(access))
	seen := map[chat.Access]bool{}
	for _, a := range access {
		if !seen[a] {
			words, seen[a] = append(words, a.String()), true
		}
	}
	return s.listRooms(ctx, "list rooms", s.sql.rooms, words, string(after), max(limit, 0))
}

// Find returns the event with an id.
func (s *Store) Find(ctx context.Context, id chat.RoomID, event int64) (chat.Event, error) {
	var (
		r     roomRow
		e     eventRow
		found chat.Event
	)
	err := s.read(ctx, "find in room "+string(id), statement{s.sql.find, []any{string(id), event}, append(r.dest(), e.dest()...), func() error {
		room, err := r.room(s.meta.epoch)
		if err != nil || e.seq == 0 {
			return err
		}
		found, err = e.event(room.ID, room.Epoch)
		return err
	}})
	switch {
	case err != nil:
		return chat.Event{}, err
	case r.id == "":
		return chat.Event{}, store.NoRoom(id)
	case found.Seq == 0:
		return chat.Event{}, store.NoEvent(id, event)
	}
	return found, nil
}

// Wrote returns the rooms in which a user has said something.
func (s *Store) Wrote(ctx context.Context, user chat.UserID, after chat.RoomID, limit int) (rooms []chat.RoomID, err error) {
	var room text
	args := []any{string(user), string(after), max(limit, 0)}
	err = s.read(ctx, "look for user "+string(user), statement{s.sql.wrote, args, []any{&room}, func() error {
		rooms = append(rooms, chat.RoomID(room))
		return nil
	}})
	return rooms, err
}
