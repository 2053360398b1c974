package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"tertulia/chat"
)

// parseFlags gives the flags of all keys the arguments of a command line.
func parseFlags(t *testing.T, args ...string) *Flags {
	t.Helper()
	f := NewFlags()
	command := struct{ kong.Plugins }{kong.Plugins{f.Struct()}}
	parser, err := kong.New(&command, kong.Exit(func(int) { t.Fatal("the parser wants to exit") }))
	if err != nil {
		t.Fatalf("describe the flags: %v", err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
	return f
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tertulia.toml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// samples returns three values of a key that are valid beside the defaults,
// each different from the one before where the key has more than one value,
// the first one different from the default.
func samples(k Key) [3]string {
	switch k.Name {
	case "listen":
		return [3]string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	case "ws.idle_timeout": // must stay above ws.ping_interval
		return [3]string{"70s", "80s", "90s"}
	case "origins":
		return [3]string{"https://a.example", "https://b.example,http://c.example:81", "https://d.example"}
	case "trusted_proxies":
		return [3]string{"10.0.0.0/8", "192.0.2.1/32,2001:db8::/32", "127.0.0.1/32"}
	case "auth.mode":
		return [3]string{AuthOpen, AuthOpen, AuthOpen} // token needs a key beside it
	case "auth.hs256_secret":
		return [3]string{secretSample, "other " + secretSample, "third " + secretSample}
	case "auth.service_keys":
		return [3]string{secretSample, secretSample + ",other " + secretSample, "third " + secretSample}
	case "auth.jwks_url":
		return [3]string{"https://a.example/keys", "http://127.0.0.1:1/keys", "http://localhost/keys"}
	case "auth.algorithms":
		return [3]string{"HS256", "RS256,ES256", "EdDSA"}
	case "auth.max_lifetime":
		return [3]string{"2h", "3h", "4h"}
	case "database.url":
		return [3]string{databaseSample, "postgresql:///tertulia", databaseSample + "2"}
	case "database.writers":
		return [3]string{"1", "2", "3"}
	case "redis.urls":
		return [3]string{redisSample, redisSample + ",redis://b.example", "rediss://c.example"}
	}
	switch {
	case k.oneOf != nil:
		first, last := k.oneOf[0], k.oneOf[len(k.oneOf)-1]
		return [3]string{last, first, last}
	case k.isBool():
		not := strconv.FormatBool(k.Default == "false")
		return [3]string{not, k.Default, not}
	case k.isNumber():
		return [3]string{"11", "12", "13"}
	case k.typ == reflectRate:
		return [3]string{"11/s", "12/m burst 3", "0"}
	case k.typ == reflectDuration:
		return [3]string{"11s", "12s", "13s"}
	}
	return [3]string{"one", "two", "three"}
}

// beside is what must be set beside a key, if anything: the environment, and
// the keys that it sets.
func beside(k Key) (env, others []string) {
	switch k.Name {
	case "redis.urls":
		return []string{"TERTULIA_DATABASE_URL=" + databaseSample}, []string{"database.url"}
	case "redis.ca_file":
		return []string{"TERTULIA_DATABASE_URL=" + databaseSample, "TERTULIA_REDIS_URLS=rediss://c.example"}, []string{"database.url", "redis.urls"}
	case "redis.sentinel_user":
		return []string{"TERTULIA_DATABASE_URL=" + databaseSample, "TERTULIA_REDIS_URLS=" + sentinelSample, "TERTULIA_REDIS_SENTINEL_PASSWORD=" + passwordSample},
			[]string{"database.url", "redis.urls", "redis.sentinel_password"}
	case "redis.sentinel_password":
		return []string{"TERTULIA_DATABASE_URL=" + databaseSample, "TERTULIA_REDIS_URLS=" + sentinelSample}, []string{"database.url", "redis.urls"}
	case "tls.cert":
		return []string{"TERTULIA_TLS_KEY=key.pem"}, []string{"tls.key"}
	case "tls.key":
		return []string{"TERTULIA_TLS_CERT=cert.pem"}, []string{"tls.cert"}
	}
	return nil, nil
}

const (
	secretSample   = "a secret of thirty-two bytes or more"
	databaseSample = "postgres://tertulia:" + passwordSample + "@db.example/tertulia"
	redisSample    = "redis://:" + passwordSample + "@a.example"
	sentinelSample = redisSample + "?master_set=tertulia"
	passwordSample = "swordfish"
)

// shown is how a value appears among the settings.
func shown(k Key, value string) string {
	if k.typ == reflect.TypeFor[Secret]() {
		return Secret(value).String()
	}
	if k.typ == reflect.TypeFor[[]Secret]() {
		return strings.Join(slices.Repeat([]string{hidden}, len(k.split(value))), ",")
	}
	return value
}

func TestPrecedence(t *testing.T) {
	for _, k := range Keys() {
		t.Run(k.Name, func(t *testing.T) {
			values := samples(k)
			section, word := k.section()
			if section != "" {
				section = "[" + section + "]\n"
			}
			path := writeFile(t, section+word+" = "+k.literal(k.split(values[0]))+"\n")
			line := 1 + strings.Count(section, "\n")
			env := k.Env() + "=" + values[1]
			flag := "--" + k.Flag() + "=" + values[2]
			partner, others := beside(k)

			steps := []struct {
				name   string
				in     Input
				value  string
				source Source
			}{
				{"default", Input{}, k.text(new(Default())), Source{}},
				{"file over default", Input{File: path}, values[0], Source{path, line, 1}},
				{"environment over file", Input{File: path, Env: []string{env}}, values[1], Source{Name: k.Env()}},
				{"flag over environment", Input{File: path, Env: []string{env}, Flags: parseFlags(t, flag)}, values[2], Source{Name: "--" + k.Flag()}},
				{"flag over default", Input{Flags: parseFlags(t, flag)}, values[2], Source{Name: "--" + k.Flag()}},
			}
			for _, step := range steps {
				if step.name != "default" {
					step.in.Env = append(step.in.Env, partner...)
				}
				l, err := load(step.in, nil)
				if err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				i := slices.IndexFunc(l.Settings, func(s Setting) bool { return s.Key == k.Name })
				if got, want := l.Settings[i], (Setting{k.Name, shown(k, step.value), step.source}); got != want {
					t.Errorf("%s: %+v, want %+v", step.name, got, want)
				}
				for _, s := range l.Settings {
					if s.Key != k.Name && !slices.Contains(others, s.Key) && s.Source != (Source{}) {
						t.Errorf("%s: %s was set by %s as well", step.name, s.Key, s.Source)
					}
				}
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	l, err := load(Input{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := l.Config
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"listen", c.Listen, "127.0.0.1:8000"},
		{"data_dir", c.DataDir, "./tertulia_data"},
		{"auth.mode", c.Auth.Mode, AuthOpen},
		{"rooms.initial", len(c.Rooms.Initial) == 1 && c.Rooms.Initial[0] == "1", true},
		{"rooms.auto_create", c.Rooms.AutoCreate, true},
		{"history.on_connect", c.History.OnConnect, 50},
		{"history.keep_age", c.History.KeepAge, time.Duration(0)},
		{"history.keep_events", c.History.KeepEvents, 0},
		{"ws.ping_interval", c.WS.PingInterval, 25 * time.Second},
		{"ws.idle_timeout", c.WS.IdleTimeout, time.Minute},
		{"ws.write_timeout", c.WS.WriteTimeout, 10 * time.Second},
		{"presence.grace", c.Presence.Grace, 10 * time.Second},
		{"shutdown.drain", c.Shutdown.Drain, 20 * time.Second},
	} {
		if test.got != test.want {
			t.Errorf("%s = %v, want %v", test.what, test.got, test.want)
		}
	}
}

func TestSearch(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nothing.toml")
	first := writeFile(t, "listen = \"127.0.0.1:1\"\n")
	second := writeFile(t, "listen = \"127.0.0.1:2\"\ndata_dir = \"elsewhere\"\n")
	for _, test := range []struct {
		name   string
		file   string
		search []string
		used   string
		listen string
	}{
		{"no file", "", []string{missing}, "", "127.0.0.1:8000"},
		{"the first that exists, and only it", "", []string{missing, first, second}, first, "127.0.0.1:1"},
		{"a named file alone", second, []string{first}, second, "127.0.0.1:2"},
	} {
		l, err := load(Input{File: test.file}, test.search)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if l.File != test.used || l.Listen != test.listen {
			t.Errorf("%s: read %q with listen %s, want %q with %s", test.name, l.File, l.Listen, test.used, test.listen)
		}
	}
	if _, err := load(Input{File: missing}, nil); err == nil || !strings.HasPrefix(err.Error(), missing+": cannot be read: no such file") {
		t.Errorf("a named file that does not exist: %v, want an error that names it", err)
	}
}

func TestWrongFile(t *testing.T) {
	for _, test := range []struct {
		name, file, want string
	}{
		{"not TOML", "listen = \n", "%s:1:10: "},
		{"key twice", "listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n", "%s:2:1: "},
		{"number for a duration", "[ws]\nping_interval = 25\n", `%s:2:1: ws.ping_interval is written differently, for instance "25s"`},
		{"string for a number", "[history]\non_connect = \"50\"\n", `%s:2:1: history.on_connect is written differently, for instance 50`},
		{"string for a list", "origins = \"https://a.example\"\n", `%s:1:1: origins is written differently, for instance ["…"]`},
		{"number in a list", "[rooms]\ninitial = [1]\n", `%s:2:1: rooms.initial is written differently, for instance ["1"]`},
		{"string for a truth value", "[rooms]\n  auto_create = \"yes\"\n", `%s:2:3: rooms.auto_create is written differently, for instance true`},
		{"list of sections", "[[ws]]\nping_interval = \"20s\"\n", "%s:1:3: a section stands in single brackets; write [ws]"},
		{"no unit", "[ws]\nping_interval = \"25\"\n", `%s:2:1: "25" is not a duration; write it with its unit, like 30s, 1m30s or 500ms`},
		{"out of range", "[history]\non_connect = 201\n", "%s:2:1: 201 is out of range; allowed is 0 to 200"},
		{"below zero", "[limits]\nconnections = -1\n", "%s:2:1: -1 is out of range; allowed is 0 to 10000000"},
		{"too short", "[ws]\nping_interval = \"1ms\"\n", "%s:2:1: 1ms is out of range; allowed is 1s to 10m"},
		{"unknown word", "[log]\nlevel = \"loud\"\n", `%s:2:1: "loud" is not one of debug, info, warn, error`},
		{"bad room", "[rooms]\ninitial = [\"1\", \"a b\"]\n", `%s:2:1: "a b" is not a room id: The room id may hold letters, digits and _ . : - # only`},
		{"ping after idle", "[ws]\nping_interval = \"60s\"\n", "%s:2:1: ws.ping_interval does not fit: ws.idle_timeout is 60s and must be longer than ws.ping_interval, which is 60s"},
		{"no token", "[metrics]\naccess = \"token\"\ntoken = \"short\"\n", "%s:3:1: metrics.token has 5 bytes, and metrics.access is token; give at least 16, such as the output of openssl rand -hex 16"},
		{"no port", "listen = \"127.0.0.1\"\n", `%s:1:1: listen is "127.0.0.1"; write an address and a port, like 127.0.0.1:8000 or [::1]:8000`},
		{"port too high", "listen = \"127.0.0.1:65536\"\n", `%s:1:1: listen has the port "65536"; a port is a number from 0 to 65535`},
		{"certificate without key", "tls.cert = \"cert.pem\"\n", "%s:1:1: tls.cert is given without tls.key; give both"},
		{"key without certificate", "tls.key = \"key.pem\"\n", "%s:1:1: tls.key is given without tls.cert; give both"},
		{"no folder", "data_dir = \"\"\n", "%s:1:1: data_dir is empty; name a folder"},
		{"origin with a path", "origins = [\"https://a.example/chat\"]\n", `%s:1:1: origins has "https://a.example/chat", which is not an origin; write scheme, host and port only, like https://chat.example.org`},
		{"proxy by name", "trusted_proxies = [\"proxy.example\"]\n", `%s:1:1: "proxy.example" is neither an address nor a network; write it like 10.0.0.7 or 10.0.0.0/8`},
		{"proxy with bits too many", "trusted_proxies = [\"10.0.0.7/8\"]\n", `%s:1:1: "10.0.0.7/8" has bits behind its length; write 10.0.0.0/8`},
		{"proxy in the form of IPv6", "trusted_proxies = [\"::ffff:10.0.0.7\"]\n", `%s:1:1: "::ffff:10.0.0.7" is an IPv4 address in the form of IPv6; write it in the form of IPv4`},
		{"no rate", "[limits]\nposts = \"10\"\n", `%s:2:1: "10" is not a rate; write how many in a second, minute or hour, and how many at once, like 10/s burst 30 or 20/h, or 0 for no limit`},
		{"rate as a number", "[limits]\nposts = 10\n", `%s:2:1: limits.posts is written differently, for instance "10/s burst 30"`},
		{"any origin", "origins = [\"*\"]\n", `%s:1:1: origins has "*", which is not an origin; write scheme, host and port only, like https://chat.example.org`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := writeFile(t, test.file)
			_, err := load(Input{File: path}, nil)
			want := strings.Replace(test.want, "%s", path, 1)
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("load = %v, want %s", err, want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	path := writeFile(t, "lisen = \"127.0.0.1:1\"\n[history]\non_connect = 999\n")
	_, err := load(Input{File: path, Env: []string{"TERTULIA_LOG_LEVEL=loud"}, Flags: parseFlags(t, "--ws-ping-interval=soon")}, nil)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("load = %v, want an *Error", err)
	}
	var got []string
	for _, p := range e.Problems {
		got = append(got, p.Source.String())
	}
	want := []string{path + ":3:1", "TERTULIA_LOG_LEVEL", "--ws-ping-interval", path + ":1:1"}
	if !slices.Equal(got, want) {
		t.Errorf("problems at %q, want %q", got, want)
	}
}

func TestUnknown(t *testing.T) {
	path := writeFile(t, strings.Join([]string{
		`lisen = "127.0.0.1:9"`,
		`quite_something_else = 1`,
		`log = { levle = "debug", format = "json" }`,
		`"ws.ping_interval" = "5s"`,
		`[ws]`,
		`  ping_intervall = "20s"`,
		`[wss]`,
		`write_timeout = "5s"`,
		``,
	}, "\n"))
	env := []string{
		"TERTULIA_LISEN=127.0.0.1:9", "TERTULIA_SERVER=ws://127.0.0.1:8000", "TERTULIA_USERNAM=Juan", "TERTULIA_DATA_DIR=",
		"TERTULIA_SERVICE_HOST=10.0.0.1", "TERTULIA_PORT=tcp://10.0.0.1:80", "TERTULIA_PORT_80_TCP=tcp://10.0.0.1:80", "OTHER=1",
	}
	l, err := load(Input{File: path, Env: env, OtherEnv: []string{"TERTULIA_SERVER", "TERTULIA_USERNAME"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range l.Unknown {
		got = append(got, strings.TrimPrefix(p.String(), path+":"))
	}
	want := []string{
		"1:1: unknown key lisen; did you mean listen?",
		"2:1: unknown key quite_something_else",
		"3:9: unknown key log.levle; did you mean log.level?",
		`4:1: unknown key "ws.ping_interval"; did you mean ws.ping_interval?`,
		"6:3: unknown key ws.ping_intervall; did you mean ws.ping_interval?",
		"8:1: unknown key wss.write_timeout; did you mean ws.write_timeout?",
		"TERTULIA_LISEN: unknown variable TERTULIA_LISEN; did you mean TERTULIA_LISTEN?",
		"TERTULIA_USERNAM: unknown variable TERTULIA_USERNAM; did you mean TERTULIA_USERNAME?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("unknown:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if l.Log.Format != LogJSON {
		t.Errorf("log.format beside an unknown key = %q, want json", l.Log.Format)
	}
}

// Open mode on an address that others reach is refused unless a flag whose
// name says so is given.
func TestOpenModeStaysOnLoopback(t *testing.T) {
	for _, test := range []struct {
		listen   string
		loopback bool
	}{
		{"127.0.0.1:8000", true},
		{"127.8.8.8:0", true},
		{"[::1]:8000", true},
		{"[::ffff:127.0.0.1]:8000", true},
		{"localhost:8000", true},
		{":8000", false},
		{"0.0.0.0:8000", false},
		{"[::]:8000", false},
		{"192.0.2.1:8000", false},
		{"chat.example.org:8000", false},
		{"127.0.0.1.example.org:8000", false},
	} {
		l, err := load(Input{Flags: parseFlags(t, "--listen", test.listen)}, nil)
		if (err == nil) != test.loopback {
			t.Errorf("open mode on %s: %v, want it accepted: %v", test.listen, err, test.loopback)
		}
		if err == nil && !l.Local() {
			t.Errorf("open mode on %s is open to others, want it local", test.listen)
		}
		if err != nil && !strings.Contains(err.Error(), "--auth-allow-open-on-any-address") {
			t.Errorf("open mode on %s: %v, want the flag named", test.listen, err)
		}
		l, err = load(Input{Flags: parseFlags(t, "--listen", test.listen, "--auth-allow-open-on-any-address")}, nil)
		if err != nil {
			t.Errorf("open mode on %s with the flag: %v", test.listen, err)
		} else if l.ListensOnLoopback() != test.loopback {
			t.Errorf("ListensOnLoopback of %s = %v, want %v", test.listen, !test.loopback, test.loopback)
		} else if l.Local() {
			t.Errorf("open mode on %s with the flag is local, want it open to others", test.listen)
		}
	}
}

// Each sentence about tokens and keys, and none with a secret in it.
func TestTokenSettings(t *testing.T) {
	const short = "too short a secret"
	for _, test := range []struct {
		name string
		args []string
		want string // of the sentence; empty if it is accepted
	}{
		{"a secret", []string{"--auth-mode=token", "--auth-hs256-secret=" + secretSample}, ""},
		{"a secret, for others to reach", []string{"--auth-mode=token", "--auth-hs256-secret=" + secretSample, "--listen=0.0.0.0:8000"}, ""},
		{"key files", []string{"--auth-mode=token", "--auth-public-keys=a.pem,b.pem"}, ""},
		{"key URL", []string{"--auth-mode=token", "--auth-jwks-url=https://a.example/keys", "--auth-algorithms=ES256,EdDSA"}, ""},
		{"tokens beside open mode", []string{"--auth-hs256-secret=" + secretSample}, ""},
		{"no key", []string{"--auth-mode=token"}, "--auth-mode: auth.mode is token, which needs a key to check tokens with: set one of auth.hs256_secret, auth.public_keys and auth.jwks_url"},
		{"two kinds", []string{"--auth-hs256-secret=" + secretSample, "--auth-public-keys=a.pem"}, "--auth-public-keys: auth.public_keys is set beside auth.hs256_secret; "},
		{"short secret", []string{"--auth-hs256-secret=" + short}, "--auth-hs256-secret: auth.hs256_secret has 18 bytes; it needs 32"},
		{"short service key", []string{"--auth-service-keys=" + secretSample + "," + short}, "--auth-service-keys: auth.service_keys has one of 18 characters; a key needs 32"},
		{"keys in clear", []string{"--auth-jwks-url=http://a.example/keys"}, "--auth-jwks-url: auth.jwks_url must be an https URL"},
		{"keys with a password", []string{"--auth-jwks-url=https://u:" + short + "@a.example/keys"}, "--auth-jwks-url: auth.jwks_url must be an https URL"},
		{"keys of nobody", []string{"--auth-jwks-url=https:///keys"}, "--auth-jwks-url: auth.jwks_url must be an https URL"},
		{"keys from no URL", []string{"--auth-jwks-url=https://a b"}, "--auth-jwks-url: auth.jwks_url must be an https URL"},
		{"no signature", []string{"--auth-algorithms=none"}, `--auth-algorithms: auth.algorithms has "none"; the keys that are set go with HS256, RS256, ES256, EdDSA`},
		{"public for a secret", []string{"--auth-hs256-secret=" + secretSample, "--auth-algorithms=RS256"}, `--auth-algorithms: auth.algorithms has "RS256"; the keys that are set go with HS256`},
		{"secret for a public one", []string{"--auth-public-keys=a.pem", "--auth-algorithms=HS256"}, `--auth-algorithms: auth.algorithms has "HS256"; the keys that are set go with RS256, ES256, EdDSA`},
		{"too long", []string{"--auth-max-lifetime=25h"}, "--auth-max-lifetime: 25h is out of range; allowed is 60s to 24h"},
	} {
		_, err := load(Input{Flags: parseFlags(t, test.args...)}, nil)
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), secretSample) || strings.Contains(err.Error(), short)) {
			t.Errorf("%s: the error has a secret in it: %v", test.name, err)
		}
	}
}

// Each sentence about the database and Redis, and none with a password in it.
func TestDatabaseSettings(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string // of the sentence; empty if it is accepted
	}{
		{"a database", []string{"--database-url=" + databaseSample}, ""},
		{"of several hosts", []string{"--database-url=postgres://u:" + passwordSample + "@a:5432,b:5432/tertulia"}, ""},
		{"with Redis", []string{"--database-url=" + databaseSample, "--redis-urls=" + redisSample}, ""},
		{"with a Redis Cluster by TLS", []string{"--database-url=" + databaseSample, "--redis-urls=rediss://a,rediss://b", "--redis-ca-file=ca.pem"}, ""},
		{"of another kind", []string{"--database-url=mysql://u:" + passwordSample + "@a/b"}, "--database-url: database.url is not the URL of a PostgreSQL database; write it like postgres://user:password@host:5432/database"},
		{"in words", []string{"--database-url=host=a password=" + passwordSample}, "--database-url: database.url is not the URL"},
		{"a scheme alone", []string{"--database-url=postgres://"}, "--database-url: database.url is not the URL"},
		{"schema of PostgreSQL itself", []string{"--database-schema=pg_chat"}, `--database-schema: database.schema is "pg_chat"; write a name`},
		{"schema with a quote", []string{`--database-schema=a"b`}, `--database-schema: database.schema is "a\"b"; write a name`},
		{"no schema", []string{"--database-schema="}, `--database-schema: database.schema is ""; write a name`},
		{"too many writers", []string{"--database-writers=17"}, "--database-writers: 17 is out of range; allowed is 1 to 16"},
		{"Redis without a database", []string{"--redis-urls=" + redisSample}, "--redis-urls: redis.urls is set without database.url: "},
		{"Redis of another kind", []string{"--database-url=" + databaseSample, "--redis-urls=http://u:" + passwordSample + "@a"}, "--redis-urls: redis.urls has one that is not the URL of a Redis server"},
		{"Redis with and without TLS", []string{"--database-url=" + databaseSample, "--redis-urls=rediss://a," + redisSample}, "--redis-urls: redis.urls has rediss:// beside redis://"},
		{"authority without TLS", []string{"--database-url=" + databaseSample, "--redis-urls=" + redisSample, "--redis-ca-file=ca.pem"}, "--redis-ca-file: redis.ca_file is set, and no URL"},
		{"Sentinels' password without Sentinels", []string{"--database-url=" + databaseSample, "--redis-urls=" + redisSample, "--redis-sentinel-password=" + passwordSample},
			"--redis-sentinel-password: redis.sentinel_password is set, and no URL"},
		{"Sentinels' user without a password", []string{"--database-url=" + databaseSample, "--redis-urls=" + sentinelSample, "--redis-sentinel-user=tertulia"},
			"--redis-sentinel-user: redis.sentinel_user is set without redis.sentinel_password"},
		{"prefix with a hash tag", []string{"--redis-prefix={chat}"}, `--redis-prefix: redis.prefix is "{chat}"; write letters`},
		{"no prefix", []string{"--redis-prefix="}, `--redis-prefix: redis.prefix is ""; write letters`},
	} {
		_, err := load(Input{Flags: parseFlags(t, test.args...)}, nil)
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), passwordSample) {
			t.Errorf("%s: the error has the password in it: %v", test.name, err)
		}
	}
}

// What every orchestrator can give: variables, and files that they name.
func TestDatabaseFromTheEnvironment(t *testing.T) {
	database, redis := writeFile(t, databaseSample+"\n"), writeFile(t, redisSample+",redis://b.example\n")
	for _, env := range [][]string{
		{"TERTULIA_DATABASE_URL=" + databaseSample, "TERTULIA_REDIS_URLS=" + redisSample + ", redis://b.example"},
		{"TERTULIA_DATABASE_URL_FILE=" + database, "TERTULIA_REDIS_URLS_FILE=" + redis},
	} {
		l, err := load(Input{Env: env}, nil)
		if err != nil {
			t.Errorf("%q: %v", env, err)
		} else if string(l.Database.URL) != databaseSample || !slices.Equal(l.Redis.URLs, []Secret{redisSample, "redis://b.example"}) {
			t.Errorf("%q: database %q, Redis %q", env, string(l.Database.URL), l.Redis.URLs)
		}
	}
}

// However a configuration is printed, its secrets are not.
func TestSecretsAreHidden(t *testing.T) {
	l, err := load(Input{Env: []string{"TERTULIA_AUTH_HS256_SECRET=" + secretSample, "TERTULIA_AUTH_SERVICE_KEYS=" + secretSample, "TERTULIA_AUTH_ISSUER=a",
		"TERTULIA_AUTH_ISSUERS_1_HS256_SECRET=" + secretSample, "TERTULIA_AUTH_ISSUERS_1_ISSUER=b", "TERTULIA_AUTH_ISSUERS_1_USER_PREFIX=b:",
		"TERTULIA_DATABASE_URL=" + databaseSample, "TERTULIA_REDIS_URLS=" + redisSample}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", l.Auth.HS256Secret, "auth", l.Auth, "database", l.Database, "redis", l.Redis)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", l.Auth.HS256Secret, "auth", l.Auth, "database", l.Database, "redis", l.Redis)
	for _, text := range []string{log.String(), fmt.Sprint(l.Config), fmt.Sprintf("%+v", l.Config), fmt.Sprintf("%#v", l.Auth), fmt.Sprintf("%#v %#v", l.Database, l.Redis), fmt.Sprint(l.Settings)} {
		if strings.Contains(text, secretSample) || strings.Contains(text, passwordSample) || !strings.Contains(text, hidden) {
			t.Errorf("%s shows a secret, want %s in its place", text, hidden)
		}
	}
	if got := string(l.Auth.HS256Secret); got != secretSample {
		t.Errorf("the secret is %q, want %q", got, secretSample)
	}
}

func TestLists(t *testing.T) {
	for _, test := range []struct {
		name string
		in   Input
		want []chat.RoomID
	}{
		{"spaces around commas", Input{Env: []string{"TERTULIA_ROOMS_INITIAL= 1, general ,"}}, []chat.RoomID{"1", "general"}},
		{"emptied by a flag", Input{Flags: parseFlags(t, "--rooms-initial=")}, nil},
		{"emptied by the file", Input{File: writeFile(t, "rooms.initial = []\n")}, nil},
		{"an empty variable is none", Input{Env: []string{"TERTULIA_ROOMS_INITIAL="}}, []chat.RoomID{"1"}},
	} {
		l, err := load(test.in, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if !slices.Equal(l.Rooms.Initial, test.want) {
			t.Errorf("%s: rooms.initial = %q, want %q", test.name, l.Rooms.Initial, test.want)
		}
	}
}

// A file may come from anyone's editor: whatever is in it, the answer is a
// configuration or an error.
func FuzzFile(f *testing.F) {
	f.Add(File())
	f.Add("ws = { ping_interval = \"3s\", x = { y = [1, {z = 2}] } }\n")
	f.Add("[[ws]]\n\"a.b\".c = '''\n'''\n")
	f.Add("\xef\xbb\xbforigins = []\n")
	f.Fuzz(func(t *testing.T, content string) {
		r := fileReader{name: "fuzz.toml"}
		r.read([]byte(content))
		lines := 1 + strings.Count(content, "\n")
		for _, p := range slices.Concat(r.wrong, r.strange) {
			if p.Source.Line < 1 || p.Source.Line > lines || p.Source.Column < 1 {
				t.Errorf("%v is not a place in a file of %d lines", p, lines)
			}
		}
		c := Default()
		for _, a := range r.found {
			_ = a.key.set(&c, a.items)
		}
		c.validate(nil)
	})
}
