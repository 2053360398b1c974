package room

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// PutAccount makes or changes an account: its name and whether it is
// disabled. By a service only. The sessions of a disabled account end.
func (s *Service) PutAccount(ctx context.Context, by chat.Principal, a chat.Account) (chat.Account, error) {
	if !by.Service {
		return chat.Account{}, errOnlyService
	}
	if _, err := chat.ParseUser(string(a.ID), a.Name); err != nil {
		return chat.Account{}, err
	}
	return s.putAccount(ctx, a)
}

func (s *Service) putAccount(ctx context.Context, a chat.Account) (chat.Account, error) {
	got, err := s.store.PutAccount(ctx, a)
	if err != nil {
		return chat.Account{}, s.unwritten("an account", err)
	}
	s.admissions.set(got.ID, got.Disabled)
	s.bus.Publish(bus.RightsTopic, []chat.Event{{Kind: chat.KindAccountChanged, Subject: got.ID, At: time.Now().UTC()}})
	if got.Disabled {
		s.endSessions(got.ID, chat.DisabledBody())
	}
	return got, nil
}

// Account returns an account: one's own, to a service any, and of others name
// and last seen to whom shares a room with them; else UserNotFound.
func (s *Service) Account(ctx context.Context, by chat.Principal, id chat.UserID) (chat.Account, error) {
	if err := s.admit(ctx, by); err != nil {
		return chat.Account{}, err
	}
	a, ok, err := s.store.Account(ctx, id)
	switch {
	case err != nil:
		return chat.Account{}, s.unreadable("an account", err)
	case by.Service && ok:
		return a, nil
	case by.Service:
		return chat.Account{}, noUser(id)
	case id == by.User.ID && !ok:
		return chat.Account{User: by.User}, nil // not noted yet
	case id == by.User.ID:
		return a, nil
	}
	share, err := s.share(ctx, by.User.ID, id)
	switch {
	case err != nil:
		return chat.Account{}, s.unreadable("a user's rooms", err)
	case !share || !ok:
		return chat.Account{}, noUser(id)
	}
	return chat.Account{User: a.User, SeenAt: a.SeenAt}, nil
}

// share reports whether two users are in one room, as members or, in an open
// room, with a mark.
func (s *Service) share(ctx context.Context, a, b chat.UserID) (bool, error) {
	as, bs := walk{store: s.store, user: a}, walk{store: s.store, user: b}
	for {
		at, err := as.from(ctx, bs.at)
		if err != nil || at == "" {
			return false, err
		}
		other, err := bs.from(ctx, at)
		if err != nil || other == "" || other == at {
			return other != "" && err == nil, err
		}
	}
}

// walk goes through the rooms that a user is in, by their ids.
type walk struct {
	store store.Store
	user  chat.UserID
	at    chat.RoomID // the last one
	page  []store.Standing
	read  chat.RoomID // where page ends
	ended bool
}

// walkPage is how many rooms are read at a time.
const walkPage = 100

// from goes on to the first room that is not before id, and returns it, or ""
// at the end.
func (w *walk) from(ctx context.Context, id chat.RoomID) (chat.RoomID, error) {
	for w.at == "" || w.at < id {
		if len(w.page) == 0 {
			if more, err := w.fill(ctx); err != nil || !more {
				return "", err
			}
		}
		if at := &w.page[0]; roleIn(at.Room, at.Member) > chat.RoleNone {
			w.at = at.Room.ID
		}
		w.page = w.page[1:]
	}
	return w.at, nil
}

// fill reads the next page, and reports whether there is one.
func (w *walk) fill(ctx context.Context) (more bool, err error) {
	if w.ended {
		return false, nil
	}
	if w.page, err = w.store.Standings(ctx, w.user, w.read, walkPage); err != nil {
		return false, err
	}
	w.ended = len(w.page) < walkPage
	if len(w.page) > 0 {
		w.read = w.page[len(w.page)-1].Room.ID
	}
	return len(w.page) > 0, nil
}

// Accounts returns all accounts by id, to a service: up to limit (1 to 1,000)
// after one.
func (s *Service) Accounts(ctx context.Context, by chat.Principal, after chat.UserID, limit int) ([]chat.Account, error) {
	if !by.Service {
		return nil, errOnlyService
	}
	accounts, err := s.store.Accounts(ctx, after, clampLimit(limit, maxList))
	if err != nil {
		return nil, s.unreadable("the accounts", err)
	}
	return accounts, nil
}

// Revoke voids a user's tokens of up to the present second, and ends the
// user's sessions. By a service only.
func (s *Service) Revoke(ctx context.Context, by chat.Principal, id chat.UserID) error {
	if !by.Service {
		return errOnlyService
	}
	// Tokens say the second of their issue: the present one counts as before.
	before := time.Now().UTC().Truncate(time.Second).Add(time.Second)
	if err := s.store.Revoke(ctx, id, before); err != nil {
		return s.unwritten("a revocation", err)
	}
	s.endSessions(id, chat.RevokedBody(""))
	return nil
}

// revokedFor is how long the id of a voided token is remembered. Longer lived
// tokens are voided with all others of the user.
const revokedFor = 400 * 24 * time.Hour

// RevokeToken voids one token of a user by its id, and ends the sessions that
// came with it. By a service only.
func (s *Service) RevokeToken(ctx context.Context, by chat.Principal, tokenID string, user chat.UserID) error {
	if !by.Service {
		return errOnlyService
	}
	if tokenID == "" {
		return chat.Errorf(chat.MissingParameter, "Say the id of the token that is to be void.")
	}
	if err := s.store.RevokeToken(ctx, tokenID, time.Now().UTC().Add(revokedFor)); err != nil {
		return s.unwritten("a revocation", err)
	}
	s.endSessions(user, chat.RevokedBody(tokenID))
	return nil
}

// endSessions tells the sessions of a user, on every node, to end.
func (s *Service) endSessions(id chat.UserID, body []byte) {
	s.bus.Publish(bus.UserTopic(id), []chat.Event{{
		Kind:    chat.KindRevoked,
		Subject: id,
		At:      time.Now().UTC(),
		Body:    body,
	}})
}
