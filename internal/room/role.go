package room

import (
	"context"

	"tertulia/chat"
)

// SetRole gives a member another role; owners only. MemberNotFound for who
// has not joined. The last owner stays one, else Forbidden.
func (s *Service) SetRole(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.UserID, role chat.Role) (chat.Member, error) {
	if err := checkRole(role); err != nil {
		return chat.Member{}, err
	}
	m, err := s.restand(ctx, by, ActManage, id, chat.User{ID: user}, "", func(now situation) (transition, error) {
		switch {
		case now.subject.State != chat.StateJoined:
			return transition{}, errNoMember
		case now.subject.Role == role:
			return transition{}, nil
		}
		return transition{chat.KindMemberRole, chat.StateJoined, role}, nil
	})
	return shown(by, m), err
}

func checkRole(role chat.Role) error {
	if role < chat.RoleMember || role > chat.RoleOwner {
		return chat.Errorf(chat.InvalidParameter, "The role must be member, moderator or owner.")
	}
	return nil
}
