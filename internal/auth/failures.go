package auth

import (
	"errors"

	"tertulia/chat"
	"tertulia/internal/count"
)

// newFailures has a counter for each code that is told of a credential. The
// last one takes any other.
func newFailures() *count.Set {
	var labels []string
	for _, code := range []chat.Code{chat.Unauthenticated, chat.TokenExpired, chat.Forbidden, chat.InvalidParameter, chat.MissingParameter, chat.StoreUnavailable, chat.Internal} {
		labels = append(labels, string(code))
	}
	return count.NewSet(labels...)
}

// Failures are the requests and tokens of which it could not be said whose
// they are, by code, since the authenticator began. One that has no credential
// is none of them: a WebSocket may say who it is later.
func (a *Authenticator) Failures() *count.Set { return a.failures }

// note counts an outcome.
func (a *Authenticator) note(err error) {
	if err != nil && !errors.Is(err, ErrNoCredential) {
		a.failures.Of(string(chat.AsError(err).Code)).Inc()
	}
}
