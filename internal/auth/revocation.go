package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tertulia/chat"
)

// Revocations know which tokens have been called back before their time.
// Their methods are called from many goroutines, for every token that is
// presented and again for every socket that is open.
type Revocations interface {
	// RevokedBefore returns the instant before which all tokens of a user are
	// void, zero if there is none: a token is void if its IssuedAt is earlier.
	// Tokens count whole seconds, so that one that is issued in the second of
	// the revocation may be void as well. A *chat.Error refuses the user,
	// whatever the token is.
	RevokedBefore(ctx context.Context, user chat.UserID) (time.Time, error)
	// TokenRevoked reports whether the one token with this jti is void.
	TokenRevoked(ctx context.Context, id string) (bool, error)
}

// Recheck returns nil as long as an identity holds. What stays open is
// rechecked: at once when its user's topic tells of a revocation, every few
// seconds in case that was not heard, and at id.ExpiresAt.
//
// The error is a *chat.Error with code [chat.TokenExpired],
// [chat.Unauthenticated] if the token was revoked, that of the Revocations if
// they refuse the user, or [chat.StoreUnavailable]
// if that cannot be known: a newcomer is not let in then, while a socket that
// is open already may stay.
func (a *Authenticator) Recheck(ctx context.Context, id Identity) error {
	if id.expired(a.now()) {
		return errExpired
	}
	if a.revocations == nil || id.IssuedAt.IsZero() {
		return nil
	}
	before, err := a.revocations.RevokedBefore(ctx, id.User.ID)
	if told, ok := errors.AsType[*chat.Error](err); ok {
		return told
	}
	if err != nil {
		return unknownRevocation(err)
	}
	void := id.IssuedAt.Before(before)
	if !void && id.TokenID != "" {
		if void, err = a.revocations.TokenRevoked(ctx, id.TokenID); err != nil {
			return unknownRevocation(err)
		}
	}
	if void {
		return refused("it was revoked; get a new one")
	}
	return nil
}

func (id *Identity) expired(now time.Time) bool {
	return !id.ExpiresAt.IsZero() && !now.Before(id.ExpiresAt)
}

func unknownRevocation(err error) error {
	told := chat.Errorf(chat.StoreUnavailable, "Whether the token still holds cannot be looked up at the moment; try again.")
	return fmt.Errorf("%w: read revocations: %w", told, err)
}
