package room

import (
	"context"

	"tertulia/chat"
)

// Invite invites a user to a public or private room. Who is invited or has
// joined already stays so. Forbidden if the user is banned; UserNotFound if
// user has no name and no account has its id.
func (s *Service) Invite(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.User) (chat.Member, error) {
	user, err := s.named(ctx, by, user)
	if err != nil {
		return chat.Member{}, err
	}
	return s.restand(ctx, by, ActInvite, id, user, "", func(now situation) (transition, error) {
		switch now.subject.State {
		case chat.StateNone:
			return transition{chat.KindMemberInvited, chat.StateInvited, chat.RoleMember}, nil
		case chat.StateBanned:
			return transition{}, errInvitesBanned
		}
		return transition{}, nil
	})
}

// Add makes a user a member with a role, by a service only. Who has joined
// gets the role, and a ban is lifted.
func (s *Service) Add(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.User, role chat.Role) (chat.Member, error) {
	if !by.Service {
		return chat.Member{}, errOnlyService
	}
	if err := checkRole(role); err != nil {
		return chat.Member{}, err
	}
	user, err := s.named(ctx, by, user)
	if err != nil {
		return chat.Member{}, err
	}
	return s.restand(ctx, by, ActManage, id, user, "", func(now situation) (transition, error) {
		switch {
		case now.subject.State != chat.StateJoined:
			return transition{chat.KindMemberAdded, chat.StateJoined, role}, nil
		case now.subject.Role != role:
			return transition{chat.KindMemberRole, chat.StateJoined, role}, nil
		}
		return transition{}, nil
	})
}

// named returns a user under the name of its account. Where there is none,
// the given name counts, and a service's counts before the account's.
func (s *Service) named(ctx context.Context, by chat.Principal, user chat.User) (chat.User, error) {
	if by.Service && user.Name != "" {
		return user, nil
	}
	if err := s.admit(ctx, by); err != nil {
		return chat.User{}, err
	}
	a, ok, err := s.store.Account(ctx, user.ID)
	switch {
	case err != nil:
		return chat.User{}, s.unreadable("an account", err)
	case ok && a.Name != "":
		return a.User, nil
	case user.Name == "":
		return chat.User{}, noUser(user.ID)
	}
	return user, nil
}
