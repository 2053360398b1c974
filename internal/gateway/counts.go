package gateway

import (
	"encoding/binary"
	"strconv"
	"time"

	"tertulia/internal/count"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// Counts are what the gateway has seen since it began.
type Counts struct {
	// Opened are the connections by protocol, Closed by close code, and
	// Lasted is how long those were open.
	Opened, Closed *count.Set
	Lasted         *count.Histogram
	// Began and Ended are the streams (sse) and polls, of which those above
	// know nothing.
	Began, Ended *count.Set
	// ReceivedBytes is what clients said in their frames, without headers
	// and close codes; SentBytes is all that the sockets took.
	ReceivedBytes, SentBytes count.Counter
	// Slow are the clients that did not take bytes within the write timeout.
	Slow count.Counter

	received [16]count.Counter // frames by opcode, RFC 6455 §5.2
}

// The labels of connections by the profile that they speak.
const (
	seedProtocol = "seed"
	v1Protocol   = wire.Protocol
)

func protocolLabel(v1 bool) string {
	if v1 {
		return v1Protocol
	}
	return seedProtocol
}

const (
	noCode    = "none"  // it broke without a close frame
	otherCode = "other" // of the client's own choice
)

func newCounts() *Counts {
	return &Counts{
		Began:  count.NewSet(sseTransport, pollTransport),
		Ended:  count.NewSet(sseTransport, pollTransport),
		Opened: count.NewSet(seedProtocol, v1Protocol),
		Closed: count.NewSet(closeLabels()...),
		Lasted: count.NewDurations(time.Second, 10*time.Second, time.Minute, 5*time.Minute, 15*time.Minute,
			time.Hour, 4*time.Hour, 12*time.Hour, 24*time.Hour, 7*24*time.Hour),
	}
}

// closeLabels are the codes that the server sends. A client may end a
// connection with any other, and must not make labels by that.
func closeLabels() []string {
	labels := []string{noCode}
	for _, code := range []wire.CloseCode{
		wire.CloseNormal, 1001, wire.CloseProtocolError, wire.CloseUnsupported, wire.CloseInvalidUTF8, wire.ClosePolicy,
		wire.CloseTooBig, wire.CloseInternal, wire.CloseDrain, wire.CloseSlow, wire.CloseHeartbeat, wire.CloseMoved,
		wire.CloseExpired, wire.CloseStoreUnavailable, wire.CloseBadRequest, wire.CloseUnauthenticated, wire.CloseRemoved, wire.CloseRoomNotFound,
		wire.CloseVersion, wire.CloseTooManyErrors, wire.CloseTooManyConnections, wire.CloseOrigin,
	} {
		labels = append(labels, closeLabel(code))
	}
	return append(labels, otherCode)
}

func closeLabel(code wire.CloseCode) string { return strconv.Itoa(int(code)) }

// Counts returns the gateway's counts, which go on rising.
func (g *Gateway) Counts() *Counts { return g.counts }

// Received yields the frames that clients sent, by type; a message in several
// fragments is one.
func (c *Counts) Received(yield func(typ string, n uint64) bool) {
	for _, t := range []struct {
		op   websocket.Opcode
		name string
	}{{websocket.Text, "text"}, {websocket.Ping, "ping"}, {websocket.Pong, "pong"}, {websocket.Close, "close"}} {
		if !yield(t.name, c.received[t.op].Value()) {
			return
		}
	}
}

func (c *Counts) take(m websocket.Message) {
	c.received[m.Op].Inc()
	c.ReceivedBytes.Add(uint64(len(m.Payload)))
}

// countEnd counts the end of a connection.
func (c *conn) countEnd() {
	counts := c.gw.counts
	counts.Closed.Of(c.closeCode()).Inc()
	counts.Lasted.Observe(int64(time.Since(c.gw.madeAt) - c.opened))
}

// closeCode returns the code with which c ended, as a label.
func (c *conn) closeCode() string {
	if c.slow.Load() {
		return closeLabel(wire.CloseSlow)
	}
	last := c.out.Last()
	for off := 0; off < len(last); off = websocket.FrameEnd(last, off+1) {
		// A close frame of ours: two bytes of header, then the code.
		if websocket.Opcode(last[off]&0x0f) == websocket.Close && len(last) >= off+4 {
			return closeLabel(wire.CloseCode(binary.BigEndian.Uint16(last[off+2:])))
		}
	}
	return noCode
}
