package peer

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tertulia/chat"
)

// Origins says of which web origins pages may ask, docs/protocol.md §2.4.
type Origins struct {
	// Any admits every page; otherwise those of the server's own origin and of
	// Listed, which are written as browsers write them.
	Any    bool
	Listed []string
}

// Check reports whether who may make the request r. The error is a *chat.Error
// with code chat.Forbidden.
//
// A request without an Origin comes from no browser if it brings no cookie
// either, or from the server's own page if the browser says so.
func (o Origins) Check(r *http.Request, who Peer) error {
	origins := r.Header["Origin"]
	switch {
	case o.Any:
		return nil
	case len(origins) == 1 && (slices.Contains(o.Listed, origins[0]) || who.isOrigin(origins[0])):
		return nil
	case len(origins) > 0:
		return chat.Errorf(chat.Forbidden, "Pages of this origin may not connect; the operator can allow it with the key origins.")
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site == "same-origin", site == "none": // none: the user has typed the address
		return nil
	case site == "" && len(r.Header["Cookie"]) == 0:
		return nil
	}
	return chat.Errorf(chat.Forbidden, "The browser does not say which page asks; the request needs an Origin header.")
}

// isOrigin reports whether origin is that of the server as who sees it: its
// scheme, host and port.
func (who Peer) isOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == who.Scheme && u.Host != "" && u.Path == "" && u.User == nil &&
		withoutPort(u.Host, u.Scheme) == withoutPort(who.Host, who.Scheme)
}

// withoutPort leaves out the port that a scheme has by itself.
func withoutPort(host, scheme string) string {
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}
