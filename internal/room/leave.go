package room

import (
	"context"

	"tertulia/chat"
)

// Leave ends the principal's membership or invitation; MemberNotFound if it
// has neither. The last owner may leave only as the last member, else
// Forbidden with a sentence that says so.
func (s *Service) Leave(ctx context.Context, by chat.Principal, id chat.RoomID) error {
	if by.User.ID == "" {
		return errNobody
	}
	_, err := s.restand(ctx, by, ActLeave, id, by.User, "", func(now situation) (transition, error) {
		if now.subject.State != chat.StateJoined && now.subject.State != chat.StateInvited {
			return transition{}, errNoMember
		}
		return transition{chat.KindMemberRemoved, chat.StateNone, chat.RoleNone}, nil
	})
	return err
}
