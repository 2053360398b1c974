package auth

import (
	"maps"
	"testing"

	"tertulia/chat"
)

// A credential that is not taken counts once, by whatever way it came; what
// brings none does not count.
func TestFailures(t *testing.T) {
	expired := hs(t, nil, object{"iat": 1000, "nbf": 1000, "exp": 2000})
	a := authenticator(t, Config{Issuers: []Issuer{byHMAC()}})
	for _, r := range []string{hs(t, nil, nil), "x", expired, expired} {
		_, _ = a.Identify(request("", "Authorization", "Bearer "+r))
	}
	_, _ = a.Identify(request("token=x"))
	_, _ = a.Identify(request(""))
	_, _ = a.Verify(t.Context(), "x")
	got := maps.Collect(a.Failures().All)
	maps.DeleteFunc(got, func(_ string, n uint64) bool { return n == 0 })
	want := map[string]uint64{string(chat.Unauthenticated): 2, string(chat.TokenExpired): 2, string(chat.InvalidParameter): 1}
	if !maps.Equal(got, want) {
		t.Errorf("failures are %v, want %v", got, want)
	}
}
