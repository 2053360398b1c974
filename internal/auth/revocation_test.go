package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

// revocations are kept in memory, as a store keeps them.
type revocations struct {
	before           time.Time
	tokens           []string
	userErr, idErr   error
	askedFor         chat.UserID
	lookups, idReads int
}

func (r *revocations) RevokedBefore(_ context.Context, user chat.UserID) (time.Time, error) {
	r.lookups++
	r.askedFor = user
	return r.before, r.userErr
}

func (r *revocations) TokenRevoked(_ context.Context, id string) (bool, error) {
	r.idReads++
	return slices.Contains(r.tokens, id), r.idErr
}

func TestRecheck(t *testing.T) {
	down := errors.New("dial 10.0.0.7: refused")
	token := Identity{Principal: chat.Principal{User: chat.User{ID: "1", Name: "Juan"}}, IssuedAt: now, ExpiresAt: now.Add(time.Minute), TokenID: "t1"}
	change := func(f func(*Identity)) Identity {
		id := token
		f(&id)
		return id
	}
	for _, test := range []struct {
		name string
		r    *revocations
		id   Identity
		want chat.Code
	}{
		{"nothing revoked", &revocations{}, token, ""},
		{"all before it", &revocations{before: now}, token, ""},
		{"all before a second later", &revocations{before: now.Add(time.Second)}, token, chat.Unauthenticated},
		{"all within its second", &revocations{before: now.Add(time.Millisecond)}, token, chat.Unauthenticated},
		{"another token", &revocations{tokens: []string{"t2"}}, token, ""},
		{"this token", &revocations{tokens: []string{"t2", "t1"}}, token, chat.Unauthenticated},
		{"a token without an id", &revocations{tokens: []string{""}}, change(func(id *Identity) { id.TokenID = "" }), ""},
		{"expired", &revocations{}, change(func(id *Identity) { id.ExpiresAt = now }), chat.TokenExpired},
		{"expires next", &revocations{}, change(func(id *Identity) { id.ExpiresAt = now.Add(1) }), ""},
		{"store down", &revocations{userErr: down}, token, chat.StoreUnavailable},
		{"store down half way", &revocations{idErr: down}, token, chat.StoreUnavailable},
		{"open mode", &revocations{before: now.Add(time.Hour), userErr: down}, userIdentity("1"), ""},
		{"a service", &revocations{userErr: down}, Identity{Principal: chat.Principal{Service: true}}, ""},
	} {
		err := authenticator(t, Config{Revocations: test.r}).Recheck(t.Context(), test.id)
		if codeOf(err) != test.want {
			t.Errorf("%s: %v, want code %q", test.name, err, test.want)
		}
		if test.want == chat.StoreUnavailable && (!errors.Is(err, down) || strings.Contains(chat.AsError(err).Message, "10.0.0.7")) {
			t.Errorf("%s: %v, want the cause for the log, and not for the client", test.name, err)
		}
	}
}

// A token is measured when it is presented as well.
func TestVerifyAsksForRevocations(t *testing.T) {
	r := &revocations{before: now.Add(time.Second)}
	a := authenticator(t, Config{Issuers: []Issuer{byHMAC()}, Revocations: r})
	if id, err := a.Verify(t.Context(), hs(t, nil, nil)); codeOf(err) != chat.Unauthenticated || id != (Identity{}) || r.askedFor != "1" {
		t.Errorf("Verify = %+v, %v, asked for %q, want it refused as revoked", id, err, r.askedFor)
	}
	forged := hs(t, object{"typ": "x"}, nil)
	if _, err := a.Verify(t.Context(), forged); err == nil || r.lookups != 1 {
		t.Errorf("a token that is refused anyway was looked up: %v, %d lookups", err, r.lookups)
	}
	r.before = time.Time{}
	if _, err := a.Verify(t.Context(), hs(t, nil, nil)); err != nil || r.idReads != 1 {
		t.Errorf("Verify = %v with %d looks at the token's id, want 1", err, r.idReads)
	}
}
