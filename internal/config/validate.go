package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tertulia/chat"
)

// validate finds what is wrong with values that are well written each for
// itself. sources says where each key that was given was given.
func (c *Config) validate(sources map[string]Source) []Problem {
	var found []Problem
	wrong := func(key, format string, args ...any) {
		found = append(found, Problem{placeOf(key, sources), key + " " + fmt.Sprintf(format, args...)})
	}
	if c.DataDir == "" {
		wrong("data_dir", "is empty; name a folder")
	}
	if text := listenProblem(c.Listen); text != "" {
		wrong("listen", "%s", text)
	} else if c.Auth.Mode == AuthOpen && !c.Auth.AllowOpenOnAnyAddress && !c.ListensOnLoopback() {
		wrong("listen", "is %s, which others can reach, and in open mode whoever reaches it can speak under any name; "+
			"listen on 127.0.0.1, or give --%s if that is what you want", c.Listen, allowOpen.Flag())
	}
	if c.WS.IdleTimeout <= c.WS.PingInterval {
		key := "ws.idle_timeout"
		if _, given := sources[key]; !given {
			key = "ws.ping_interval"
		}
		wrong(key, "does not fit: ws.idle_timeout is %s and must be longer than ws.ping_interval, which is %s",
			formatDuration(c.WS.IdleTimeout), formatDuration(c.WS.PingInterval))
	}
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		wrong("tls.cert", "is given without tls.key; give both")
	case c.TLS.Cert == "" && c.TLS.Key != "":
		wrong("tls.key", "is given without tls.cert; give both")
	}
	c.Database.validate(wrong)
	c.Redis.validate(c.Database.Shared(), wrong)
	c.Auth.validate(func(key string) bool { _, set := sources[key]; return set }, wrong)
	for _, origin := range c.Origins {
		if !isOrigin(origin) {
			wrong("origins", "has %q, which is not an origin; write scheme, host and port only, like https://chat.example.org", origin)
		}
	}
	if c.Metrics.Access == MetricsToken && len(c.Metrics.Token) < minTokenBytes {
		wrong("metrics.token", "has %d bytes, and metrics.access is token; give at least %d, such as the output of openssl rand -hex 16",
			len(c.Metrics.Token), minTokenBytes)
	}
	return found
}

// schemaName is a name that PostgreSQL takes without quotes, and does not keep
// for itself.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// validate calls wrong like that of [Auth].
func (d *Database) validate(wrong complaint) {
	if d.Shared() && !hasScheme(d.URL, "postgres://", "postgresql://") {
		wrong("database.url", "is not the URL of a PostgreSQL database; write it like postgres://user:password@host:5432/database, or leave it empty to keep messages in data_dir")
	}
	if !schemaName.MatchString(d.Schema) || strings.HasPrefix(d.Schema, "pg_") {
		wrong("database.schema", "is %q; write a name of up to 63 of a-z, 0-9 and _ that begins with none of 0-9 and pg_", d.Schema)
	}
}

// validate calls wrong like that of [Auth].
func (r *Redis) validate(shared bool, wrong complaint) {
	encrypted := 0
	for _, url := range r.URLs {
		switch {
		case hasScheme(url, "rediss://"):
			encrypted++
		case !hasScheme(url, "redis://"):
			wrong("redis.urls", "has one that is not the URL of a Redis server; write it like redis://user:password@host:6379, or rediss:// for TLS")
			return
		}
	}
	switch {
	case len(r.URLs) > 0 && !shared:
		wrong("redis.urls", "is set without database.url: Redis only tells nodes of one another's messages, and a database must hold them; set database.url, or leave redis.urls empty for a single node")
	case encrypted > 0 && encrypted < len(r.URLs):
		wrong("redis.urls", "has rediss:// beside redis://; the servers of one Redis all speak TLS, or none does")
	case r.CAFile != "" && encrypted == 0:
		wrong("redis.ca_file", "is set, and no URL in redis.urls begins with rediss://, so that it would not be used")
	case r.SentinelUser != "" && r.SentinelPassword == "":
		wrong("redis.sentinel_user", "is set without redis.sentinel_password; a password can do without a user, a user cannot do without a password")
	case r.SentinelPassword != "" && !r.bySentinels():
		wrong("redis.sentinel_password", "is set, and no URL in redis.urls has ?master_set=NAME, so that it would not be used; the password of Redis itself stands in its URL")
	}
	if r.Prefix == "" || strings.ContainsFunc(r.Prefix, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("{}*?[]\\", c) }) {
		wrong("redis.prefix", "is %q; write letters, digits and signs other than { } * ? [ ] and \\, at least one", r.Prefix)
	}
}

