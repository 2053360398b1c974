package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tertulia/chat"
)

const (
	// Leeway is by how much the clocks of an issuer and of this server may
	// differ.
	Leeway = 60 * time.Second
	// MaxLifetime is the longest lifetime that a token may have.
	MaxLifetime = 24 * time.Hour
	// MinSecretBytes is the least length of a secret: as many bits as the
	// hash that it is used with has (RFC 7518 §3.2).
	MinSecretBytes = 32
)

// The algorithms that a token may be signed with. None other is ever looked
// up, so that "none" and its like do not exist here.
var methods = map[string]jwt.SigningMethod{
	HS256: jwt.SigningMethodHS256,
	RS256: jwt.SigningMethodRS256,
	ES256: jwt.SigningMethodES256,
	EdDSA: jwt.SigningMethodEdDSA,
}

// The names of the algorithms (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	HS256 = "HS256"
	RS256 = "RS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// Issuer is somebody whose tokens are taken. Exactly one of Secret, KeyFiles
// and JWKS is set, so that nothing that is public can pass for a secret.
type Issuer struct {
	// Name is what the iss of its tokens must be. Empty takes any iss or none,
	// and only a sole issuer may be without a name.
	Name string
	// Audience is what the aud of its tokens must have one of. Empty takes
	// any aud or none.
	Audience []string
	// Algorithms are those that it may sign with; empty means all that fit
	// its keys.
	Algorithms []string
	// MaxLifetime bounds the time from iat to exp. Zero is [MaxLifetime].
	MaxLifetime time.Duration
	// UserPrefix is put before the sub of its tokens to make the user id, so
	// that the users of several issuers are different ones. An id that begins
	// with the prefixes of two is that of the longer: the other issuer's tokens
	// are refused for it.
	UserPrefix string

	// Secret is shared with the issuer, for HS256.
	Secret []byte
	// KeyFiles are the paths of public keys in PEM. A file may have several;
	// the kid of a token does not matter to them.
	KeyFiles []string
	// JWKS is the URL of the issuer's public keys (RFC 7517 §5), https or on
	// this machine.
	JWKS string
}

// issuer is an [Issuer] with its keys at hand.
type issuer struct {
	algorithms  []string
	maxLifetime time.Duration
	prefix      string
	foreign     []string // longer prefixes of other issuers
	keys        keySource
	validator   *jwt.Validator
}

// keySource has an issuer's keys.
type keySource interface {
	// find returns the keys that a token with this algorithm and kid may have
	// been signed with, of the type that the algorithm wants. The error is as
	// in [Authenticator.Verify]; having no such key is one.
	find(ctx context.Context, algorithm, kid string) ([]any, error)
}

func newIssuer(c Issuer, now func() time.Time, log *slog.Logger) (*issuer, error) {
	i := &issuer{maxLifetime: c.MaxLifetime, prefix: c.UserPrefix}
	if i.maxLifetime == 0 {
		i.maxLifetime = MaxLifetime
	}
	var err error
	if i.algorithms, err = c.algorithms(); err != nil {
		return nil, err
	}
	if i.keys, err = c.keys(i.algorithms, now, log); err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now), jwt.WithIssuedAt(), jwt.WithExpirationRequired()}
	if c.Name != "" {
		options = append(options, jwt.WithIssuer(c.Name))
	}
	if len(c.Audience) > 0 {
		options = append(options, jwt.WithAudience(c.Audience...))
	}
	i.validator = jwt.NewValidator(options...)
	return i, nil
}

// algorithms returns the pinned algorithms, all of them of the kind of the
// issuer's keys.
func (c *Issuer) algorithms() ([]string, error) {
	fit := []string{RS256, ES256, EdDSA}
	if len(c.Secret) > 0 {
		fit = []string{HS256}
	}
	for _, algorithm := range c.Algorithms {
		if !slices.Contains(fit, algorithm) {
			return nil, fmt.Errorf("the algorithm %q does not fit its keys; these go with %s", algorithm, strings.Join(fit, ", "))
		}
	}
	if len(c.Algorithms) > 0 {
		return c.Algorithms, nil
	}
	return fit, nil
}

func (c *Issuer) keys(algorithms []string, now func() time.Time, log *slog.Logger) (keySource, error) {
	switch {
	case len(c.Secret) > 0 && len(c.KeyFiles) == 0 && c.JWKS == "":
		if len(c.Secret) < MinSecretBytes {
			return nil, fmt.Errorf("the secret has %d bytes; it needs %d", len(c.Secret), MinSecretBytes)
		}
		return localKeys{HS256: {c.Secret}}, nil
	case len(c.Secret) == 0 && len(c.KeyFiles) > 0 && c.JWKS == "":
		return readKeyFiles(c.KeyFiles, algorithms)
	case len(c.Secret) == 0 && len(c.KeyFiles) == 0 && c.JWKS != "":
		return newRemoteKeys(c.Name, c.JWKS, algorithms, now, log)
	}
	return nil, errors.New("needs a secret, or files of public keys, or a JWKS URL, and only one of these")
}

