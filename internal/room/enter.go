package room

import (
	"context"
	"errors"
	"fmt"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Enter returns the room that a session wants to attach to. A room without a
// log is returned empty (Exists is false) if its first event may begin one.
// Otherwise the error is a *chat.Error with code chat.RoomNotFound. It is one
// with chat.StoreUnavailable if the store does not answer, and the context's
// if ctx ends.
func (s *Service) Enter(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	room, err := s.store.Room(ctx, id)
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrBroken):
		s.log.Warn("cannot read a room", "room_id", id, "error", err)
		return chat.Room{}, errUnreadable
	case err != nil:
		return chat.Room{}, fmt.Errorf("enter room %s: %w", id, err)
	case !room.Exists && !s.mayCreate(id):
		return chat.Room{}, notFound(id)
	}
	return room, nil
}

func notFound(id chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomNotFound, "There is no room %q; check the id, or have the room made first.", string(id))
}
