package auth

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tertulia/chat"
)

// Issuers of the tests below: two with secrets, two with key files, two that
// publish different keys under the same kid.
func sixIssuers(t *testing.T) Config {
	k := keyring()
	first, second := publish(t, serve(rsaKey("same", &k.rsa.PublicKey))), publish(t, serve(rsaKey("same", &k.rsaOther.PublicKey), ecKey("ec", &k.ec.PublicKey)))
	return Config{Issuers: []Issuer{
		{Name: "secret", UserPrefix: "s:", Audience: []string{"chat"}, Secret: []byte(secret)},
		{Name: "other secret", UserPrefix: "o:", Audience: []string{"other"}, MaxLifetime: time.Minute, Secret: []byte("other " + secret)},
		{Name: "file", UserPrefix: "f:", KeyFiles: []string{pemFile(t, k.rsa.Public(), k.ec.Public())}, Algorithms: []string{RS256, ES256}},
		{Name: "other file", UserPrefix: "g:", KeyFiles: []string{pemFile(t, k.rsaOther.Public())}, Algorithms: []string{RS256}},
		{Name: "url", UserPrefix: "u:", JWKS: first.URL},
		{Name: "other url", UserPrefix: "v:", JWKS: second.URL, Algorithms: []string{RS256}},
	}}
}

// The iss of a token picks the issuer, and with it the keys, the algorithms
// and the rules: nothing of another one holds.
func TestAttacksAcrossIssuers(t *testing.T) {
	k := keyring()
	a := authenticator(t, sixIssuers(t))
	type signer struct {
		method jwt.SigningMethod
		key    any
	}
	own := map[string]signer{
		"secret":       {jwt.SigningMethodHS256, []byte(secret)},
		"other secret": {jwt.SigningMethodHS256, []byte("other " + secret)},
		"file":         {jwt.SigningMethodRS256, k.rsa},
		"other file":   {jwt.SigningMethodRS256, k.rsaOther},
		"url":          {jwt.SigningMethodRS256, k.rsa}, // the key of "file" too
		"other url":    {jwt.SigningMethodRS256, k.rsaOther},
	}
	audience := map[string]any{"other secret": "other"}
	token := func(iss string, by signer, change object) string {
		claims := with(good(), object{"iss": iss, "aud": "chat", "exp": now.Add(time.Minute).Unix()})
		if aud := audience[iss]; aud != nil {
			claims["aud"] = aud
		}
		return forge(t, object{"alg": by.method.Alg(), "kid": "same"}, with(claims, change), by.method, by.key)
	}
	for iss := range own {
		for by, s := range own {
			want := chat.Unauthenticated
			if s.method == own[iss].method && fmt.Sprint(s.key) == fmt.Sprint(own[iss].key) {
				want = ""
			}
			id, err := a.Verify(t.Context(), token(iss, s, nil))
			if codeOf(err) != want {
				t.Errorf("iss %q with the key of %q: %v, want code %q", iss, by, err, want)
			}
			if err == nil && id.Issuer != iss {
				t.Errorf("iss %q with the key of %q is taken for one of %q", iss, by, id.Issuer)
			}
		}
	}
	pemSecret := signer{jwt.SigningMethodHS256, pkix(t, k.rsa.Public())}
	for _, test := range []struct {
		name, token string
		want        chat.Code
	}{
		{"an issuer that is none", token("stranger", own["secret"], nil), chat.Unauthenticated},
		{"no issuer", token("secret", own["secret"], object{"iss": nil}), chat.Unauthenticated},
		{"an empty issuer", token("", own["secret"], nil), chat.Unauthenticated},
		{"an issuer in capitals", token("SECRET", own["secret"], nil), chat.Unauthenticated},
		{"an issuer and a slash", token("secret/", own["secret"], nil), chat.Unauthenticated},
		{"two issuers", forge(t, object{"alg": "HS256"}, fmt.Sprintf(`{"iss":"other secret","iss":"secret","aud":"chat","sub":"1","exp":%d}`, now.Add(time.Minute).Unix()), jwt.SigningMethodHS256, []byte(secret)), chat.Unauthenticated},
		{"a list of issuers", token("secret", own["secret"], object{"iss": []string{"secret", "file"}}), chat.Unauthenticated},
		{"the public key of one as a secret, where another has a secret", token("secret", pemSecret, nil), chat.Unauthenticated},
		{"the public key of one as a secret, at itself", token("file", pemSecret, nil), chat.Unauthenticated},
		{"an algorithm of another issuer, with a key that is published", token("other url", signer{jwt.SigningMethodES256, k.ec}, nil), chat.Unauthenticated},
		{"an algorithm of another issuer, with its key", token("other file", signer{jwt.SigningMethodES256, k.ec}, nil), chat.Unauthenticated},
		{"that algorithm where it is pinned", token("file", signer{jwt.SigningMethodES256, k.ec}, nil), ""},
		{"the audience of another issuer", token("secret", own["secret"], object{"aud": "other"}), chat.Unauthenticated},
		{"the lifetime of another issuer", token("other secret", own["other secret"], object{"exp": now.Add(time.Hour).Unix()}), chat.Unauthenticated},
		{"that lifetime where it is allowed", token("secret", own["secret"], object{"exp": now.Add(time.Hour).Unix()}), ""},
	} {
		if _, err := a.Verify(t.Context(), test.token); codeOf(err) != test.want {
			t.Errorf("%s: %v, want code %q", test.name, err, test.want)
		}
	}
}

