package room

import (
	"context"

	"tertulia/chat"
)

// Join makes the principal a member of an open or public room, or of any it
// is invited to, with the role that the invitation gives. Who has joined stays
// so. In an open room it changes no right: the room is then among the user's
// own ([Service.Standings]).
func (s *Service) Join(ctx context.Context, by chat.Principal, id chat.RoomID) (chat.Member, error) {
	if by.User.ID == "" {
		return chat.Member{}, errNobody
	}
	return s.restand(ctx, by, ActJoin, id, by.User, "", func(now situation) (transition, error) {
		if now.subject.State == chat.StateJoined {
			return transition{}, nil
		}
		return transition{chat.KindMemberAdded, chat.StateJoined, max(now.subject.Role, chat.RoleMember)}, nil
	})
}
