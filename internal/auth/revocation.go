package auth

import (
	"context"
	"fmt"
	"time"

	"tertulia/chat"
)

// Revocations know what stands against credentials. The method is called from
// many goroutines, for every token that is presented and again for every socket
// that is open.
type Revocations interface {
	// Validity returns an answer for each of the credentials, in their order.
	Validity(ctx context.Context, credentials []chat.Credential) ([]chat.Validity, error)
}

// Recheck returns, for each of some identities, nil as long as it holds. What
// stays open is rechecked: soon when its user's topic tells of a revocation,
// every few seconds in case that was not heard, and at its ExpiresAt. The
// revocations are asked once.
//
// An error is a *chat.Error with code [chat.TokenExpired],
// [chat.Unauthenticated] if the token was revoked, [chat.Forbidden] if the
// account is disabled, or wraps one with [chat.StoreUnavailable]
// if that cannot be known: a newcomer is not let in then, while a socket that
// is open already may stay.
func (a *Authenticator) Recheck(ctx context.Context, ids []Identity) []error {
	errs := make([]error, len(ids))
	var (
		places []int // in ids
		asked  []chat.Credential
	)
	for i := range ids {
		switch id := &ids[i]; {
		case id.expired(a.now()):
			errs[i] = errExpired
		case a.revocations != nil && !id.IssuedAt.IsZero():
			places, asked = append(places, i), append(asked, chat.Credential{User: id.User.ID, TokenID: id.TokenID})
		}
	}
	if len(asked) == 0 {
		return errs
	}
	validity, err := a.revocations.Validity(ctx, asked)
	for k, i := range places {
		if err != nil {
			errs[i] = unknownRevocation(err)
			continue
		}
		errs[i] = ids[i].stands(validity[k])
	}
	return errs
}

// recheck is Recheck of one identity.
func (a *Authenticator) recheck(ctx context.Context, id Identity) error {
	return a.Recheck(ctx, []Identity{id})[0]
}

// stands returns nil if nothing is against id.
func (id *Identity) stands(v chat.Validity) error {
	switch {
	case v.Disabled:
		return errDisabled
	case id.IssuedAt.Before(v.RevokedBefore), v.TokenRevoked && id.TokenID != "":
		return refused("it was revoked; get a new one")
	}
	return nil
}

var errDisabled = chat.Errorf(chat.Forbidden, "This account is disabled; ask who runs the server.")

func (id *Identity) expired(now time.Time) bool {
	return !id.ExpiresAt.IsZero() && !now.Before(id.ExpiresAt)
}

func unknownRevocation(err error) error {
	told := chat.Errorf(chat.StoreUnavailable, "Whether the token still holds cannot be looked up at the moment; try again.")
	return fmt.Errorf("%w: read revocations: %w", told, err)
}
