package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tertulia/chat"
)

// now is the time in these tests.
var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

const secret = "an HS256 secret of thirty-two bytes and more"

// keyring has one pair of keys of each kind. Making RSA keys is slow, so the
// tests share it.
var keyring = sync.OnceValue(func() *keys {
	k := &keys{}
	var err [4]error
	k.rsa, err[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsaOther, err[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.ec, err[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, err[3] = ed25519.GenerateKey(rand.Reader)
	if e := errors.Join(err[:]...); e != nil {
		panic(e)
	}
	return k
})

type keys struct {
	rsa, rsaOther *rsa.PrivateKey
	ec            *ecdsa.PrivateKey
	ed            ed25519.PrivateKey
}

type object = map[string]any

// good are claims that every issuer of these tests may make.
func good() object {
	return object{"iss": "https://id.example", "aud": "chat", "sub": "1", "name": "Juan", "jti": "t1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()}
}

// with returns base with some members changed; a nil value takes one away.
func with(base object, change object) object {
	all := maps.Clone(base)
	for name, value := range change {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// forge makes a token of any header and claims, which are objects or text,
// signed by any method with any key; without a method the signature is empty.
func forge(t testing.TB, header, claims any, method jwt.SigningMethod, key any) string {
	t.Helper()
	signed := segment(t, header) + "." + segment(t, claims)
	if method == nil {
		return signed + "."
	}
	signature, err := method.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

func segment(t testing.TB, v any) string {
	if text, ok := v.(string); ok {
		return encode([]byte(text))
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return encode(data)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// hs is a token as the application would make it, with a change.
func hs(t testing.TB, header, claims object) string {
	return forge(t, with(object{"alg": "HS256", "typ": "JWT"}, header), with(good(), claims), jwt.SigningMethodHS256, []byte(secret))
}

// rs is the same, signed with the key of the RSA issuer.
func rs(t testing.TB, header, claims object) string {
	return forge(t, with(object{"alg": "RS256", "typ": "JWT"}, header), with(good(), claims), jwt.SigningMethodRS256, keyring().rsa)
}

// pemFile writes public keys, or any other blocks, into a file.
func pemFile(t testing.TB, keys ...any) string {
	t.Helper()
	var data []byte
	for _, key := range keys {
		block, ok := key.(*pem.Block)
		if !ok {
			block = &pem.Block{Type: "PUBLIC KEY", Bytes: pkix(t, key)}
		}
		data = append(data, pem.EncodeToMemory(block)...)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pkix(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// authenticator makes one that stands in the time of these tests.
func authenticator(t testing.TB, cfg Config) *Authenticator {
	t.Helper()
	a, err := newAt(cfg, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// byHMAC and byRSA are the same issuer, with a secret or with a key file.
func byHMAC() Issuer {
	return Issuer{Name: "https://id.example", Audience: []string{"chat"}, Secret: []byte(secret)}
}

func byRSA(t testing.TB) Issuer {
	return Issuer{Name: "https://id.example", Audience: []string{"chat"}, KeyFiles: []string{pemFile(t, keyring().rsa.Public())}}
}

// codeOf returns the code of what a client is told, empty for nil.
func codeOf(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.AsError(err).Code
}
