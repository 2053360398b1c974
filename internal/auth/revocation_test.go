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
	before   time.Time
	disabled bool
	tokens   []string
	err      error
	askedFor []chat.Credential // ever
	lookups  int
}

func (r *revocations) Validity(_ context.Context, credentials []chat.Credential) (validity []chat.Validity, err error) {
	r.lookups++
	r.askedFor = append(r.askedFor, credentials...)
	for _, c := range credentials {
		validity = append(validity, chat.Validity{Disabled: r.disabled, RevokedBefore: r.before, TokenRevoked: slices.Contains(r.tokens, c.TokenID)})
	}
	return validity, r.err
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
		{"a disabled account", &revocations{disabled: true}, token, chat.Forbidden},
		{"store down", &revocations{err: down}, token, chat.StoreUnavailable},
		{"open mode", &revocations{before: now.Add(time.Hour), err: down}, userIdentity("1"), ""},
		{"a service", &revocations{err: down}, Identity{Principal: chat.Principal{Service: true}}, ""},
	} {
		err := authenticator(t, Config{Revocations: test.r}).recheck(t.Context(), test.id)
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
	if id, err := a.Verify(t.Context(), hs(t, nil, nil)); codeOf(err) != chat.Unauthenticated || id != (Identity{}) || r.askedFor[0].User != "1" {
		t.Errorf("Verify = %+v, %v, asked for %q, want it refused as revoked", id, err, r.askedFor)
	}
	forged := hs(t, object{"typ": "x"}, nil)
	if _, err := a.Verify(t.Context(), forged); err == nil || r.lookups != 1 {
		t.Errorf("a token that is refused anyway was looked up: %v, %d lookups", err, r.lookups)
	}
	r.before = time.Time{}
	if _, err := a.Verify(t.Context(), hs(t, nil, nil)); err != nil || r.lookups != 2 {
		t.Errorf("Verify = %v with %d lookups, want 2", err, r.lookups)
	}
}

// Many are rechecked with one question, about those alone that need it.
func TestRecheckOfMany(t *testing.T) {
	r := &revocations{tokens: []string{"void"}}
	a := authenticator(t, Config{Revocations: r})
	token := func(id string, expires time.Time) Identity {
		return Identity{Principal: chat.Principal{User: chat.User{ID: "1"}}, IssuedAt: now, ExpiresAt: expires, TokenID: id}
	}
	ids := []Identity{token("good", time.Time{}), userIdentity("2"), token("old", now), token("void", now.Add(1)), token("", time.Time{})}
	want := []chat.Code{"", "", chat.TokenExpired, chat.Unauthenticated, ""}
	for i, err := range a.Recheck(t.Context(), ids) {
		if codeOf(err) != want[i] {
			t.Errorf("identity %d: %v, want code %q", i, err, want[i])
		}
	}
	if r.lookups != 1 || len(r.askedFor) != 3 {
		t.Errorf("%d lookups of %d credentials, want 1 of 3", r.lookups, len(r.askedFor))
	}
	if got := a.Recheck(t.Context(), nil); len(got) != 0 || r.lookups != 1 {
		t.Errorf("Recheck of nobody = %v with %d lookups, want none", got, r.lookups-1)
	}
}
