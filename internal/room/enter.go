package room

import (
	"context"
	"errors"
	"fmt"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Enter returns nil if a session may attach to the room: it has a log, or its
// first event may begin one, which is known without asking the store. Otherwise
// the error is a *chat.Error with code chat.RoomNotFound. It is one with
// chat.StoreUnavailable if the store does not answer, and the context's if ctx
// ends.
func (s *Service) Enter(ctx context.Context, id chat.RoomID) error {
	if s.mayCreate(id) {
		return nil
	}
	room, err := s.store.Room(ctx, id)
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrBroken):
		s.log.Warn("cannot read a room", "room_id", id, "error", err)
		return errUnreadable
	case err != nil:
		return fmt.Errorf("enter room %s: %w", id, err)
	case !room.Exists:
		return notFound(id)
	}
	return nil
}

func notFound(id chat.RoomID) *chat.Error {
	return chat.Errorf(chat.RoomNotFound, "There is no room %q; check the id, or have the room made first.", string(id))
}
