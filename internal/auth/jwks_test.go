package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tertulia/chat"
	"tertulia/internal/capture"
)

// publisher is an issuer's URL, which serves whatever its answer writes.
type publisher struct {
	*httptest.Server
	fetches atomic.Int32
	answer  atomic.Pointer[http.HandlerFunc]
}

func publish(t *testing.T, answer http.HandlerFunc) *publisher {
	p := &publisher{}
	p.answer.Store(&answer)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) set(answer http.HandlerFunc) { p.answer.Store(&answer) }

// serve is an answer with a set of keys.
func serve(keys ...object) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keySet(keys...)) }
}

func keySet(keys ...object) string {
	data, err := json.Marshal(object{"keys": keys})
	if err != nil {
		panic(err)
	}
	return string(data)
}

func rsaKey(kid string, key *rsa.PublicKey) object {
	return object{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
}

func ecKey(kid string, key *ecdsa.PublicKey) object {
	point, err := key.Bytes()
	if err != nil {
		panic(err)
	}
	return object{"kty": "EC", "kid": kid, "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

func edKey(kid string) object {
	return object{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": encode(keyring().ed.Public().(ed25519.PublicKey))}
}

// byURL is an authenticator whose issuer publishes its keys, in a time that a
// test moves.
func byURL(t *testing.T, p *publisher, at *atomic.Int64, log *slog.Logger) *Authenticator {
	t.Helper()
	a, err := newAt(Config{Issuers: []Issuer{{JWKS: p.URL}}, Log: log}, func() time.Time { return now.Add(time.Duration(at.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func signedRS(t *testing.T, kid string, key *rsa.PrivateKey) string {
	return forge(t, with(object{"alg": "RS256"}, object{"kid": kid}), good(), jwt.SigningMethodRS256, key)
}

// Keys that can be used, and those that are left out.
func TestKeySet(t *testing.T) {
	k := keyring()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	goodRSA, goodEC := rsaKey("a", &k.rsa.PublicKey), ecKey("a", &k.ec.PublicKey)
	all := []string{RS256, ES256, EdDSA}
	for _, test := range []struct {
		name       string
		keys       []object
		algorithms []string
		want       int // keys that are taken; 0 is an error
	}{
		{"one of each, with one name", []object{goodRSA, goodEC, edKey("a")}, all, 3},
		{"two with one name", []object{goodRSA, rsaKey("a", &k.rsaOther.PublicKey)}, all, 1},
		{"without alg, use and kid", []object{with(goodRSA, object{"alg": nil, "use": nil, "kid": nil})}, all, 1},
		{"with members that nobody knows", []object{with(goodRSA, object{"x5t": "x", "n_": 1})}, all, 1},
		{"for verifying", []object{with(goodRSA, object{"key_ops": []string{"verify"}})}, all, 1},
		{"not pinned", []object{goodRSA}, []string{ES256}, 0},
		{"a secret", []object{{"kty": "oct", "kid": "a", "alg": "HS256", "k": encode([]byte(secret))}}, all, 0},
		{"a secret beside a key", []object{{"kty": "oct", "kid": "a", "k": encode([]byte(secret))}, goodEC}, all, 1},
		{"an RSA key that says it is a secret", []object{with(goodRSA, object{"alg": "HS256"})}, all, 0},
		{"an RSA key that says it is elliptic", []object{with(goodRSA, object{"alg": "ES256"})}, all, 0},
		{"a type that is none of its members'", []object{with(goodRSA, object{"kty": "EC", "crv": "P-256"})}, all, 0},
		{"for encryption", []object{with(goodRSA, object{"use": "enc"})}, all, 0},
		{"for signing alone", []object{with(goodRSA, object{"key_ops": []string{"sign"}})}, all, 0},
		{"a short RSA key", []object{rsaKey("a", &small.PublicKey)}, all, 0},
		{"a long RSA key", []object{with(goodRSA, object{"n": encode(bytes.Repeat([]byte{255}, 2048))})}, all, 0},
		{"exponent 1", []object{with(goodRSA, object{"e": "AQ"})}, all, 0},
		{"exponent 2^32+1", []object{with(goodRSA, object{"e": encode([]byte{1, 0, 0, 0, 1})})}, all, 0},
		{"an even exponent", []object{with(goodRSA, object{"e": "BA"})}, all, 0},
		{"no exponent", []object{with(goodRSA, object{"e": nil})}, all, 0},
		{"bad base64 in n", []object{with(goodRSA, object{"n": "+"})}, all, 0},
		{"bad base64 in e", []object{with(goodRSA, object{"e": "+"})}, all, 0},
		{"a number in n", []object{with(goodRSA, object{"n": 3}), goodEC}, all, 1},
		{"another curve", []object{{"kty": "EC", "kid": "a", "crv": "P-384", "x": encode(p384.X.Bytes()), "y": encode(p384.Y.Bytes())}}, all, 0},
		{"a point that is not on the curve", []object{with(goodEC, object{"y": goodEC["x"]})}, all, 0},
		{"half a point", []object{with(goodEC, object{"y": nil})}, all, 0},
		{"bad base64 in x", []object{with(goodEC, object{"x": "+"})}, all, 0},
		{"bad base64 in y", []object{with(goodEC, object{"y": "+"})}, all, 0},
		{"half an Ed25519 key", []object{with(edKey("a"), object{"x": "AAAA"})}, all, 0},
		{"X25519", []object{with(edKey("a"), object{"crv": "X25519"})}, all, 0},
		{"no keys", nil, all, 0},
	} {
		keys, err := parseKeySet([]byte(keySet(test.keys...)), test.algorithms)
		if len(keys) != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%s: %d keys, %v, want %d", test.name, len(keys), err, test.want)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", `{"keys":{}}`, `{"keys":[],"keys":[]}`, "<html>", `{"keys":[1,null,"x"]}`} {
		if keys, err := parseKeySet([]byte(text), all); err == nil {
			t.Errorf("parseKeySet(%q) = %v, want an error", text, keys)
		}
	}
}

// The keys are fetched when a token first needs them, by its kid.
func TestRemoteKeys(t *testing.T) {
	k := keyring()
	p := publish(t, serve(rsaKey("r", &k.rsa.PublicKey), rsaKey("s", &k.rsaOther.PublicKey), ecKey("r", &k.ec.PublicKey), edKey("e")))
	a := byURL(t, p, new(atomic.Int64), nil)
	if p.fetches.Load() != 0 {
		t.Errorf("%d fetches before any token, want none", p.fetches.Load())
	}
	for _, test := range []struct {
		name, token string
		want        chat.Code
	}{
		{"RS256", signedRS(t, "r", k.rsa), ""},
		{"ES256 with the same kid", forge(t, object{"alg": "ES256", "kid": "r"}, good(), jwt.SigningMethodES256, k.ec), ""},
		{"EdDSA", forge(t, object{"alg": "EdDSA", "kid": "e"}, good(), jwt.SigningMethodEdDSA, k.ed), ""},
		{"EdDSA without kid, of which there is one", forge(t, object{"alg": "EdDSA"}, good(), jwt.SigningMethodEdDSA, k.ed), ""},
		{"RS256 without kid, of which there are two", forge(t, object{"alg": "RS256"}, good(), jwt.SigningMethodRS256, k.rsa), chat.Unauthenticated},
		{"the key of another kid", signedRS(t, "s", k.rsa), chat.Unauthenticated},
		{"unknown kid", signedRS(t, "x", k.rsa), chat.Unauthenticated},
		{"kid with a path", signedRS(t, "../r", k.rsa), chat.Unauthenticated},
		{"the set as a secret", forge(t, object{"alg": "HS256", "kid": "r"}, good(), jwt.SigningMethodHS256, []byte(keySet(rsaKey("r", &k.rsa.PublicKey)))), chat.Unauthenticated},
	} {
		if _, err := a.Verify(t.Context(), test.token); codeOf(err) != test.want {
			t.Errorf("%s: %v, want code %q", test.name, err, test.want)
		}
	}
	if p.fetches.Load() != 1 {
		t.Errorf("%d fetches, want 1", p.fetches.Load())
	}
}

// A new key is found at its first token, but no more than one fetch in 30 s
// is made for kids that nobody has.
func TestRotation(t *testing.T) {
	k := keyring()
	p := publish(t, serve(rsaKey("old", &k.rsa.PublicKey)))
	at := new(atomic.Int64)
	a := byURL(t, p, at, nil)
	old, next := signedRS(t, "old", k.rsa), signedRS(t, "new", k.rsaOther)
	step := func(name string, after time.Duration, token string, want chat.Code, fetches int32) {
		t.Helper()
		at.Store(int64(after))
		_, err := a.Verify(t.Context(), token)
		if codeOf(err) != want || p.fetches.Load() != fetches {
			t.Errorf("%s: %v after %d fetches, want code %q after %d", name, err, p.fetches.Load(), want, fetches)
		}
	}
	step("old key", 0, old, "", 1)
	step("new key, not there yet", time.Second, next, chat.Unauthenticated, 1)
	p.set(serve(rsaKey("new", &k.rsaOther.PublicKey)))
	for i := range 20 {
		step("new key, too soon", fetchInterval-time.Second, next, chat.Unauthenticated, 1)
		step("no key", fetchInterval-time.Second, signedRS(t, fmt.Sprint("x", i), k.rsa), chat.Unauthenticated, 1)
	}
	step("new key", fetchInterval, next, "", 2)
	step("old key, withdrawn", fetchInterval+time.Second, old, chat.Unauthenticated, 2)
}

// Keys are asked for again when they are ten minutes old; while that fails
// they stay in use, and no token with a known key waits.
func TestStaleKeys(t *testing.T) {
	k := keyring()
	p := publish(t, serve(rsaKey("r", &k.rsa.PublicKey)))
	at := new(atomic.Int64)
	var log capture.Buffer
	a := byURL(t, p, at, slog.New(slog.NewTextHandler(&log, nil)))
	token := signedRS(t, "r", k.rsa)
	keys := a.issuers[""].keys.(*remoteKeys)
	verify := func(name string, after time.Duration, fetches int32) {
		t.Helper()
		at.Store(int64(after))
		if _, err := a.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		keys.fetches.Wait()
		if p.fetches.Load() != fetches {
			t.Errorf("%s: %d fetches, want %d", name, p.fetches.Load(), fetches)
		}
	}
	verify("fresh", 0, 1)
	verify("nearly ten minutes old", freshFor-1, 1)
	p.set(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	verify("old, and the URL is down", freshFor, 2)
	verify("a little later", freshFor+fetchInterval-1, 2)
	verify("half a minute later", freshFor+fetchInterval, 3)
	if _, err := a.Verify(t.Context(), signedRS(t, "x", k.rsa)); codeOf(err) != chat.Internal || chat.AsError(err).RetryAfter == 0 {
		t.Errorf("an unknown kid while the URL is down: %v, want code %s, and when to come back", err, chat.Internal)
	}
	p.set(serve(rsaKey("other", &k.rsaOther.PublicKey)))
	verify("up again, asked beside", freshFor+2*fetchInterval, 4)
	if _, err := a.Verify(t.Context(), token); codeOf(err) != chat.Unauthenticated {
		t.Errorf("a key that was withdrawn: %v, want code %s", err, chat.Unauthenticated)
	}
	if got := strings.Count(log.String(), "an issuer's keys cannot be fetched"); got != 2 {
		t.Errorf("%d lines in the log for 2 failures:\n%s", got, log.String())
	}
}

// Whatever the URL answers, the server gets by: what cannot be checked is
// refused, with a code that says to come back.
func TestPublisherFails(t *testing.T) {
	k := keyring()
	set := keySet(rsaKey("r", &k.rsa.PublicKey))
	elsewhere := publish(t, serve(rsaKey("r", &k.rsa.PublicKey)))
	for name, answer := range map[string]http.HandlerFunc{
		"500":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, set) },
		"404":      http.NotFound,
		"204":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.TrimSuffix(set, "}"), `,"x":"`, strings.Repeat("a", maxKeysBytes), `"}`)
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		},
		"huge header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("a", 1<<17))
			fmt.Fprint(w, set)
		},
		"slow": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, set[:9])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			fmt.Fprint(w, set)
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "\x1f\x8b\x08")
		},
		"garbage":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys":      serve(),
		"only secrets": serve(object{"kty": "oct", "kid": "r", "k": encode([]byte(secret))}),
		"hang up":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			p := publish(t, answer)
			at := new(atomic.Int64)
			a := byURL(t, p, at, nil)
			a.issuers[""].keys.(*remoteKeys).timeout = 100 * time.Millisecond
			for _, token := range []string{signedRS(t, "r", k.rsa), signedRS(t, "", k.rsa), forge(t, object{"alg": "HS256", "kid": "r"}, good(), jwt.SigningMethodHS256, []byte(secret))} {
				id, err := a.Verify(t.Context(), token)
				if code := codeOf(err); code != chat.Internal && code != chat.Unauthenticated || id != (Identity{}) {
					t.Errorf("Verify = %+v, %v, want it refused", id, err)
				}
			}
			if _, err := a.Verify(t.Context(), signedRS(t, "r", k.rsa)); codeOf(err) != chat.Internal || p.fetches.Load() != 1 {
				t.Errorf("again at once: %v after %d fetches, want code %s after 1", err, p.fetches.Load(), chat.Internal)
			}
			p.set(serve(rsaKey("r", &k.rsa.PublicKey)))
			at.Store(int64(firstInterval))
			if _, err := a.Verify(t.Context(), signedRS(t, "r", k.rsa)); err != nil {
				t.Errorf("when the URL has come to itself: %v", err)
			}
		})
	}
	if elsewhere.fetches.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// transport answers without a network, so that time can be a bubble's.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Everybody who waits for a key waits for the same fetch, each as long as it
// likes, and none longer than 5 s.
func TestOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		k, err := newRemoteKeys("a", "https://a.example/keys", []string{RS256}, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		k.client.Transport = transport(func(r *http.Request) (*http.Response, error) {
			fetches++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, err := k.find(ctx, RS256, fmt.Sprint(i))
				want := min(time.Duration(i+1)*time.Second, fetchTimeout)
				if got := time.Since(start); got != want || codeOf(err) != chat.Internal || i < 4 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiter %d got %v after %v, want an error after %v", i, err, got, want)
				}
			})
		}
		all.Wait()
		if fetches != 1 {
			t.Errorf("%d fetches for 100 waiters, want 1", fetches)
		}
		k.close()
		if _, err := k.find(t.Context(), RS256, "x"); err == nil || fetches != 1 {
			t.Errorf("after close: %v, %d fetches", err, fetches)
		}
	})
}

// Close does not wait for a URL that does not answer.
func TestCloseEndsFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{Issuers: []Issuer{{JWKS: "https://a.example/keys"}}})
		if err != nil {
			t.Fatal(err)
		}
		k := a.issuers[""].keys.(*remoteKeys)
		k.client.Transport = transport(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		go k.find(t.Context(), RS256, "x")
		synctest.Wait()
		start := time.Now()
		if a.Close(); time.Since(start) != 0 {
			t.Errorf("Close took %v, want no time", time.Since(start))
		}
	})
}