// The keys of one issuer are fetched for its own tokens only, and one whose
// URL does not answer takes nothing from the others.
func TestKeysOfOneIssuerAreNotFetchedForAnother(t *testing.T) {
	k := keyring()
	first, second := publish(t, serve(rsaKey("same", &k.rsa.PublicKey))), publish(t, serve(rsaKey("same", &k.rsaOther.PublicKey)))
	a := authenticator(t, Config{Issuers: []Issuer{{Name: "first", JWKS: first.URL}, {Name: "second", UserPrefix: "2:", JWKS: second.URL}}})
	token := func(iss, kid string) string {
		return forge(t, object{"alg": "RS256", "kid": kid}, with(good(), object{"iss": iss}), jwt.SigningMethodRS256, k.rsa)
	}
	wantFetches := func(what string, ones, others int32) {
		t.Helper()
		if got := [2]int32{first.fetches.Load(), second.fetches.Load()}; got != [2]int32{ones, others} {
			t.Errorf("%s: %v fetches, want %v", what, got, [2]int32{ones, others})
		}
	}
	if _, err := a.Verify(t.Context(), token("first", "same")); err != nil {
		t.Errorf("the first issuer's token: %v", err)
	}
	wantFetches("a token of the first", 1, 0)
	second.Close()
	if _, err := a.Verify(t.Context(), token("second", "same")); codeOf(err) != chat.Internal {
		t.Errorf("a token of an issuer whose URL does not answer: %v, want code internal", err)
	}
	if _, err := a.Verify(t.Context(), token("first", "same")); err != nil {
		t.Errorf("the first issuer's token beside a URL that does not answer: %v", err)
	}
	wantFetches("a URL that does not answer", 1, 0)
}

// Users of different issuers are different users, whatever their subs are.
func TestUsersOfSeveralIssuers(t *testing.T) {
	a := authenticator(t, Config{Issuers: []Issuer{
		{Name: "plain", Secret: []byte(secret)},
		{Name: "a", UserPrefix: "a", Secret: []byte(secret)},
		{Name: "ab", UserPrefix: "ab", Secret: []byte(secret)},
	}})
	owner := map[chat.UserID]string{}
	for _, iss := range []string{"plain", "a", "ab"} {
		for _, sub := range []string{"1", "a1", "b1", "ab1", "b", "ab", "c"} {
			token := hs(t, nil, object{"iss": iss, "aud": nil, "sub": sub, "name": nil})
			id, err := a.Verify(t.Context(), token)
			if err != nil {
				if codeOf(err) != chat.Unauthenticated {
					t.Errorf("%s of %s: %v, want code unauthenticated", sub, iss, err)
				}
				continue
			}
			if other := owner[id.User.ID]; other != "" {
				t.Errorf("%s of %s is user %q, who is of %s", sub, iss, id.User.ID, other)
			}
			owner[id.User.ID] = iss
			if id.User.Name != sub {
				t.Errorf("%s of %s is called %q, want the sub", sub, iss, id.User.Name)
			}
		}
	}
	for id, iss := range map[chat.UserID]string{"1": "plain", "b1": "plain", "a1": "a", "ac": "a", "ab1": "ab", "abb1": "ab"} {
		if owner[id] != iss {
			t.Errorf("user %q is of %q, want %q", id, owner[id], iss)
		}
	}
	for _, test := range []struct {
		name, sub string
		want      chat.Code
	}{
		{"a sub that fits with the prefix", strings.Repeat("x", 62), ""},
		{"a sub that is too long with the prefix", strings.Repeat("x", 63), chat.Unauthenticated},
		{"no sub, only the prefix", "", chat.Unauthenticated},
		{"a blank sub", " ", chat.Unauthenticated},
	} {
		if _, err := a.Verify(t.Context(), hs(t, nil, object{"iss": "ab", "sub": test.sub})); codeOf(err) != test.want {
			t.Errorf("%s: %v, want code %q", test.name, err, test.want)
		}
	}
}

// A kid that rotates at one issuer is not looked for at another.
func TestRotationAtOneOfTwoIssuers(t *testing.T) {
	k := keyring()
	first, second := publish(t, serve(rsaKey("k1", &k.rsa.PublicKey))), publish(t, serve(rsaKey("k1", &k.rsaOther.PublicKey)))
	at := new(atomic.Int64)
	a, err := newAt(Config{Issuers: []Issuer{{Name: "first", JWKS: first.URL}, {Name: "second", UserPrefix: "2:", JWKS: second.URL}}},
		func() time.Time { return now.Add(time.Duration(at.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	step := func(name, iss, kid string, signer any, want chat.Code) {
		t.Helper()
		token := forge(t, object{"alg": "RS256", "kid": kid}, with(good(), object{"iss": iss}), jwt.SigningMethodRS256, signer)
		if _, err := a.Verify(t.Context(), token); codeOf(err) != want {
			t.Errorf("%s: %v, want code %q", name, err, want)
		}
	}
	step("the first", "first", "k1", k.rsa, "")
	step("the second", "second", "k1", k.rsaOther, "")
	second.set(serve(rsaKey("k2", &k.rsa.PublicKey)))
	at.Store(int64(fetchInterval))
	step("the first, with the second's new kid", "first", "k2", k.rsa, chat.Unauthenticated)
	step("the second, with its new kid", "second", "k2", k.rsa, "")
	step("the second, with the kid that it has withdrawn", "second", "k1", k.rsaOther, chat.Unauthenticated)
	step("the first, with that kid", "first", "k1", k.rsa, "")
}
