package auth

import (
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

// What Sign makes is taken, and says what was granted.
func TestSign(t *testing.T) {
	a := authenticator(t, Config{Issuers: []Issuer{byHMAC()}})
	grant := Grant{User: chat.User{ID: "1", Name: "José P"}, Issuer: "https://id.example", Audience: []string{"chat"}, IssuedAt: now, Lifetime: time.Hour}
	token, err := Sign([]byte(secret), grant)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Verify(t.Context(), token)
	if err != nil || id.User != grant.User || id.IssuedAt != now || id.ExpiresAt != now.Add(time.Hour+Leeway) || id.TokenID == "" {
		t.Errorf("Verify = %+v, %v, want what was granted", id, err)
	}
	if again, _ := Sign([]byte(secret), grant); again == token {
		t.Error("two tokens have the same id")
	}
	for name, test := range map[string]struct {
		secret string
		change func(*Grant)
		want   string
	}{
		"short secret": {secret[:31], func(*Grant) {}, "the secret has 31 bytes; it needs 32"},
		"no user":      {secret, func(g *Grant) { g.User.ID = "" }, "the user id has 1 to 64 bytes"},
		"too long":     {secret, func(g *Grant) { g.Lifetime = 25 * time.Hour }, "a token is good for 1s to 24h0m0s, not for 25h0m0s"},
		"no time":      {secret, func(g *Grant) { g.Lifetime = 0 }, "not for 0s"},
	} {
		g := grant
		test.change(&g)
		if token, err := Sign([]byte(test.secret), g); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret[:31]) {
			t.Errorf("%s: Sign = %q, %v, want an error with %q", name, token, err, test.want)
		}
	}
}
