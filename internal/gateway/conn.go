package gateway

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"tertulia/internal/hub"
	"tertulia/internal/limit"
	"tertulia/internal/session"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// conn is one WebSocket connection: its reader, and the hub's [hub.Transport].
type conn struct {
	// Fixed before the reader starts.
	gw      *Gateway
	nc      net.Conn
	socket  net.Conn      // nc, or what is below its TLS
	opened  time.Duration // after Gateway.madeAt; a third of a time.Time
	v1      bool
	session session.Conversation // nil if the client was refused, or is late
	seat    limit.Seat

	// Written by the reader, under Gateway.mu, when a late client is known.
	out *hub.Conn

	// Owned by the reader's goroutine.
	reader *websocket.Reader
	pulse  pulse
	late   *late // nil unless the client has yet to say who it is

	writer writer // owned by whoever the hub lets write

	// Whichever comes second of these two closes the socket.
	finished atomic.Bool // our close frame has been written
	heard    atomic.Bool // the peer's close frame has come, or its end

	slow    atomic.Bool // it was told that it is too slow
	aborted atomic.Bool
	closed  sync.WaitGroup // until the socket is closed
}

// pulse is how long a connection has been silent.
type pulse uint8

const (
	lively pulse = iota // for less than settleAfter
	quiet               // for longer
	pinged              // for PingInterval, and a ping was sent
)

// settleAfter is how long a connection is silent before its reader gives back
// the memory that handling messages took. It is short beside PingInterval, and
// long beside the pauses of a conversation.
const settleAfter = 5 * time.Second

func newConn(g *Gateway, up websocket.Upgraded, a *arrival) *conn {
	c := &conn{gw: g, nc: up.Conn, socket: up.Conn, v1: a.v1, opened: time.Since(g.madeAt)}
	if secured, ok := up.Conn.(*tls.Conn); ok {
		c.socket = secured.NetConn()
	}
	c.closed.Add(1)
	c.reader = websocket.NewReader(up.Conn, up.Early, websocket.Server, g.limits)
	c.writer.init(up.Conn)
	c.out = g.cfg.Services.Hub.Connect(c, a.User.ID, dialectOf(a.v1))
	return c
}

// start begins reading.
func (c *conn) start() {
	// An error here is the connection's end, and Next reports it.
	_ = c.reader.Arm()
	go c.read()
}

