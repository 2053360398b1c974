package room

import (
	"context"
	"slices"

	"tertulia/chat"
)

var joined = []chat.State{chat.StateJoined}

// Members returns those who have joined, or for moderators those in one of
// states, by user id: up to limit (1 to 1,000) after one.
func (s *Service) Members(ctx context.Context, by chat.Principal, id chat.RoomID, states []chat.State, after chat.UserID, limit int) ([]chat.Member, error) {
	if len(states) == 0 {
		states = joined
	}
	if slices.Contains(states, chat.StateNone) {
		return nil, chat.Errorf(chat.InvalidParameter, "The states of members are joined, invited and banned.")
	}
	act := ActRead
	if !slices.Equal(states, joined) {
		act = ActModerate
	}
	members, failed := s.store.Members(ctx, id, states, after, clampLimit(limit, maxList))
	if _, err := s.allow(ctx, by, act, id); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, s.unreadable("the members of "+string(id), failed)
	}
	for i := range members {
		members[i] = shown(by, members[i])
	}
	return members, nil
}

// Member returns one standing: the principal's own in any room that it may
// see, others to who may read the room, those not joined to moderators only.
func (s *Service) Member(ctx context.Context, by chat.Principal, id chat.RoomID, user chat.UserID) (chat.Member, error) {
	act := ActRead
	if user == by.User.ID {
		act = ActSee
	}
	now, err := s.situation(ctx, by, act, id, user)
	if err != nil {
		return chat.Member{}, err
	}
	m := now.subject
	switch {
	case m.State == chat.StateNone && (user != by.User.ID || roleIn(now.room, m) == chat.RoleNone):
		return chat.Member{}, errNoMember
	case m.State != chat.StateJoined && user != by.User.ID && Can(by, ActModerate, now.room, now.actor) != nil:
		return chat.Member{}, errNoMember
	}
	return shown(by, m), nil
}

// shown returns m as by may see it: without the mark of somebody else who
// keeps it private.
func shown(by chat.Principal, m chat.Member) chat.Member {
	if m.Mark.Private && m.User.ID != by.User.ID {
		m.Mark = chat.Mark{}
	}
	return m
}
