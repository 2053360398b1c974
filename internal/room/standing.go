package room

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// situation is what a decision about a member is based on.
type situation struct {
	room    chat.Room
	actor   chat.Member // who asks
	subject chat.Member // whom it is about
}

// outranks reports whether by may decide on the subject: a service always,
// others if their role is higher.
func (now *situation) outranks(by chat.Principal) bool {
	return by.Service || roleIn(now.room, now.actor) > now.subject.Role
}

// transition is what becomes of a member. Its zero value is nothing.
type transition struct {
	kind  chat.Kind
	state chat.State
	role  chat.Role
}

// restand gives a user another standing, as next decides from the present
// one, and returns the new one. user.Name is the name from then on; empty
// keeps what is known. A decision is taken again if the subject's standing
// has changed before it is stored; that of the actor is the row's condition.
func (s *Service) restand(ctx context.Context, by chat.Principal, act Action, id chat.RoomID, user chat.User, reason string,
	next func(now situation) (transition, error)) (chat.Member, error) {
	if err := checkText("reason", reason, chat.MaxReasonBytes); err != nil {
		return chat.Member{}, err
	}
	return retry(func() (chat.Member, error) {
		now, err := s.situation(ctx, by, act, id, user.ID)
		if err != nil {
			return chat.Member{}, err
		}
		to, err := next(now)
		if err != nil || to.kind == 0 {
			return now.subject, err
		}
		return s.step(ctx, by, act, now, to.of(now.subject, user.Name), reason, to.kind)
	})
}

// situation reads what a decision is based on, if by may act at all.
func (s *Service) situation(ctx context.Context, by chat.Principal, act Action, id chat.RoomID, user chat.UserID) (situation, error) {
	at, err := s.allow(ctx, by, act, id)
	if err != nil {
		return situation{}, err
	}
	now := situation{room: at.Room, actor: at.Member, subject: at.Member}
	if user != by.User.ID {
		about, err := s.look(ctx, id, user)
		if err != nil {
			return situation{}, err
		}
		now.subject = about.Member
	}
	return now, nil
}

// of returns a standing after t.
func (t transition) of(m chat.Member, name string) chat.Member {
	m.State, m.Role = t.state, t.role
	if name != "" {
		m.User.Name = name
	}
	return m
}

// step stores a new standing.
func (s *Service) step(ctx context.Context, by chat.Principal, act Action, now situation, to chat.Member, reason string, kind chat.Kind) (chat.Member, error) {
	row := memberRow(by, now.room.ID, kind, to, reason)
	row.MayCreate = s.mayCreate(now.room.ID)
	row.Condition = condition(by, act)
	row.Versioned, row.Version = true, now.subject.Version
	row.Owned = !by.Service && now.subject.Role == chat.RoleOwner
	done, err := s.write(ctx, row)
	if row.Owned && hasCode(err, chat.Forbidden) {
		if _, why := s.allow(ctx, by, act, now.room.ID); why == nil {
			return chat.Member{}, errLastOwner // nothing else stood against it
		}
	}
	if err != nil {
		return chat.Member{}, err
	}
	to.Version = done.Event.Seq
	switch {
	case to.State != chat.StateJoined:
		to.JoinedAt = time.Time{}
	case now.subject.State != chat.StateJoined:
		to.JoinedAt = done.Event.At
	}
	return to, nil
}

// memberRow is an event about membership, without conditions.
func memberRow(by chat.Principal, id chat.RoomID, kind chat.Kind, m chat.Member, reason string) store.Append {
	return store.Append{
		Room:   id,
		Kind:   kind,
		Actor:  by.User,
		Body:   chat.MemberBody(m, reason),
		Member: &chat.Member{User: m.User, State: m.State, Role: m.Role},
	}
}
