package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Mark is how far the principal says it has come.
type Mark struct {
	Read, Delivered uint64
	Private         *bool
}

// Mark moves the principal's own mark and returns it when it is stored. Marks
// of a moment are stored together, and shown to the others, unless private,
// as one KindReceipt a user. Errors: those of [Can], and StoreUnavailable,
// after which the same mark is safe to be sent again.
func (s *Service) Mark(ctx context.Context, by chat.Principal, id chat.RoomID, m Mark) (chat.Mark, error) {
	if by.User.ID == "" {
		return chat.Mark{}, errNobody
	}
	if err := s.admit(ctx, by); err != nil {
		return chat.Mark{}, err
	}
	got, err := s.marks.move(ctx, store.Mark{
		Room:      id,
		User:      by.User,
		Read:      min(m.Read, maxSeq),
		Delivered: min(m.Delivered, maxSeq),
		Private:   m.Private,
		Trusted:   by.Service,
	})
	if hasCode(err, chat.Forbidden) || hasCode(err, chat.RoomNotFound) {
		// The store does not know who may know of the room.
		if _, err := s.allow(ctx, by, ActMark, id); err != nil {
			return chat.Mark{}, err
		}
		if hasCode(err, chat.RoomNotFound) {
			return chat.Mark{}, nil // nothing to mark in a room that has not begun
		}
	}
	return got, err
}

// Marks returns the marks in a room that are not private, the caller's own
// included in any case, by user id: up to limit (1 to 1,000) after one. Fewer
// than limit are the last.
func (s *Service) Marks(ctx context.Context, by chat.Principal, id chat.RoomID, after chat.UserID, limit int) ([]chat.Member, error) {
	limit = clampLimit(limit, maxList)
	marks, failed := s.readMarks(ctx, by, id, after, limit)
	at, err := s.allow(ctx, by, ActRead, id)
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, s.unreadable("the marks in "+string(id), failed)
	}
	kept := marks[:0]
	for _, m := range marks {
		if roleIn(at.Room, m) > chat.RoleNone {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func (s *Service) readMarks(ctx context.Context, by chat.Principal, id chat.RoomID, after chat.UserID, limit int) ([]chat.Member, error) {
	r, err := s.store.Room(ctx, id)
	if err != nil {
		return nil, err
	}
	states := joined
	if r.Access == chat.AccessOpen {
		states = []chat.State{chat.StateNone, chat.StateJoined}
	}
	var marks []chat.Member
	for len(marks) < limit {
		page, err := s.store.Members(ctx, id, states, after, limit)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if m = shown(by, m); m.Mark.Delivered > 0 {
				marks = append(marks, m)
			}
		}
		if len(page) < limit {
			break
		}
		after = page[len(page)-1].User.ID
	}
	return marks[:min(len(marks), limit)], nil
}
