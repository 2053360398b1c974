package room

import (
	"context"
	"errors"
	"fmt"

	"tertulia/chat"
	"tertulia/internal/store"
)

// allow returns a room and the principal's standing in it, if the principal
// may act there. The error is a *chat.Error: one of [Can]'s, Forbidden for a
// disabled account, StoreUnavailable; or the context's, wrapped.
func (s *Service) allow(ctx context.Context, by chat.Principal, act Action, id chat.RoomID) (store.Standing, error) {
	if err := s.admit(ctx, by); err != nil {
		return store.Standing{}, err
	}
	at, err := s.look(ctx, id, by.User.ID)
	if err == nil {
		err = Can(by, act, at.Room, at.Member)
	}
	if err != nil {
		return store.Standing{}, err
	}
	return at, nil
}

// look returns a room that exists, or may begin with its first message, and
// somebody's standing in it.
func (s *Service) look(ctx context.Context, id chat.RoomID, user chat.UserID) (store.Standing, error) {
	r, m, err := s.store.Member(ctx, id, user)
	switch {
	case err != nil:
		return store.Standing{}, s.unreadable("room "+string(id), err)
	case !r.Exists && !s.mayCreate(id):
		return store.Standing{}, notFound(id)
	}
	return store.Standing{Room: r, Member: m}, nil
}

// explain is what a user is told of a row that the store has refused. The
// store does not know who may know of a room, so a refusal that would tell is
// looked at again. It is called by the journal.
func (s *Service) explain(row *store.Append, refusal error) error {
	missing := hasCode(refusal, chat.RoomNotFound)
	switch {
	case missing && row.Role == chat.RoleNone:
		return notFound(row.Room)
	case row.Role == chat.RoleNone || !missing && !hasCode(refusal, chat.Forbidden):
		return refusal
	}
	// A room that is not there is looked for as well: an answer that came
	// sooner would tell it from one that is hidden.
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	at, err := s.look(ctx, row.Room, row.Actor.ID)
	if err != nil || missing {
		return notFound(row.Room)
	}
	act := ActRead
	if row.Live {
		act = ActPost
	}
	if why := Can(chat.Principal{User: row.Actor}, act, at.Room, at.Member); why != nil {
		return why
	}
	return refusal
}

// unreadable is what is told of a read that failed. A refusal by the store
// is told as it is.
func (s *Service) unreadable(what string, err error) error {
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBroken) || errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("cannot read the store", "what", what, "error", err)
		return errUnreadable
	}
	if _, ok := errors.AsType[*chat.Error](err); ok {
		return err
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// unwritten is what is told of a write that failed beside the journal. A
// broken store is given up.
func (s *Service) unwritten(what string, err error) error {
	if errors.Is(err, store.ErrBroken) {
		s.broken(err)
		return errBroken
	}
	if _, ok := errors.AsType[*chat.Error](err); ok {
		return err
	}
	s.log.Warn("cannot write to the store", "what", what, "error", err)
	return errNotKept
}

// hasCode reports whether err is a refusal with this code.
func hasCode(err error, code chat.Code) bool {
	e, ok := errors.AsType[*chat.Error](err)
	return ok && e.Code == code
}
