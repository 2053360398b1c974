package auth

import (
	"time"

	"tertulia/chat"
)

// Identity is who is asking, and how long that holds.
type Identity struct {
	chat.Principal
	// ExpiresAt is the first instant at which the credential is no longer
	// taken, [Leeway] included: what was opened with it ends then. Zero means
	// never, as in open mode and for service credentials.
	ExpiresAt time.Time
	// IssuedAt is when the credential was made; [Revocations] are measured by
	// it. For a token that does not say so it is the earliest instant at which
	// the token would have been taken. It is zero for what cannot be revoked:
	// in open mode and for service credentials.
	IssuedAt time.Time
	// TokenID is the token's jti, empty if it has none.
	TokenID string
	// Issuer is the token's iss, empty if it has none.
	Issuer string
}
