package chat

import "time"

// Credential is a token of a user, as far as it can be revoked.
type Credential struct {
	User    UserID
	TokenID string // empty if it has none
}

// Validity is what stands against a credential; zero is nothing.
type Validity struct {
	// Disabled says that the user's account is disabled.
	Disabled bool
	// RevokedBefore is the instant before which all tokens of the user are void.
	// Tokens count whole seconds, so that one that is issued in the second of the
	// revocation may be void as well.
	RevokedBefore time.Time
	// TokenRevoked says that the one token is void.
	TokenRevoked bool
}
