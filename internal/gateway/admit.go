package gateway

import (
	"net/http"
	"strconv"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/peer"
)

// admit decides whether a handshake may be upgraded at all, and answers it if
// not. What a browser must be able to read is said after the upgrade instead:
// a page learns nothing of a failed handshake.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, who peer.Peer) bool {
	status, why, wait := g.refuse(r, limit.Use{Class: limit.Handshake, Address: who.Addr})
	if status == 0 {
		return true
	}
	g.log.Debug("refuse a handshake", "remote", who.Remote, "status", status, "reason", why)
	if wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
	}
	http.Error(w, why, status)
	return false
}

// refuse returns the status, the sentence and the time to wait with which a
// request for a connection is answered; status 0 is none.
func (g *Gateway) refuse(r *http.Request, use limit.Use) (status int, why string, wait time.Duration) {
	switch {
	case g.draining.Load():
		return http.StatusServiceUnavailable, "The server is stopping; connect again in a moment.", time.Second
	case g.cfg.MaxConnections > 0 && g.Connections() >= g.cfg.MaxConnections:
		return http.StatusServiceUnavailable, "The server has all the connections it takes; try again later.", time.Second
	}
	if err := g.cfg.Limits.Allow(use); err != nil {
		told := chat.AsError(err)
		return http.StatusTooManyRequests, told.Message, told.RetryAfter
	}
	if why := g.refuses(r); why != "" {
		return http.StatusForbidden, why, 0
	}
	return 0, "", 0
}

// refuses returns why a request may not be taken, whoever sends it; empty if
// it may.
func (g *Gateway) refuses(r *http.Request) string {
	if g.cfg.Tokens != nil {
		return g.cfg.Tokens.Refuse(r)
	}
	return g.cfg.Auth.Refuse(r)
}

// seconds writes a time to wait for the header Retry-After, never too short.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
