package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Rooms returns the rooms that anybody may see (open if they exist, public),
// archived ones too, in the order of their ids: up to limit (1 to 1,000)
// after one. A service sees all.
func (s *Service) Rooms(ctx context.Context, by chat.Principal, after chat.RoomID, limit int) ([]chat.Room, error) {
	if err := s.admit(ctx, by); err != nil {
		return nil, err
	}
	access := []chat.Access{chat.AccessOpen, chat.AccessPublic}
	if by.Service {
		access = append(access, chat.AccessPrivate, chat.AccessDirect)
	}
	rooms, err := s.store.Rooms(ctx, access, after, clampLimit(limit, maxList))
	if err != nil {
		return nil, s.unreadable("the rooms", err)
	}
	return rooms, nil
}

// Standings returns the principal's own rooms, by their ids: those that it
// has joined or is invited to, and the open ones in which it has a mark; up
// to limit (1 to 1,000) after one. Fewer than limit are the last.
func (s *Service) Standings(ctx context.Context, by chat.Principal, after chat.RoomID, limit int) ([]store.Standing, error) {
	if err := s.admit(ctx, by); err != nil {
		return nil, err
	}
	if by.User.ID == "" {
		return nil, errNobody
	}
	limit = clampLimit(limit, maxList)
	var own []store.Standing
	for len(own) < limit {
		page, err := s.store.Standings(ctx, by.User.ID, after, limit)
		if err != nil {
			return nil, s.unreadable("a user's rooms", err)
		}
		for i := range page {
			if Own(&page[i]) {
				own = append(own, page[i])
			}
		}
		if len(page) < limit {
			break
		}
		after = page[len(page)-1].Room.ID
	}
	return own[:min(len(own), limit)], nil
}

// Own reports whether a room is among a user's own; of others the user has kept
// no more than a mark. That a user has a standing or a mark is not looked at.
func Own(at *store.Standing) bool {
	return at.Member.State == chat.StateInvited || roleIn(at.Room, at.Member) > chat.RoleNone
}
