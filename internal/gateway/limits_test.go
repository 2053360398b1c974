package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/limit"
	"tertulia/internal/peer"
	"tertulia/wire"
)

// limited is a node with limits behind a proxy on this machine, so that
// clients of a test may come from many addresses.
func limited(t *testing.T, policy limit.Policy) *node {
	return newTCPNode(t, func(c *Config) {
		c.Auth = auth.Open{Anywhere: true}
		c.Proxies = peer.Proxies{netip.MustParsePrefix("127.0.0.0/8")}
		c.Limits = limit.New(policy)
	})
}

func from(addr string) string { return "X-Forwarded-For: " + addr }

// docs/protocol.md §2.1: an address that connects too often is told when to
// come back, before the upgrade.
func TestHandshakesAreLimited(t *testing.T) {
	n := limited(t, limit.Policy{Handshakes: limit.Rate{Count: 1, Per: time.Hour, Burst: 2}})
	for range 2 {
		n.connect("/ws/1"+ana, from("192.0.2.1")).Close()
	}
	nc, _, resp := n.request(goodHandshake("/ws/1"+ana, from("192.0.2.1")))
	defer nc.Close()
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if resp.StatusCode != http.StatusTooManyRequests || err != nil || after < 3500 || after > 3600 {
		t.Errorf("status %d, Retry-After %q, want 429 and about an hour", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	other := n.connect("/ws/1"+ana, from("192.0.2.2"))
	defer other.Close()
	other.want("connected")
}

// docs/protocol.md §8: 4510.
func TestConnectionsAreLimited(t *testing.T) {
	const bob = "?user_id=2&username=Bob"
	for _, c := range []struct {
		name         string
		policy       limit.Policy
		target, addr string // of one that is let in besides
	}{
		{"of a user", limit.Policy{UserConns: 2}, "/ws/1" + bob, "192.0.2.1"},
		{"of an address", limit.Policy{AddrConns: 2}, "/ws/1" + ana, "192.0.2.2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := limited(t, c.policy)
			n.t = t
			first, second := n.connect("/ws/1"+ana, from("192.0.2.1")), n.connect("/ws/1"+ana, from("192.0.2.1"))
			defer second.Close()
			first.want("connected")
			second.want("connected")
			third := n.connect("/ws/1"+ana, from("192.0.2.1"))
			defer third.Close()
			third.wantRefusal(chat.TooManyConnections, wire.CloseTooManyConnections)
			other := n.connect(c.target, from(c.addr))
			defer other.Close()
			other.want("connected")

			first.Close()
			eventually(t, "the first one's end", func() bool { return n.Connections() == 2 })
			again := n.connect("/ws/1"+ana, from("192.0.2.1"))
			defer again.Close()
			again.want("connected")
		})
	}
}

// docs/protocol.md §2.3: forwarded requests, by the flag that lets others in
// and the proxies that are trusted. Without the flag no proxy helps; with it
// an unknown one is passed over, and what it says is not believed.
func TestForwardedInOpenMode(t *testing.T) {
	here := peer.Proxies{netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		name     string
		anywhere bool
		proxies  peer.Proxies
		status   int
		own      string // the origin that is the server's
	}{
		{"neither", false, nil, http.StatusForbidden, ""},
		{"a proxy alone", false, here, http.StatusForbidden, ""},
		{"the flag alone", true, nil, http.StatusSwitchingProtocols, "http://localhost:8000"},
		{"both", true, here, http.StatusSwitchingProtocols, "https://chat.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newTCPNode(t, func(cfg *Config) {
				cfg.Auth = auth.Open{Anywhere: c.anywhere}
				cfg.Proxies, cfg.Origins = c.proxies, peer.Origins{}
			})
			header := []string{from("192.0.2.1"), "X-Forwarded-Proto: https", "X-Forwarded-Host: chat.example.org"}
			nc, _, resp := n.request(goodHandshake("/ws/1"+ana, header...))
			nc.Close()
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
			}
			if c.own == "" {
				return
			}
			for _, origin := range []string{"http://localhost:8000", "https://chat.example.org"} {
				page := n.connect("/ws/1"+ana, append(header, "Origin: "+origin)...)
				if origin == c.own {
					page.want("connected")
				} else {
					page.wantRefusal(chat.Forbidden, wire.CloseOrigin)
				}
				page.Close()
			}
		})
	}
}