// bySentinels reports whether a URL names a Sentinel.
func (r *Redis) bySentinels() bool {
	return slices.ContainsFunc(r.URLs, func(url Secret) bool { return strings.Contains(string(url), "master_set=") })
}

// hasScheme reports whether a URL, which may be a secret, begins with one of
// these and goes on.
func hasScheme(url Secret, schemes ...string) bool {
	return slices.ContainsFunc(schemes, func(scheme string) bool {
		rest, found := strings.CutPrefix(string(url), scheme)
		return found && rest != ""
	})
}

// validate calls wrong for what does not fit together, with the key and a
// sentence that has no secret in it. given says which keys are set.
func (a *Auth) validate(given func(key string) bool, wrong complaint) {
	for _, key := range a.ServiceKeys {
		if n := len(key); n < minSecretBytes {
			wrong("auth.service_keys", "has one of %d characters; a key needs %d, for instance of `openssl rand -base64 32`", n, minSecretBytes)
		}
	}
	a.validateIssuers(given, wrong)
}

// complaint is told what is wrong with a key.
type complaint func(key, format string, args ...any)

// validate calls wrong like that of [Auth]; section is what the keys begin
// with.
func (i *Issuer) validate(section string, wrong complaint) {
	keys := i.givenKeys()
	if len(keys) > 1 {
		wrong(section+keys[1], "is set beside %s; tokens have one kind of key, because one that is public must never pass for a secret", section+keys[0])
	}
	if n := len(i.HS256Secret); n > 0 && n < minSecretBytes {
		wrong(section+"hs256_secret", "has %d bytes; it needs %d, for instance of `openssl rand -base64 32`", n, minSecretBytes)
	}
	if i.JWKSURL != "" && !isKeyURL(i.JWKSURL) {
		wrong(section+"jwks_url", "must be an https URL without user and password, or an http one on this machine")
	}
	if _, err := chat.ParseUser(i.UserPrefix+"1", "-"); err != nil {
		wrong(section+"user_prefix", "is no beginning of a user id, which has at most %d bytes and no control characters", chat.MaxUserIDBytes)
	}
	i.validateAlgorithms(section, keys, wrong)
}

// minSecretBytes is as many bits as the hash of HS256 has (RFC 7518 §3.2).
const minSecretBytes = 32

// givenKeys names the kinds of key for tokens that are set, without the section.
func (i *Issuer) givenKeys() []string {
	var keys []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"hs256_secret", i.HS256Secret != ""},
		{"public_keys", len(i.PublicKeys) > 0},
		{"jwks_url", i.JWKSURL != ""},
	} {
		if k.set {
			keys = append(keys, k.name)
		}
	}
	return keys
}

func (i *Issuer) validateAlgorithms(section string, keys []string, wrong complaint) {
	fit := []string{"HS256", "RS256", "ES256", "EdDSA"}
	switch {
	case i.HS256Secret != "":
		fit = fit[:1]
	case len(keys) > 0:
		fit = fit[1:]
	}
	for _, name := range i.Algorithms {
		if !slices.Contains(fit, name) {
			wrong(section+"algorithms", "has %q; the keys that are set go with %s", name, strings.Join(fit, ", "))
		}
	}
}

// isKeyURL reports whether keys may be fetched from a URL: nobody on the way
// can put others in their place.
func isKeyURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

var allowOpen, _ = find("auth.allow_open_on_any_address")

// listenProblem says what is wrong with a listen address, if anything.
func listenProblem(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Sprintf("is %q; write an address and a port, like 127.0.0.1:8000 or [::1]:8000", listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("has the port %q; a port is a number from 0 to 65535", port)
	}
	if strings.ContainsAny(host, "/ ") {
		return fmt.Sprintf("has the host %q; write an address or a name, without http://", host)
	}
	return ""
}

// isOrigin reports whether s is an origin as browsers write it in the Origin
// header (RFC 6454 §6.2): scheme, host and port, in lower case, nothing else.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		s == u.Scheme+"://"+u.Host && s == strings.ToLower(s)
}
