//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// conn is one client: a WebSocket to one room. It belongs to its loop.
type conn struct {
	slot   int32  // its place in loop.conns
	node   int    // where it goes, of loop.addrs
	path   string // of the handshake, with its query
	resume string // what a client that comes back adds to that
	room   *room  // that it is in; nil if only its connecting is measured
	v1     bool   // speaks protocol.md Part 2, where hello comes first

	fd       int // -1 while there is no socket
	state    connState
	writable bool   // the socket is watched for room to write
	dirty    bool   // listed in loop.dirty
	in       []byte // what has come of a frame whose end has not
	out      []byte // what is to be written
	seq      uint64 // of the last message taken; the log's head at first
}

type connState uint8

const (
	stateClosed    connState = iota
	stateUpgrading           // the handshake is on its way
	stateOpening             // upgraded, connected has not come
	stateOpen
)

// The key is the example of RFC 6455 §1.3, and with it the answer is known.
// It proves nothing more when it is random.
const (
	handshakeKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	handshakeAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

func (c *conn) handshake(host string) []byte {
	protocol := ""
	if c.v1 {
		protocol = "Sec-WebSocket-Protocol: tertulia.v1\r\n"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n", c.path+c.resume, host, handshakeKey, protocol)
}

var headEnd = []byte("\r\n\r\n")

// takeHandshake takes the server's answer off b; ok is false while it is
// incomplete.
func takeHandshake(b []byte) (rest []byte, ok bool, err error) {
	i := bytes.Index(b, headEnd)
	if i < 0 {
		return b, false, nil
	}
	head := b[:i]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte(handshakeAccept)) {
		status, _, _ := bytes.Cut(head, []byte("\r\n"))
		return b, false, fmt.Errorf("handshake answered with %q", status)
	}
	return b[i+len(headEnd):], true, nil
}

// perSource is the number of connections from one source address. It stays
// below the 28,232 local ports that Linux gives out (ip_local_port_range).
const perSource = 25_000

// dialSocket begins to connect the index-th connection of a run.
func dialSocket(addr netip.AddrPort, index int) (int, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := connectSocket(fd, addr, index/perSource); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func connectSocket(fd int, addr netip.AddrPort, source int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("set TCP_NODELAY: %w", err)
	}
	// Closing resets the connection, so that no port is held in TIME_WAIT by
	// a run and thousands can be dropped at once.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fmt.Errorf("set SO_LINGER: %w", err)
	}
	if source > 0 && addr.Addr().Is4() {
		if err := bindSource(fd, source); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, sockaddr(addr)); err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	return nil
}

// bindSource takes 127.0.0.(1+source) as source address and leaves the port
// to connect.
func bindSource(fd, source int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fmt.Errorf("set IP_BIND_ADDRESS_NO_PORT: %w", err)
	}
	local := &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(source >> 8), byte(source + 1)}}
	if err := unix.Bind(fd, local); err != nil {
		return fmt.Errorf("bind to source address %d: %w", source, err)
	}
	return nil
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
}
