package auth

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxTokenBytes bounds a token, checked before anything of it is read.
	MaxTokenBytes = 8 << 10
	// maxTokenIDBytes bounds a jti, which the store keeps for revoked tokens.
	maxTokenIDBytes = 256
	// maxInstant is the end of the year 9999 in Unix seconds; RFC 3339 knows
	// no later instants.
	maxInstant = 253402300799
)

// token is a token taken apart, with nothing verified yet.
type token struct {
	header    header
	claims    claims
	signed    string // header and claims as they were signed
	signature []byte
}

// header is the part of a JOSE header (RFC 7515 §4.1) that matters here.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`

	// These name keys by which a forger would have the token checked, or ask
	// for rules that are not known here. A token that has one is refused.
	KeyURL      jsontext.Value `json:"jku"`
	CertURL     jsontext.Value `json:"x5u"`
	Key         jsontext.Value `json:"jwk"`
	Certificate jsontext.Value `json:"x5c"`
	Critical    jsontext.Value `json:"crit"`
}

// claims are the claims (RFC 7519 §4.1) that matter here. They satisfy
// jwt.Claims.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ExpiresAt *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	IssuedAt  *float64 `json:"iat"`
	ID        string   `json:"jti"`

	Name              string `json:"name"`
	PreferredUsername string `json:"preferred_username"`
}

// audience is one string or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = []string{""}
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return numericDate(c.ExpiresAt), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return numericDate(c.IssuedAt), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return numericDate(c.NotBefore), nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }

func numericDate(seconds *float64) *jwt.NumericDate {
	if seconds == nil {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(int64(*seconds), 0))
}

// parseToken takes a token apart, strictly: three parts of base64url without
// padding, the first two of them one JSON object each, in which no name
// stands twice. The result may refer to text.
func parseToken(text string) (*token, error) {
	switch {
	case len(text) > MaxTokenBytes:
		return nil, refused("it is longer than %d bytes", MaxTokenBytes)
	case strings.Count(text, ".") != 2 || strings.ContainsFunc(text, isForeign):
		return nil, refused("it is not written as a signed JWT")
	}
	end := strings.LastIndexByte(text, '.')
	t := &token{signed: text[:end]}
	first, second, _ := strings.Cut(t.signed, ".")
	var err error
	if t.signature, err = decodeSegment(text[end+1:]); err != nil {
		return nil, refused("its signature is not base64url")
	}
	if decodeJSON(first, &t.header) != nil {
		return nil, refused("its header cannot be read")
	}
	if decodeJSON(second, &t.claims) != nil {
		return nil, refused("its claims cannot be read")
	}
	if err := t.header.check(); err != nil {
		return nil, err
	}
	return t, t.claims.check()
}

// isForeign reports whether no part of a token may have r. The decoder would
// skip line breaks.
func isForeign(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		return false
	}
	return true
}

func decodeSegment(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }

func decodeJSON(segment string, v any) error {
	data, err := decodeSegment(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func (h *header) check() error {
	switch {
	case h.KeyURL != nil, h.CertURL != nil, h.Key != nil, h.Certificate != nil:
		return refused("its header brings a key of its own (jku, x5u, jwk, x5c); keys come from the server's configuration alone")
	case h.Critical != nil:
		return refused("its header has crit, and no extension is known here")
	case !isTokenType(h.Type):
		return refused("its typ is neither JWT nor at+jwt")
	}
	return nil
}

// isTokenType reports whether a typ, possibly none, is that of a token for
// asking: media types compare without case, and application/ may be left out
// (RFC 7515 §4.1.9).
func isTokenType(typ string) bool {
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "":
		return typ == ""
	case "jwt", "at+jwt":
		return true
	}
	return false
}

func (c *claims) check() error {
	for _, at := range []*float64{c.ExpiresAt, c.NotBefore, c.IssuedAt} {
		if at != nil && (*at < 0 || *at > maxInstant) {
			return refused("exp, nbf and iat are seconds since 1970")
		}
	}
	if len(c.ID) > maxTokenIDBytes {
		return refused("its jti is longer than %d bytes", maxTokenIDBytes)
	}
	return nil
}
