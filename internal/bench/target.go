//go:build linux

package bench

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// Target is a server to be measured.
type Target struct {
	// Addr is where it listens; a loopback address.
	Addr netip.AddrPort
	// PID is its process, whose processor time and memory are read.
	PID int
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
