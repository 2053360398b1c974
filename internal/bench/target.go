//go:build linux

package bench

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// Target is a server to be measured.
type Target struct {
	// Addr is where it listens; a loopback address.
	Addr netip.AddrPort
	// PID is its process, whose processor time and memory are read.
	PID int
	// Others are the rest of a cluster's nodes. Clients are dealt out to all
	// of them in turn, and their processor time counts as the server's.
	Others []Node
	// Behind is what the nodes stand on, whose processor time is read too.
	Behind []Service

	// spawned are the nodes that may be restarted, in the order of addrs; none
	// if they are somebody else's.
	spawned []*Server
}

// Node is one more server process.
type Node struct {
	Addr netip.AddrPort
	PID  int
}

// Service is a database or the like: one process and its children.
type Service struct {
	Name string
	PID  int
}

// addrs are the addresses of all nodes.
func (t Target) addrs() []netip.AddrPort {
	addrs := []netip.AddrPort{t.Addr}
	for _, n := range t.Others {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// cpuTime is the processor time that all nodes have used.
func (t Target) cpuTime() (time.Duration, error) {
	sum, err := cpuTime(t.PID)
	for _, n := range t.Others {
		if err == nil {
			var more time.Duration
			more, err = cpuTime(n.PID)
			sum += more
		}
	}
	return sum, err
}

// NewTarget checks the base URL of a running server, such as
// ws://127.0.0.1:8000, and the id of its process. Addresses that are not
// loopback are refused: this is a tool for one's own machine.
func NewTarget(base string, pid int) (Target, error) {
	u, err := url.Parse(base)
	if err != nil {
		return Target{}, fmt.Errorf("server URL: %w", err)
	}
	if u.Scheme != "ws" && u.Scheme != "http" || u.Port() == "" {
		return Target{}, fmt.Errorf("server URL %q: want ws://HOST:PORT", base)
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, u.Port()))
	if err != nil || !addr.Addr().IsLoopback() {
		return Target{}, fmt.Errorf("server %q is not a loopback address; load goes to this machine only", u.Host)
	}
	if _, err := cpuTime(pid); err != nil {
		return Target{}, err
	}
	return Target{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), PID: pid}, nil
}
