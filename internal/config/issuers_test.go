package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const severalIssuers = `[auth]
mode = "token"
issuer = "https://one.example"
hs256_secret = "` + secretSample + `"
service_keys = ["` + secretSample + `"]
[[auth.issuers]]
issuer = "https://two.example"
jwks_url = "https://two.example/keys"
algorithms = ["ES256"]
audience = ["chat"]
max_lifetime = "1h"
user_prefix = "two:"
[[auth.issuers]]
issuer = "https://three.example"
user_prefix = "three:"
public_keys = ["a.pem", "b.pem"]
[log]
level = "debug"
`

// Issuers are read from the file, from the environment, and from both: a
// variable counts before the file for each key by itself.
func TestIssuers(t *testing.T) {
	one := Issuer{Name: "https://one.example", HS256Secret: secretSample, MaxLifetime: 24 * time.Hour}
	two := Issuer{Name: "https://two.example", JWKSURL: "https://two.example/keys", Algorithms: []string{"ES256"}, Audience: []string{"chat"}, MaxLifetime: time.Hour, UserPrefix: "two:"}
	three := Issuer{Name: "https://three.example", PublicKeys: []string{"a.pem", "b.pem"}, MaxLifetime: 24 * time.Hour, UserPrefix: "three:"}
	other := two
	other.JWKSURL = "https://other.example/keys"
	four := Issuer{Name: "four", HS256Secret: "fourth " + secretSample, MaxLifetime: 24 * time.Hour, UserPrefix: "4:"}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("fourth "+secretSample+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, severalIssuers)
	fourth := []string{"TERTULIA_AUTH_ISSUERS_3_ISSUER=four", "TERTULIA_AUTH_ISSUERS_3_HS256_SECRET_FILE=" + secret, "TERTULIA_AUTH_ISSUERS_3_USER_PREFIX=4:"}
	alone := []string{"TERTULIA_AUTH_MODE=token", "TERTULIA_AUTH_ISSUERS_1_HS256_SECRET=" + secretSample}
	for _, test := range []struct {
		name string
		in   Input
		want []Issuer
	}{
		{"none", Input{}, nil},
		{"the file", Input{File: file}, []Issuer{one, two, three}},
		{"a key of the environment", Input{File: file, Env: []string{"TERTULIA_AUTH_ISSUERS_1_JWKS_URL=https://other.example/keys"}}, []Issuer{one, other, three}},
		{"an issuer of the environment beside the file", Input{File: file, Env: fourth}, []Issuer{one, two, three, four}},
		{"the environment alone", Input{Env: alone}, []Issuer{{HS256Secret: secretSample, MaxLifetime: 24 * time.Hour}}},
		{"the section [auth] alone", Input{Env: []string{"TERTULIA_AUTH_HS256_SECRET=" + secretSample}}, []Issuer{{HS256Secret: secretSample, MaxLifetime: 24 * time.Hour}}},
	} {
		l, err := load(test.in, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := l.Auth.AllIssuers(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %#v, want %#v", test.name, got, test.want)
		}
		if len(l.Unknown) > 0 {
			t.Errorf("%s: unknown are %v", test.name, l.Unknown)
		}
	}
}

// What config show shows of issuers.
func TestSettingsOfIssuers(t *testing.T) {
	path := writeFile(t, severalIssuers)
	l, err := load(Input{File: path, Env: []string{"TERTULIA_AUTH_ISSUERS_2_AUDIENCE=x,y"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Setting{
		{"auth.issuers.1.issuer", "https://two.example", Source{path, 7, 1}},
		{"auth.issuers.1.hs256_secret", "", Source{}},
		{"auth.issuers.2.audience", "x,y", Source{Name: "TERTULIA_AUTH_ISSUERS_2_AUDIENCE"}},
		{"auth.issuers.2.max_lifetime", "24h", Source{}},
		{"auth.hs256_secret", hidden, Source{path, 4, 1}},
		{"log.level", "debug", Source{path, 18, 1}},
	} {
		if !slices.Contains(l.Settings, want) {
			t.Errorf("the settings lack %+v", want)
		}
	}
	if slices.ContainsFunc(l.Settings, func(s Setting) bool { return strings.HasPrefix(s.Key, "auth.issuers.3.") }) {
		t.Error("the settings have a third section, of two")
	}
}

func TestWrongIssuers(t *testing.T) {
	const first = "[auth]\nissuer = \"one\"\nhs256_secret = \"" + secretSample + "\"\n"
	section := func(lines ...string) string { return "[[auth.issuers]]\n" + strings.Join(lines, "\n") + "\n" }
	const name, prefix, keys = `issuer = "two"`, `user_prefix = "2:"`, `jwks_url = "https://two.example/keys"`
	for _, test := range []struct{ name, file, want string }{
		{"no name", first + section(prefix, keys), "%s:5:1: auth.issuers.1.issuer is empty; of several issuers each needs the iss that its tokens have"},
		{"no name in [auth]", strings.Replace(first, `issuer = "one"`, "", 1) + section(name, prefix, keys), "default: auth.issuer is empty; "},
		{"no key", first + section(name, prefix), "%s:5:1: auth.issuers.1.issuer has no key to check tokens with: set one of hs256_secret, public_keys and jwks_url beside it"},
		{"two kinds of key", first + section(name, prefix, keys, `public_keys = ["a.pem"]`), "%s:7:1: auth.issuers.1.jwks_url is set beside auth.issuers.1.public_keys; "},
		{"the same name", first + section(`issuer = "one"`, prefix, keys), `%s:5:1: auth.issuers.1.issuer is "one", as auth.issuer; `},
		{"the same users", first + section(name, keys), `%s:5:1: auth.issuers.1.user_prefix is "", as auth.user_prefix, so that the users of both would have the same ids; `},
		{"the same users further on", first + section(name, prefix, keys) + section(`issuer = "three"`, prefix, keys), `%s:10:1: auth.issuers.2.user_prefix is "2:", as auth.issuers.1.user_prefix, `},
		{"a short secret", first + section(name, prefix, `hs256_secret = "x"`), "%s:7:1: auth.issuers.1.hs256_secret has 1 bytes; it needs 32"},
		{"an algorithm that does not fit", first + section(name, prefix, keys, `algorithms = ["HS256"]`), `%s:8:1: auth.issuers.1.algorithms has "HS256"; the keys that are set go with RS256`},
		{"keys in clear", first + section(name, prefix, `jwks_url = "http://two.example"`), "%s:7:1: auth.issuers.1.jwks_url must be an https URL"},
		{"a prefix that is too long", first + section(name, keys, `user_prefix = "`+strings.Repeat("x", 64)+`"`), "%s:7:1: auth.issuers.1.user_prefix is no beginning of a user id, which has at most 64 bytes"},
		{"settings of no issuer", "[auth]\naudience = [\"chat\"]\n" + section(name, prefix, keys), "%s:2:1: auth.audience is set without a key beside it, so that it would not be used; put it into the sections [[auth.issuers]]"},
		{"a lifetime out of range", first + section(name, prefix, keys, `max_lifetime = "25h"`), "%s:8:1: 25h is out of range"},
		{"single brackets", "[auth.issuers]\n" + name + "\n", "%s:1:2: there may be several of this section, so it stands in double brackets; write [[auth.issuers]]"},
		{"a list of words", "[auth]\nissuers = [\"two\"]\n", "%s:2:1: each issuer is a section; write [[auth.issuers]]"},
		{"too many", first + strings.Repeat(section(), maxIssuers+1), "%s:36:3: there are more than 16 of [[auth.issuers]]"},
	} {
		path := writeFile(t, test.file)
		_, err := load(Input{File: path}, nil)
		want := strings.Replace(test.want, "%s", path, 1)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", test.name, err, want)
		}
	}
}

func TestUnknownKeysOfIssuers(t *testing.T) {
	path := writeFile(t, "[auth]\n[[auth.issuers]]\nisuer = \"x\"\n")
	l, err := load(Input{File: path, Env: []string{"TERTULIA_AUTH_ISSUERS_17_ISSUER=x", "TERTULIA_AUTH_ISSUERS=x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := path + ":3:1: unknown key auth.issuers.1.isuer; did you mean auth.issuers.1.issuer?"
	if len(l.Unknown) != 3 || l.Unknown[0].String() != want {
		t.Errorf("unknown are %v, want three, the first %s", l.Unknown, want)
	}
}