// read is the connection's goroutine. When the connection has been idle it
// hands over to a new one: handling messages and setting deadlines grow a
// stack to two or four times the 2 KiB that waiting needs, and ten thousand
// idle connections should not keep that.
func (c *conn) read() {
	for {
		m, err := c.reader.Next()
		if err == nil && c.handle(m) {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.checkPulse() {
			c.start()
			return
		}
		c.end(m, err)
		return
	}
}

// handle takes one message and reports whether to read on: after a panic, until
// the client has answered the close frame or closeWait is over.
func (c *conn) handle(m websocket.Message) (goOn bool) {
	goOn = m.Op != websocket.Close
	defer c.survive()
	c.gw.counts.take(m)
	if c.pulse != lively {
		c.pulse = lively
		c.reader.SetIdle(c.gw.settleAfter())
	}
	switch m.Op {
	case websocket.Text:
		switch {
		case c.late != nil:
			c.authenticate(m.Payload)
		case c.session != nil:
			c.session.Receive(m.Payload)
		}
	case websocket.Ping:
		// Nothing is written to a late client: its outgoing side is not its
		// last one.
		if c.late == nil && c.out.Wait() {
			c.out.Reply(websocket.AppendPong(nil, m.Payload))
		}
	}
	return goOn
}

// survive is deferred where a client's doing is done: a panic there ends this
// connection and nothing else.
func (c *conn) survive() {
	if p := recover(); p != nil {
		c.gw.log.Error("panic in a connection", "panic", p, "stack", string(debug.Stack()))
		c.out.Close(closeFrame(nil, wire.CloseInternal, "internal error"))
	}
}

// checkPulse is called when nothing has come for a while. It reports whether
// to wait on.
func (c *conn) checkPulse() bool {
	cfg := &c.gw.cfg
	switch c.pulse {
	case lively:
		c.pulse = quiet
		c.reader.SetIdle(cfg.PingInterval - c.gw.settleAfter())
	case quiet:
		c.pulse = pinged
		c.reader.SetIdle(cfg.IdleTimeout - cfg.PingInterval)
		c.out.Reply(websocket.AppendPing(nil, nil))
	case pinged:
		return false
	}
	return true
}

// end takes the connection down after its last message or error. It returns
// when the socket is closed.
func (c *conn) end(m websocket.Message, err error) {
	clean := false
	var fault *websocket.CloseError
	switch {
	case err == nil: // a close frame
		c.heard.Store(true)
		// It is the client's own wish only if we had not begun to close.
		if clean = c.out.Close(closeAnswer(m)); !clean {
			c.Abort()
		}
	case errors.As(err, &fault):
		c.out.Close(closeFrame(nil, wire.CloseCode(fault.Code), fault.Reason))
	case errors.Is(err, os.ErrDeadlineExceeded): // no pulse
		c.out.Close(closeFrame(nil, wire.CloseHeartbeat, "no answer to a ping"))
	default:
		c.Abort()
	}
	c.leave(clean)
	c.linger()
	c.out.Gone()
	c.countEnd()
	if l := c.gw.log; l.Enabled(c.gw.ctx, slog.LevelDebug) {
		l.Debug("connection ended", "conn_id", c.out.ID(), "remote", c.nc.RemoteAddr().String(), "clean", clean, "error", err)
	}
	c.gw.cfg.Limits.Leave(c.seat)
	c.gw.remove(c)
}

// leave ends the session, if there is one.
func (c *conn) leave(clean bool) {
	defer c.survive()
	if c.late != nil {
		c.late.timer.Stop()
	}
	if c.session != nil {
		c.session.End(clean)
	}
}

// closeAnswer repeats the code of a client's close frame (RFC 6455 §5.5.1).
func closeAnswer(m websocket.Message) []byte {
	if m.Code == websocket.CodeNone {
		return closeFrame(nil, wire.CloseNormal, "")
	}
	return closeFrame(nil, wire.CloseCode(m.Code), "")
}

// closeWait is how long a peer may take to answer a close frame.
const closeWait = 2 * time.Second

// linger waits until the socket is closed, for closeWait at most, and throws
// away what the peer goes on sending: closing with bytes unread would reset
// the connection, and take the close frame with it.
func (c *conn) linger() {
	limit := time.AfterFunc(closeWait, c.Abort)
	defer limit.Stop()
	if c.nc.SetReadDeadline(time.Time{}) == nil {
		buf := make([]byte, 4<<10)
		for {
			if _, err := c.nc.Read(buf); err != nil {
				break
			}
		}
	}
	c.heard.Store(true)
	if c.finished.Load() {
		c.Abort()
	}
	c.closed.Wait()
}

// Finish implements [hub.Transport]: the close frame has been written. The
// reader waits for the peer's, and closeWait bounds that.
func (c *conn) Finish() {
	c.finished.Store(true)
	if c.heard.Load() {
		c.Abort()
		return
	}
	time.AfterFunc(closeWait, c.Abort)
}

// Abort implements [hub.Transport]. It closes the socket itself: TLS would say
// goodbye first, and wait for a peer that takes no bytes.
func (c *conn) Abort() {
	if !c.aborted.Swap(true) {
		c.socket.Close()
		c.closed.Done()
	}
}

// TryWrite implements [hub.Transport].
func (c *conn) TryWrite(p []byte) (int, error) {
	n, err := c.writer.try(p)
	c.gw.counts.SentBytes.Add(uint64(n))
	return n, err
}

// Write implements [hub.Transport].
func (c *conn) Write(batch []byte, sent int) error {
	sentMore, err := c.writer.wait(c.nc, c.socket, batch, sent, c.gw.cfg.WriteTimeout)
	c.gw.counts.SentBytes.Add(uint64(sentMore))
	if errors.Is(err, errSlow) {
		c.slow.Store(true)
		c.gw.counts.Slow.Inc()
	}
	return err
}
