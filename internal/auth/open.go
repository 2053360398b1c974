package auth

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"tertulia/chat"
)

// Open is the mode in which everybody is believed. Unless Anywhere is set it
// takes only requests that can come from nobody but this machine.
type Open struct {
	// Anywhere says that the operator lets others in as well.
	Anywhere bool
}

// Identify reads the user from a request's parameters. The error is a
// *chat.Error with code chat.MissingParameter or chat.InvalidParameter. The
// result does not refer to the request.
func (o Open) Identify(query url.Values) (chat.User, error) {
	u, err := chat.ParseUser(query.Get("user_id"), query.Get("username"))
	if err != nil {
		return chat.User{}, err
	}
	return chat.User{ID: chat.UserID(strings.Clone(string(u.ID))), Name: strings.Clone(u.Name)}, nil
}

// Refuse returns why a request may not be taken at all, empty if it may: it
// has come through a proxy, or for a name that is not this machine's.
func (o Open) Refuse(r *http.Request) string {
	switch {
	case o.Anywhere:
		return ""
	case forwarded(r):
		return "In open mode the server takes no requests through a proxy: anybody could claim any name."
	case !isLoopbackHost(r.Host):
		return "In open mode the server answers to localhost only, not to the name in the Host header."
	}
	return ""
}

// Guard answers 403 to what Refuse refuses.
func (o Open) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := o.Refuse(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var proxyHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

// forwarded reports whether a proxy has said that it passes the request on.
func forwarded(r *http.Request) bool {
	return slices.ContainsFunc(proxyHeaders, func(name string) bool { return len(r.Header[name]) > 0 })
}

// isLoopbackHost reports whether a Host header names this machine. Anything
// else may be a page that has had its own name resolve to 127.0.0.1.
func isLoopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
