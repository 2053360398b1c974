package gateway

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"tertulia/internal/websocket"
	"tertulia/wire"
)

// RFC 6455 §5.5.1
func TestCloseIsAnsweredWithItsCode(t *testing.T) {
	n := newTCPNode(t)
	for _, c := range []struct{ sent, want uint16 }{
		{1000, 1000}, {1001, 1001}, {3000, 3000}, {4999, 4999}, {websocket.CodeNone, 1000},
	} {
		peer := n.enter("/ws/1" + ana)
		payload := ""
		if c.sent != websocket.CodeNone {
			payload = string(websocket.ClosePayload(c.sent, "adiós"))
		}
		peer.raw(websocket.Close, payload)
		peer.wantClose(wire.CloseCode(c.want))
		peer.wantEnd()
		peer.Close()
	}
	eventually(t, "the end of all connections", func() bool { return n.Connections() == 0 })
}

// masked is a frame with any first byte.
func masked(first byte, payload string) []byte {
	b := websocket.AppendMasked(nil, websocket.Text, []byte(payload))
	b[0] = first
	return b
}

// docs/protocol.md §8. The peer goes on sending for a while, and gets the
// close frame nevertheless.
func TestProtocolErrors(t *testing.T) {
	n := newTCPNode(t)
	announced := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, 64<<10+1)
	fragments := masked(0x01, "a")
	for range 64 {
		fragments = append(fragments, masked(0x00, "a")...)
	}
	cases := []struct {
		name  string
		bytes []byte
		code  wire.CloseCode
	}{
		{"binary", masked(0x82, "x"), wire.CloseUnsupported},
		{"unmasked", websocket.AppendText(nil, []byte(`{"type":"ping"}`)), wire.CloseProtocolError},
		{"reserved bit", masked(0xC1, "x"), wire.CloseProtocolError},
		{"reserved opcode", masked(0x83, "x"), wire.CloseProtocolError},
		{"malformed close", masked(0x88, "x"), wire.CloseProtocolError},
		{"not UTF-8", masked(0x81, "\xFF"), wire.CloseInvalidUTF8},
		{"too large, as announced", append(announced, 1, 2, 3, 4), wire.CloseTooBig},
		{"too many fragments", fragments, wire.ClosePolicy},
		{"flood of pings", bytes.Repeat(masked(0x8A, ""), 100), wire.ClosePolicy},
	}
	junk := bytes.Repeat(masked(0x81, strings.Repeat("x", 1000)), 1000)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			peer := n.enter("/ws/" + strings.ReplaceAll(c.name, " ", "-")[:5] + ana)
			defer peer.Close()
			peer.t = t
			if _, err := peer.Write(append(c.bytes, junk...)); err != nil {
				t.Fatalf("the server did not take what was sent: %v", err)
			}
			peer.wantClose(c.code)
			peer.raw(websocket.Close, string(websocket.ClosePayload(uint16(c.code), "")))
			peer.Close()
		})
	}
	eventually(t, "the end of all connections", func() bool { return n.Connections() == 0 })
}

// A peer that has closed its sending side after a mistake is told of it too.
func TestProtocolErrorOfHalfClosedPeer(t *testing.T) {
	n := newTCPNode(t)
	for range 50 { // whichever of close frame and end comes first
		peer := n.enter("/ws/1" + ana)
		if _, err := peer.Write(masked(0x82, "x")); err != nil {
			t.Fatal(err)
		}
		if err := peer.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		peer.wantClose(wire.CloseUnsupported)
		peer.wantEnd()
		peer.Close()
	}
}

// A frame that was begun has 10 s to end.
func TestUnfinishedFrame(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		c := n.enter("/ws/1" + ana)
		defer c.Close()
		if _, err := c.Write(masked(0x81, "xyz")[:7]); err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		c.wantClose(wire.ClosePolicy)
		if took := time.Since(from); took != 10*time.Second {
			t.Errorf("closed after %v, want 10s", took)
		}
	})
}

// docs/protocol.md §4.5: user_left at once if the client closed by its own
// wish, and after the grace otherwise, closes by the server included.
func TestWhoClosedDecidesWhenTheUserLeaves(t *testing.T) {
	closing := func(c *client, code wire.CloseCode) {
		c.wantClose(code)
		c.raw(websocket.Close, string(websocket.ClosePayload(uint16(code), "")))
		c.wantEnd()
	}
	cases := []struct {
		name  string
		ends  func(n *node, c *client)
		after time.Duration
	}{
		{"the client closes", func(_ *node, c *client) { c.leave() }, 0},
		{"the connection breaks", func(_ *node, c *client) { c.Close() }, 10 * time.Second},
		{"the server closes", func(_ *node, c *client) {
			for range 20 {
				c.send("no json")
				c.want("error")
			}
			closing(c, wire.CloseTooManyErrors)
		}, 10 * time.Second},
		{"the client breaks the protocol", func(_ *node, c *client) {
			c.Write(masked(0x82, "x"))
			closing(c, wire.CloseUnsupported)
		}, 10 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *node) {
				bob := n.enter("/ws/1?user_id=2&username=Bob")
				a := n.enter("/ws/1" + ana)
				defer a.Close()
				bob.want("user_joined")
				from := time.Now()
				c.ends(n, a)
				bob.want("user_left")
				if took := time.Since(from); took != c.after {
					t.Errorf("user_left came after %v, want %v", took, c.after)
				}
				bob.leave()
			})
		})
	}
}
