package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"tertulia/chat"
	"tertulia/internal/count"
)

// PutAccount makes or changes an account; see [store.Accounts].
func (s *Store) PutAccount(ctx context.Context, a chat.Account) (chat.Account, error) {
	var vals [accountWidth]driver.Value
	err := s.write(ctx, "put account "+string(a.ID), func() error {
		_, err := s.writer.stmt.putAccount.queryRow(vals[:], string(a.ID), a.Name, s.now().UnixMilli(), flag(a.Disabled))
		return err
	})
	if err != nil {
		return chat.Account{}, err
	}
	r := row{vals: vals[:]}
	return r.account(), r.err
}

// Account returns an account; ok is false if there is none.
func (s *Store) Account(ctx context.Context, id chat.UserID) (a chat.Account, ok bool, err error) {
	s.counts.Reads.Of(count.ReadAccount).Inc()
	err = s.read(ctx, "read account "+string(id), func(r *reader) (err error) {
		a, ok, err = r.account(id)
		return err
	})
	return a, ok, err
}

func (r *reader) account(id chat.UserID) (a chat.Account, ok bool, err error) {
	ok, err = r.stmt.account.queryRow(r.vals[:accountWidth], string(id))
	if err != nil || !ok {
		return a, ok, err
	}
	v := row{vals: r.vals[:accountWidth]}
	return v.account(), true, v.err
}

// Accounts returns accounts in the order of their ids.
func (s *Store) Accounts(ctx context.Context, after chat.UserID, limit int) (accounts []chat.Account, err error) {
	s.counts.Reads.Of(count.ReadAccount).Inc()
	err = s.read(ctx, "read accounts", func(r *reader) error {
		rows, err := r.stmt.accounts.query(string(after), rowLimit(limit))
		if err != nil {
			return err
		}
		return r.each(ctx, rows, accountWidth, func(v *row) bool {
			accounts = append(accounts, v.account())
			return true
		})
	})
	return accounts, err
}

// Seen notes when users were connected last.
func (s *Store) Seen(ctx context.Context, users []chat.User, at time.Time) error {
	return s.write(ctx, "note who was seen", func() error {
		now := s.now().UnixMilli()
		for _, u := range users {
			if _, err := s.writer.stmt.seen.exec(string(u.ID), u.Name, now, at.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Revoke voids the tokens of a user issued before an instant.
func (s *Store) Revoke(ctx context.Context, id chat.UserID, before time.Time) error {
	return s.write(ctx, "revoke the tokens of "+string(id), func() error {
		_, err := s.writer.stmt.revoke.exec(string(id), s.now().UnixMilli(), before.Unix()*1000)
		return err
	})
}

// RevokeToken voids one token, and forgets those that have expired.
func (s *Store) RevokeToken(ctx context.Context, tokenID string, until time.Time) error {
	return s.write(ctx, "revoke a token", func() error {
		if _, err := s.writer.stmt.forgetTokens.exec(s.now().UnixMilli()); err != nil {
			return err
		}
		_, err := s.writer.stmt.revokeToken.exec(tokenID, until.UnixMilli())
		return err
	})
}

// Validity returns what stands against credentials.
func (s *Store) Validity(ctx context.Context, credentials []chat.Credential) (validity []chat.Validity, err error) {
	err = s.read(ctx, "look for revoked credentials", func(r *reader) error {
		validity = make([]chat.Validity, len(credentials))
		for i, c := range credentials {
			if err := errors.Join(ctx.Err(), r.validity(c, &validity[i])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return validity, nil
}

func (r *reader) validity(c chat.Credential, v *chat.Validity) error {
	known, err := r.stmt.account.queryRow(r.vals[:accountWidth], string(c.User))
	if err != nil {
		return err
	}
	if known {
		row := row{vals: r.vals[:accountWidth]}
		a := row.account()
		if row.err != nil {
			return row.err
		}
		v.Disabled, v.RevokedBefore = a.Disabled, a.RevokedBefore
	}
	v.TokenRevoked, err = r.stmt.tokenRevoked.queryRow(r.vals[:1], c.TokenID)
	return err
}
