package room

import (
	"context"

	"tertulia/chat"
)

// Remove ends somebody's membership or invitation; the user may come back as
// it came. It needs a higher role than the user's. MemberNotFound if the user
// has neither.
func (s *Service) Remove(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.UserID, reason string) error {
	_, err := s.restand(ctx, by, ActModerate, id, chat.User{ID: user}, reason, func(now situation) (transition, error) {
		switch {
		case now.subject.State != chat.StateJoined && now.subject.State != chat.StateInvited:
			return transition{}, errNoMember
		case !now.outranks(by):
			return transition{}, errOutranked
		}
		return transition{chat.KindMemberRemoved, chat.StateNone, chat.RoleNone}, nil
	})
	return err
}
