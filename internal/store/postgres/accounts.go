package postgres

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/count"
)

// PutAccount makes or changes an account; see [store.Accounts].
func (s *Store) PutAccount(ctx context.Context, a chat.Account) (chat.Account, error) {
	var r accountRow
	put := statement{s.sql.putAccount, []any{string(a.ID), a.Name, a.Disabled}, r.dest(), func() error { return nil }}
	if err := s.write(ctx, s.others, "put account "+string(a.ID), put, nothing); err != nil {
		return chat.Account{}, err
	}
	return r.account(), nil
}

// Account returns an account; ok is false if there is none.
func (s *Store) Account(ctx context.Context, id chat.UserID) (a chat.Account, ok bool, err error) {
	s.counts.Reads.Of(count.ReadAccount).Inc()
	var r accountRow
	err = s.read(ctx, "read account "+string(id), statement{s.sql.account, []any{string(id)}, r.dest(), func() error {
		a, ok = r.account(), true
		return nil
	}})
	return a, ok, err
}

// Accounts returns accounts in the order of their ids.
func (s *Store) Accounts(ctx context.Context, after chat.UserID, limit int) (accounts []chat.Account, err error) {
	s.counts.Reads.Of(count.ReadAccount).Inc()
	var r accountRow
	err = s.read(ctx, "read accounts", statement{s.sql.accounts, []any{string(after), max(limit, 0)}, r.dest(), func() error {
		accounts = append(accounts, r.account())
		return nil
	}})
	return accounts, err
}

// Seen notes when users were connected last.
func (s *Store) Seen(ctx context.Context, users []chat.User, at time.Time) error {
	// One statement may touch a row once: of a user who is there twice, the first
	// name counts, as it would if they came one after the other.
	place := make(map[chat.UserID]int, len(users))
	var ids, names []string
	for _, u := range users {
		i, ok := place[u.ID]
		if !ok {
			i = len(ids)
			place[u.ID] = i
			ids, names = append(ids, string(u.ID)), append(names, "")
		}
		if names[i] == "" {
			names[i] = u.Name
		}
	}
	return s.change(ctx, "note who was seen", s.sql.seen, ids, names, at.UnixMilli())
}

// Revoke voids the tokens of a user issued before an instant.
func (s *Store) Revoke(ctx context.Context, id chat.UserID, before time.Time) error {
	return s.change(ctx, "revoke the tokens of "+string(id), s.sql.revoke, string(id), before.Unix()*1000)
}

// RevokeToken voids one token, and forgets those that have expired.
func (s *Store) RevokeToken(ctx context.Context, tokenID string, until time.Time) error {
	return s.change(ctx, "revoke a token", s.sql.revokeToken, tokenID, until.UnixMilli())
}

// Validity returns what stands against credentials.
func (s *Store) Validity(ctx context.Context, credentials []chat.Credential) ([]chat.Validity, error) {
	var (
		users, tokens     = make([]string, len(credentials)), make([]string, len(credentials))
		validity          = make([]chat.Validity, 0, len(credentials))
		disabled, revoked truth
		before            number
	)
	for i, c := range credentials {
		users[i], tokens[i] = string(c.User), c.TokenID
	}
	err := s.read(ctx, "look for revoked credentials", statement{s.sql.validity, []any{users, tokens}, []any{&disabled, &before, &revoked}, func() error {
		validity = append(validity, chat.Validity{Disabled: bool(disabled), RevokedBefore: before.time(), TokenRevoked: bool(revoked)})
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return validity, nil
}

// change runs a statement that writes and returns nothing.
func (s *Store) change(ctx context.Context, step, sql string, args ...any) error {
	return s.write(ctx, s.others, step, statement{sql: sql, args: args, take: func() error { return nil }}, nothing)
}
