package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tertulia/chat"
)

// admit decides whether a handshake may be upgraded at all, and answers it if
// not. What a browser must be able to read is said after the upgrade instead:
// a page learns nothing of a failed handshake.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) bool {
	var status int
	var why string
	switch {
	case g.draining.Load():
		status, why = http.StatusServiceUnavailable, "The server is stopping; connect again in a moment."
	case g.cfg.MaxConnections > 0 && g.Connections() >= g.cfg.MaxConnections:
		status, why = http.StatusServiceUnavailable, "The server has all the connections it takes; try again later."
	default:
		if why = g.cfg.Auth.Refuse(r); why == "" {
			return true
		}
		status = http.StatusForbidden
	}
	g.log.Debug("refuse a handshake", "remote", r.RemoteAddr, "status", status, "reason", why)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, why, status)
	return false
}

// checkOrigin is docs/protocol.md §2.4: on loopback every page may connect,
// elsewhere those of the server's own origin and of the list. A client that
// is no browser sends no Origin.
func (g *Gateway) checkOrigin(r *http.Request) error {
	origins := r.Header["Origin"]
	if len(origins) == 0 || g.cfg.AnyOrigin {
		return nil
	}
	if len(origins) == 1 && (slices.Contains(g.cfg.Origins, origins[0]) || isOwnOrigin(origins[0], r)) {
		return nil
	}
	return chat.Errorf(chat.Forbidden, "Pages of this origin may not connect; the operator can allow it with the key origins.")
}

// isOwnOrigin compares scheme, host and port.
func isOwnOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return err == nil && u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}
