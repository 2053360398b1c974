//go:build linux

package bench

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSourceAddresses: beyond perSource connections, the next address of
// 127.0.0.0/8 is the source, so that local ports do not run out.
func TestSourceAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		index int
		want  string
	}{
		{0, "127.0.0.1"},
		{perSource - 1, "127.0.0.1"},
		{perSource, "127.0.0.2"},
		{3 * perSource, "127.0.0.4"},
	} {
		fd, err := dialSocket(netip.MustParseAddrPort(l.Addr().String()), test.index)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().(*net.TCPAddr).IP.String(); got != test.want {
			t.Errorf("connection %d comes from %s, want %s", test.index, got, test.want)
		}
		conn.Close()
		unix.Close(fd)
	}
}
