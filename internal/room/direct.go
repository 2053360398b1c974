package room

import (
	"context"

	"tertulia/chat"
)

// Direct returns the room of the principal and another user, and makes it if
// there is none. Its id follows from the two ([chat.DirectRoomID]).
func (s *Service) Direct(ctx context.Context, by chat.Principal, with chat.User) (chat.Room, error) {
	if err := s.admit(ctx, by); err != nil {
		return chat.Room{}, err
	}
	switch by.User.ID {
	case "":
		return chat.Room{}, errNobody
	case with.ID:
		return chat.Room{}, chat.Errorf(chat.InvalidParameter, "A room of two needs another user than yourself.")
	}
	id := chat.DirectRoomID(by.User.ID, with.ID)
	r, err := s.store.Room(ctx, id)
	if err != nil {
		return chat.Room{}, s.unreadable("room "+string(id), err)
	}
	if r.Exists {
		return r, nil
	}
	if with, err = s.named(ctx, by, with); err != nil {
		return chat.Room{}, err
	}
	return s.makeDirect(ctx, by, id, with)
}

func (s *Service) makeDirect(ctx context.Context, by chat.Principal, id chat.RoomID, with chat.User) (chat.Room, error) {
	two := []chat.Member{
		{User: by.User, State: chat.StateJoined, Role: chat.RoleMember},
		{User: with, State: chat.StateJoined, Role: chat.RoleMember},
	}
	made, err := s.make(ctx, by, id, chat.Settings{Access: chat.AccessDirect}, two, "")
	if !hasCode(err, chat.RoomExists) {
		return made.Room, err
	}
	r, err := s.store.Room(ctx, id) // the other was faster
	if err != nil {
		return chat.Room{}, s.unreadable("room "+string(id), err)
	}
	return r, nil
}
