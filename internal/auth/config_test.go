package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be used is said when the server starts, without its secrets.
func TestNewRefuses(t *testing.T) {
	k := keyring()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	long := filepath.Join(t.TempDir(), "long")
	for path, data := range map[string][]byte{text: []byte("no PEM"), long: make([]byte, maxKeysBytes+1)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block := func(typ string, der []byte) string { return pemFile(t, &pem.Block{Type: typ, Bytes: der}) }
	rsaFile := pemFile(t, k.rsa.Public())
	files := func(paths ...string) Config { return Config{Issuers: []Issuer{{Name: "a", KeyFiles: paths}}} }
	one := func(i Issuer) Config { return Config{Issuers: []Issuer{i}} }
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no key", one(Issuer{Name: "a"}), `issuer "a": needs a secret, or files of public keys, or a JWKS URL, and only one of these`},
		{"secret and files", one(Issuer{Secret: []byte(secret), KeyFiles: []string{rsaFile}}), "needs a secret"},
		{"secret and URL", one(Issuer{Secret: []byte(secret), JWKS: "https://a.example"}), "needs a secret"},
		{"files and URL", one(Issuer{KeyFiles: []string{rsaFile}, JWKS: "https://a.example"}), "needs a secret"},
		{"short secret", one(Issuer{Secret: []byte(secret[:31])}), "the secret has 31 bytes; it needs 32"},
		{"secret for RS256", one(Issuer{Secret: []byte(secret), Algorithms: []string{RS256}}), `the algorithm "RS256" does not fit its keys; these go with HS256`},
		{"files for HS256", one(Issuer{KeyFiles: []string{rsaFile}, Algorithms: []string{RS256, HS256}}), `the algorithm "HS256" does not fit its keys`},
		{"none", one(Issuer{KeyFiles: []string{rsaFile}, Algorithms: []string{"none"}}), `the algorithm "none" does not fit its keys`},
		{"twice", Config{Issuers: []Issuer{{Name: "a", Secret: []byte(secret)}, {Name: "a", KeyFiles: []string{rsaFile}}}}, `issuer "a": is there twice`},
		{"users twice", Config{Issuers: []Issuer{{Name: "a", UserPrefix: "x", Secret: []byte(secret)}, {Name: "b", UserPrefix: "x", Secret: []byte(secret)}}}, `the users of the issuers "a" and "b" would have the same ids`},
		{"nameless among others", Config{Issuers: []Issuer{{Secret: []byte(secret)}, {Name: "a", KeyFiles: []string{rsaFile}}}}, "of several issuers each needs a name"},
		{"short service key", Config{ServiceKeys: []string{serviceKey, secret[:31]}}, "service key 2 has 31 bytes; it needs 32"},
		{"no file", files("nowhere.pem"), "public key nowhere.pem: no such file or directory"},
		{"a folder", files(t.TempDir()), "is a directory"},
		{"no PEM", files(text), "is not written as PEM"},
		{"long", files(long), "is longer than 65536 bytes"},
		{"private key", files(block("PRIVATE KEY", []byte("x"))), "is a private key"},
		{"certificate", files(block("CERTIFICATE", []byte("x"))), "holds a certificate, not a PUBLIC KEY"},
		{"broken key", files(block("PUBLIC KEY", []byte("x"))), "asn1"},
		{"other curve", files(pemFile(t, p384.Public())), "is an elliptic key on another curve than P-256"},
		{"small RSA", files(pemFile(t, small.Public())), "is an RSA key of 1024 bits"},
		{"other kind", files(block("PUBLIC KEY", x25519Key)), "is neither an RSA, nor a P-256, nor an Ed25519 key"},
		{"key that is not pinned", one(Issuer{KeyFiles: []string{rsaFile}, Algorithms: []string{ES256}}), "is for RS256, which is not among the algorithms"},
		{"URL in clear", one(Issuer{JWKS: "http://a.example/keys"}), "the JWKS URL must be https"},
		{"URL that begins like this machine", one(Issuer{JWKS: "http://localhost.a.example/keys"}), "the JWKS URL must be https"},
		{"URL with a password", one(Issuer{JWKS: "https://a:b@a.example/keys"}), "the JWKS URL must be https"},
		{"URL of a file", one(Issuer{JWKS: "file:///etc/keys"}), "the JWKS URL must be https"},
		{"no URL", one(Issuer{JWKS: "https://%zz"}), "the JWKS URL must be https"},
	} {
		a, err := New(test.cfg)
		if err == nil {
			t.Errorf("%s: New = %+v, want an error with %q", test.name, a, test.want)
		} else if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret[:31]) {
			t.Errorf("%s: %q, want %q in it, and no secret", test.name, err, test.want)
		}
	}
}

// x25519Key is a public key for agreeing on keys, not for signing (RFC 8410
// §10.2 has its form).
var x25519Key = append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00}, make([]byte, 32)...)

func TestKeyFilesOfOldForm(t *testing.T) {
	k := keyring()
	file := pemFile(t, &pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)})
	a := authenticator(t, Config{Issuers: []Issuer{{KeyFiles: []string{file}}}})
	if _, err := a.Verify(t.Context(), rs(t, nil, nil)); err != nil {
		t.Errorf("Verify with an RSA PUBLIC KEY = %v", err)
	}
}