// verify returns whom t stands for. What t claims is looked at only after
// its signature has been found good, but for the choice of the issuer.
func (i *issuer) verify(ctx context.Context, t *token, now time.Time) (Identity, error) {
	if err := i.verifySignature(ctx, t); err != nil {
		return Identity{}, err
	}
	if err := i.validator.Validate(&t.claims); err != nil {
		return Identity{}, claimsError(err)
	}
	return i.identity(&t.claims, now)
}

func (i *issuer) verifySignature(ctx context.Context, t *token) error {
	if !slices.Contains(i.algorithms, t.header.Algorithm) {
		return refused("its algorithm (alg) is none that its issuer may sign with")
	}
	keys, err := i.keys.find(ctx, t.header.Algorithm, t.header.KeyID)
	if err != nil {
		return err
	}
	method := methods[t.header.Algorithm]
	if !slices.ContainsFunc(keys, func(key any) bool { return method.Verify(t.signed, t.signature, key) == nil }) {
		return refused("its signature is wrong")
	}
	return nil
}

// claimsErrors say what is wrong with claims. Being too late is last: of a
// token that is wrong in another way too, a new one would be wrong again.
var claimsErrors = []struct {
	err  error
	told error
}{
	{jwt.ErrTokenRequiredClaimMissing, refused("it lacks a claim: exp must be there, and iss and aud where the server asks for them")},
	{jwt.ErrTokenInvalidIssuer, refused("its issuer (iss) is none that this server knows")},
	{jwt.ErrTokenInvalidAudience, refused("it is for another audience (aud)")},
	{jwt.ErrTokenNotValidYet, refused("it is not good yet (nbf)")},
	{jwt.ErrTokenUsedBeforeIssued, refused("it was issued in the future (iat)")},
	{jwt.ErrTokenExpired, errExpired},
}

var errExpired = chat.Errorf(chat.TokenExpired, "The token has expired; get a new one.")

func claimsError(err error) error {
	for _, c := range claimsErrors {
		if errors.Is(err, c.err) {
			return c.told
		}
	}
	return fmt.Errorf("validate claims: %w", err)
}

func (i *issuer) identity(c *claims, now time.Time) (Identity, error) {
	issuedAt, err := i.issuedAt(c, now)
	if err != nil {
		return Identity{}, err
	}
	user, err := i.user(c)
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Principal: chat.Principal{User: user},
		ExpiresAt: numericDate(c.ExpiresAt).Add(Leeway).UTC(),
		IssuedAt:  issuedAt.UTC(),
		TokenID:   strings.Clone(c.ID),
		Issuer:    strings.Clone(c.Issuer),
	}, nil
}

// issuedAt returns [Identity].IssuedAt of claims whose lifetime is allowed.
func (i *issuer) issuedAt(c *claims, now time.Time) (time.Time, error) {
	expiresAt := numericDate(c.ExpiresAt).Time
	tooLong := refused("it would be good for longer than %s", i.maxLifetime)
	if c.IssuedAt == nil {
		if expiresAt.Sub(now) > i.maxLifetime+Leeway {
			return time.Time{}, tooLong
		}
		return expiresAt.Add(-i.maxLifetime - Leeway), nil
	}
	issuedAt := numericDate(c.IssuedAt).Time
	switch lifetime := expiresAt.Sub(issuedAt); {
	case lifetime > i.maxLifetime:
		return time.Time{}, tooLong
	case lifetime <= 0:
		return time.Time{}, refused("it expired before it was issued")
	}
	return issuedAt, nil
}

// user is the user whom the claims name: sub is the id, behind the issuer's
// prefix, and the first of name, preferred_username and sub that is there is
// what others see.
func (i *issuer) user(c *claims) (chat.User, error) {
	name := c.Subject
	for _, given := range []string{c.PreferredUsername, c.Name} {
		if strings.TrimSpace(given) != "" {
			name = given
		}
	}
	id := i.prefix + c.Subject
	_, err := chat.ParseUser(c.Subject, "-")
	_, whole := chat.ParseUser(id, "-")
	switch {
	case err != nil || whole != nil:
		return chat.User{}, refused("its sub is no user id, which is 1 to %d bytes without control characters", chat.MaxUserIDBytes-len(i.prefix))
	case slices.ContainsFunc(i.foreign, func(prefix string) bool { return strings.HasPrefix(id, prefix) }):
		return chat.User{}, refused("its sub makes a user id of another issuer's")
	}
	user, err := chat.ParseUser(id, name)
	if err != nil {
		return chat.User{}, refused("its name is no display name, which is 1 to %d bytes without control characters", chat.MaxUserNameBytes)
	}
	return user, nil
}
