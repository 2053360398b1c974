package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const tokenSecret = "a secret of thirty-two bytes or more"

// tertuliaReads runs one command as tertulia does, with stdin.
func tertuliaReads(t *testing.T, stdin string, env []string, args ...string) (code exitCode, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, IO{In: strings.NewReader(stdin), Out: &out, Err: &errOut, Env: env, Name: "tertulia"})
	for _, text := range []string{out.String(), errOut.String()} {
		if strings.Contains(text, tokenSecret) {
			t.Errorf("tertulia %q shows the secret: %s", args, text)
		}
	}
	return code, out.String(), errOut.String()
}

// What token create makes, token inspect accepts, from the same settings.
func TestTokenRoundTrip(t *testing.T) {
	file := "[auth]\nmode = \"token\"\nhs256_secret = \"" + tokenSecret + "\"\nissuer = \"me\"\naudience = [\"chat\", \"x\"]\n"
	inFolder(t, map[string]string{"tertulia.toml": file, "secret": tokenSecret + "\n"})
	for _, from := range []struct {
		name string
		env  []string
		args []string
	}{
		{"the file", nil, nil},
		{"a variable", []string{"TERTULIA_AUTH_HS256_SECRET=" + tokenSecret}, nil},
		{"a secret file", []string{"TERTULIA_AUTH_HS256_SECRET=another secret of thirty-two bytes"}, []string{"--secret-file", "secret"}},
	} {
		code, token, stderr := tertuliaReads(t, "", from.env, append([]string{"token", "create", "--user", "1", "--name", "José P", "--ttl", "90m"}, from.args...)...)
		if code != exitOK || stderr != "" || strings.Count(token, "\n") != 1 {
			t.Fatalf("token create by %s = %d, %q, %q", from.name, code, token, stderr)
		}
		for name, run := range map[string][2]string{"stdin": {token, "-"}, "the command line": {"", strings.TrimSpace(token)}} {
			code, stdout, stderr := tertuliaReads(t, run[0], nil, "token", "inspect", run[1])
			for _, want := range []string{`header: {"alg":"HS256","typ":"JWT"}`, `"sub":"1"`, `"iss":"me"`, `"aud":["chat"]`, `accepted: user "1", display name "José P", until 2`} {
				if code != exitOK || stderr != "" || !strings.Contains(stdout, want) {
					t.Errorf("token inspect from %s = %d, %q, %q, want %s in it", name, code, stdout, stderr, want)
				}
			}
		}
	}
}

// Of several issuers the one with a secret signs, or the one that is named.
func TestTokenOfSeveralIssuers(t *testing.T) {
	file := "[auth]\nmode = \"token\"\nhs256_secret = \"" + tokenSecret + "\"\nissuer = \"me\"\n" +
		"[[auth.issuers]]\nissuer = \"you\"\nuser_prefix = \"you:\"\nhs256_secret = \"other " + tokenSecret + "\"\n"
	inFolder(t, map[string]string{"tertulia.toml": file, "secret": tokenSecret + "\n"})
	for _, test := range []struct {
		args   []string
		accept string
	}{
		{[]string{"--issuer", "me"}, `accepted: user "1",`},
		{[]string{"--issuer", "you"}, `accepted: user "you:1",`},
		{[]string{"--secret-file", "secret"}, `accepted: user "1",`},
	} {
		code, token, stderr := tertuliaReads(t, "", nil, append([]string{"token", "create", "--user", "1"}, test.args...)...)
		if code != exitOK {
			t.Errorf("token create %q = %d, %s", test.args, code, stderr)
		}
		if code, stdout, stderr := tertuliaReads(t, token, nil, "token", "inspect"); code != exitOK || !strings.Contains(stdout, test.accept) {
			t.Errorf("token inspect after create %q = %d, %q, %q, want %s", test.args, code, stdout, stderr, test.accept)
		}
	}
	code, _, stderr := tertuliaReads(t, "", nil, "token", "create", "--user", "1")
	if code != exitUsage || stderr != "tertulia: there are 2 issuers with a secret\nhint: give --issuer\n" {
		t.Errorf("token create without --issuer = %d, %q", code, stderr)
	}
}

func TestTokenCreateRefuses(t *testing.T) {
	inFolder(t, nil)
	env := []string{"TERTULIA_AUTH_HS256_SECRET=" + tokenSecret}
	for _, test := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"no secret", nil, []string{"--user", "1"}, "tertulia: there is no secret to sign with\nhint: give --secret-file"},
		{"no user", env, nil, "tertulia: missing flags: --user=ID\n"},
		{"an empty user", env, []string{"--user", ""}, "tertulia: the user id has 1 to 64 bytes"},
		{"a secret file that is missing", env, []string{"--user", "1", "--secret-file", "nowhere"}, "tertulia: TERTULIA_AUTH_HS256_SECRET_FILE: cannot read the value"},
		{"too long for the server", env, []string{"--user", "1", "--auth-max-lifetime", "1h", "--ttl", "61m"}, "tertulia: the server accepts tokens that are good for 1h0m0s at most, not for 1h1m0s\nhint: shorten --ttl"},
		{"too short a secret", []string{"TERTULIA_AUTH_HS256_SECRET=x"}, []string{"--user", "1"}, "tertulia: TERTULIA_AUTH_HS256_SECRET: auth.hs256_secret has 1 bytes; it needs 32"},
	} {
		code, stdout, stderr := tertuliaReads(t, "", test.env, append([]string{"token", "create"}, test.args...)...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, test.want) {
			t.Errorf("%s: %d with %q and\n%s\nwant %d with none and\n%s", test.name, code, stdout, stderr, exitUsage, test.want)
		}
	}
}

