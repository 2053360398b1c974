package room

import (
	"context"

	"tertulia/chat"
)

// Ban ends a user's membership or invitation, if there is any, and keeps the
// user out. It needs a higher role than the user's. Who is banned stays so.
func (s *Service) Ban(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.User, reason string) error {
	_, err := s.restand(ctx, by, ActModerate, id, user, reason, func(now situation) (transition, error) {
		switch {
		case now.subject.State == chat.StateBanned:
			return transition{}, nil
		case !now.outranks(by):
			return transition{}, errOutranked
		}
		return transition{chat.KindMemberBanned, chat.StateBanned, chat.RoleNone}, nil
	})
	return err
}

// Unban lets a banned user come back; MemberNotFound if the user is not
// banned.
func (s *Service) Unban(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.UserID) error {
	_, err := s.restand(ctx, by, ActModerate, id, chat.User{ID: user}, "", func(now situation) (transition, error) {
		if now.subject.State != chat.StateBanned {
			return transition{}, errNotBanned
		}
		return transition{chat.KindMemberUnbanned, chat.StateNone, chat.RoleNone}, nil
	})
	return err
}
