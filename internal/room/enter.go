package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Room returns a room that the principal may see, and its own standing there.
// A room that it may not see, or that does not exist, is RoomNotFound.
func (s *Service) Room(ctx context.Context, by chat.Principal, id chat.RoomID) (store.Standing, error) {
	return s.allow(ctx, by, ActSee, id)
}

// Enter is Room for one who may read the room: a session that attaches.
// Forbidden if it is public and not joined, Banned. An open room that may be
// made by its first message exists for this.
func (s *Service) Enter(ctx context.Context, by chat.Principal, id chat.RoomID) (store.Standing, error) {
	at, err := s.allow(ctx, by, ActRead, id)
	if err == nil {
		s.entered(by, at)
	}
	return at, err
}
