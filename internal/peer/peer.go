// Package peer says who is at the other end of a request: which address it
// comes from and under which name it has asked, through proxies that are
// trusted, and which web page has made it.
package peer

import (
	"net/http"
	"net/netip"
	"strings"
)

// Peer is who has made a request, and how the server looks from there.
type Peer struct {
	// Addr is the client's address without a zone; it is not valid if the
	// connection has none.
	Addr netip.Addr
	// Remote names the client in a log: with its port, unless a proxy speaks
	// for it.
	Remote string
	// Scheme is http or https, and Host the name and port that the client has
	// asked for.
	Scheme, Host string
}

// Proxies are the addresses of proxies that are believed. A nil list believes
// nobody.
type Proxies []netip.Prefix

// Of returns who has made r. What the headers X-Forwarded-For, -Proto and
// -Host, or Forwarded (RFC 7239), say counts only if the connection comes from
// a trusted proxy; then the client is the last hop that is none, since all
// before it is what that hop itself has said.
//
// Proxies write one of the two and may pass on the other as a client has sent
// it. If both are there, neither is believed.
func (p Proxies) Of(r *http.Request) Peer {
	who := Peer{Addr: addrOf(r.RemoteAddr), Remote: r.RemoteAddr, Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		who.Scheme = "https"
	}
	if !p.trust(who.Addr) {
		return who
	}
	forwarded, legacy := r.Header["Forwarded"], isLegacy(r.Header)
	switch {
	case len(forwarded) > 0 && !legacy:
		p.readForwarded(&who, forwarded)
	case len(forwarded) == 0 && legacy:
		p.readLegacy(&who, r.Header)
	}
	return who
}

func (p Proxies) trust(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// The headers that came before RFC 7239.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedProto = "X-Forwarded-Proto"
	forwardedHost  = "X-Forwarded-Host"
)

func isLegacy(h http.Header) bool {
	return len(h[forwardedFor])+len(h[forwardedProto])+len(h[forwardedHost]) > 0
}

// readLegacy takes the scheme and the host that the nearest proxy gives: the
// lists are not said to go together.
func (p Proxies) readLegacy(who *Peer, h http.Header) {
	hops := list(h[forwardedFor])
	for i := len(hops) - 1; i >= 0; i-- {
		addr := addrOf(hops[i])
		if !addr.IsValid() {
			break
		}
		if who.setAddr(addr); !p.trust(addr) {
			break
		}
	}
	who.setScheme(last(h[forwardedProto]))
	who.setHost(last(h[forwardedHost]))
}

// readForwarded takes the address, the scheme and the host of one element:
// that of the proxy which the client has connected to.
func (p Proxies) readForwarded(who *Peer, lines []string) {
	hops := list(lines)
	for i := len(hops) - 1; i >= 0; i-- {
		pairs := parsePairs(hops[i])
		addr := addrOf(pairs["for"])
		if !addr.IsValid() { // unknown, or a name in place of an address
			return
		}
		who.setAddr(addr)
		who.setScheme(pairs["proto"])
		who.setHost(pairs["host"])
		if !p.trust(addr) {
			return
		}
	}
}

func (who *Peer) setAddr(addr netip.Addr) { who.Addr, who.Remote = addr, addr.String() }

func (who *Peer) setScheme(scheme string) {
	if scheme = strings.ToLower(scheme); scheme == "http" || scheme == "https" {
		who.Scheme = strings.Clone(scheme)
	}
}

func (who *Peer) setHost(host string) {
	if host != "" {
		who.Host = strings.Clone(host)
	}
}

// list returns the elements of header lines, in order. No element that is
// used here may hold a comma, so that quotes need not be heeded.
func list(lines []string) (items []string) {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

func last(lines []string) string {
	if items := list(lines); len(items) > 0 {
		return items[len(items)-1]
	}
	return ""
}

// parsePairs reads an element of Forwarded, RFC 7239 §4.
func parsePairs(element string) map[string]string {
	pairs := make(map[string]string)
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		pairs[strings.ToLower(name)] = strings.Trim(value, `"`)
	}
	return pairs
}

// addrOf reads an address, with or without a port. The result does not hold
// on to s, and is not valid if s is no address.
func addrOf(s string) netip.Addr {
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		addr = at.Addr()
	}
	return addr.Unmap().WithZone("")
}