// A token that is refused is shown nevertheless, and the reason is told.
func TestTokenInspectRefuses(t *testing.T) {
	inFolder(t, nil)
	env := []string{"TERTULIA_AUTH_HS256_SECRET=" + tokenSecret}
	sign := func(claims jwt.MapClaims, key string) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	expired := sign(jwt.MapClaims{"sub": "1", "iat": 1000, "exp": 2000}, tokenSecret)
	for _, test := range []struct {
		name, token string
		env         []string
		code        exitCode
		stdout      string
		stderr      string
	}{
		{"expired", expired, env, exitRefused, "header: {\"alg\":\"HS256\",\"typ\":\"JWT\"}\nclaims: {\"exp\":2000,\"iat\":1000,\"sub\":\"1\"}\n", "tertulia: The token has expired; get a new one.\n"},
		{"signed by another", sign(jwt.MapClaims{"sub": "1"}, "x"), env, exitRefused, "header: {\"alg\":\"HS256\",\"typ\":\"JWT\"}\nclaims: {\"sub\":\"1\"}\n", "tertulia: The token is refused: its signature is wrong.\n"},
		{"nothing to check it with", expired, nil, exitRefused, "header: {\"alg\":\"HS256\",\"typ\":\"JWT\"}\nclaims: {\"exp\":2000,\"iat\":1000,\"sub\":\"1\"}\n", "tertulia: This server takes no tokens.\n"},
		{"no token at all", "abc.+.x", env, exitRefused, "header: (not JSON)\nclaims: (not base64url)\n", "tertulia: The token is refused: it is not written as a signed JWT.\n"},
		{"escape codes", "eyJhIjoiwpsybUp1YW4ifQ.e30.x", env, exitRefused, "header: {\"a\":\"\uFFFD2mJuan\"}\nclaims: {}\n", "tertulia: The token is refused: its signature is not base64url.\n"},
		{"nothing", " \n", env, exitUsage, "", "tertulia: there is no token\nhint: give it as an argument, or on stdin\n"},
		{"a key file that is missing", expired, []string{"TERTULIA_AUTH_PUBLIC_KEYS=nowhere.pem"}, exitUsage, "header: {\"alg\":\"HS256\",\"typ\":\"JWT\"}\nclaims: {\"exp\":2000,\"iat\":1000,\"sub\":\"1\"}\n",
			"tertulia: issuer \"\": public key nowhere.pem: no such file or directory\nhint: see the keys that begin with auth: tertulia config show\n"},
	} {
		code, stdout, stderr := tertuliaReads(t, test.token, test.env, "token", "inspect")
		if code != test.code || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("%s: %d with stdout\n%s\nstderr\n%s\nwant %d with\n%s\n%s", test.name, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}

// Tokens of others are inspected by their public keys.
func TestTokenInspectByPublicKey(t *testing.T) {
	inFolder(t, nil)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("issuer.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "ana", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := tertuliaReads(t, token, nil, "token", "inspect", "--auth-public-keys", "issuer.pem")
	if code != exitOK || !strings.Contains(stdout, `accepted: user "ana", display name "ana"`) {
		t.Errorf("token inspect = %d, %q, %q, want it accepted", code, stdout, stderr)
	}
}

// What shows the configuration does not show what is secret in it.
func TestConfigShowHidesSecrets(t *testing.T) {
	inFolder(t, map[string]string{"tertulia.toml": "auth.hs256_secret = \"" + tokenSecret + "\"\nauth.service_keys = [\"" + tokenSecret + "\"]\n"})
	for _, args := range [][]string{{"config", "show"}, {"config", "show", "--json"}, {"config", "check"}} {
		if code, stdout, stderr := tertuliaReads(t, "", nil, args...); code != exitOK || args[1] == "show" && strings.Count(stdout, "(hidden)") != 2 {
			t.Errorf("tertulia %q = %d, %q, %q, want two secrets hidden", args, code, stdout, stderr)
		}
	}
}

// Nobody is believed by the URL where tokens are asked for, and who brings a
// token is.
func TestServeByTokens(t *testing.T) {
	_, serving, _ := start(t, "--auth-mode", "token", "--auth-hs256-secret", tokenSecret)
	url := fmt.Sprintf("http://%s/api/v1/me?user_id=ana&username=Ana", serving["listen"])
	env := []string{"TERTULIA_AUTH_HS256_SECRET=" + tokenSecret}
	_, token, _ := tertuliaReads(t, "", env, "token", "create", "--user", "ana")
	for bearer, want := range map[string]int{"": http.StatusUnauthorized, strings.TrimSpace(token): http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET /me with the token %q = %d, want %d", bearer, resp.StatusCode, want)
		}
	}
}
