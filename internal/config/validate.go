package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// validate finds what is wrong with values that are well written each for
// itself. sources says where each key that was given was given.
func (c *Config) validate(sources map[string]Source) []Problem {
	var found []Problem
	wrong := func(key, format string, args ...any) {
		found = append(found, Problem{sources[key], key + " " + fmt.Sprintf(format, args...)})
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
	for _, origin := range c.Origins {
		if !isOrigin(origin) {
			wrong("origins", "has %q, which is not an origin; write scheme, host and port only, like https://chat.example.org", origin)
		}
	}
	return found
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
