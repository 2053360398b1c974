package auth

import (
	"net/http"
	"net/netip"
)

// IsLocal reports whether a request comes from a program on this machine: its
// peer is on loopback, no proxy says that it passes the request on, and the
// name in the Host header is this machine's, which the page of another site
// cannot arrange. A proxy on this machine that says nothing of itself is not
// told from other programs.
func IsLocal(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && !forwarded(r) && isLoopbackHost(r.Host)
}
