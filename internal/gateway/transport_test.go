package gateway

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"tertulia/internal/hub/transporttest"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// bufferBytes is asked for on the sockets of the suite, so that a peer who
// takes nothing is full soon.
const bufferBytes = 128 << 10

// dialTCP returns the two ends of a connection on loopback.
func dialTCP(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{server, client} {
		t.Cleanup(func() { c.Close() })
		if err := c.(*net.TCPConn).SetReadBuffer(bufferBytes); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).SetWriteBuffer(bufferBytes); err != nil {
			t.Fatal(err)
		}
	}
	return server, client
}

// transport makes a WebSocket connection's writing end, as a handshake would.
func transport(t *testing.T, server, client net.Conn, writeTimeout time.Duration) transporttest.Side {
	n := newTCPNode(t, func(c *Config) { c.WriteTimeout = writeTimeout })
	c := newConn(n.Gateway, websocket.Upgraded{Conn: server}, new(arrival))
	if !n.add(c) {
		t.Fatal("the gateway takes no connection")
	}
	c.start()
	return transporttest.Side{Transport: c, Peer: client, Frame: websocket.AppendText}
}

func TestTransportOverTCP(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, writeTimeout time.Duration) transporttest.Side {
		server, client := dialTCP(t)
		side := transport(t, server, client, writeTimeout)
		side.Told = func(rest []byte, _ error) bool {
			// The rest of a frame, then the close frame.
			if len(rest) > 0 && rest[0] == 0x81 {
				rest = rest[min(len(rest), websocket.FrameEnd(rest, 1)):]
			}
			return len(rest) >= 4 && rest[0] == 0x88 && binary.BigEndian.Uint16(rest[2:]) == uint16(wire.CloseSlow)
		}
		return side
	})
}

// Over TLS nothing is written without waiting, and after a write that has
// timed out nothing more can be said.
func TestTransportOverTLS(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, writeTimeout time.Duration) transporttest.Side {
		server, client := dialTCP(t)
		near, far := secured(t, server, client)
		side := transport(t, near, far, writeTimeout)
		if n, err := side.Transport.TryWrite([]byte("x")); n != 0 || err != nil {
			t.Fatalf("TryWrite over TLS = %d, %v, want 0, nil", n, err)
		}
		return side
	})
}

// secured puts TLS upon a connection.
func secured(t *testing.T, server, client net.Conn) (near, far net.Conn) {
	t.Helper()
	in, out := tls.Server(server, serverTLS(t)), tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() { shaken <- in.Handshake() }()
	if err := out.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return in, out
}

// serverTLS returns a configuration with a certificate for tests.
func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return server.TLS.Clone()
}
