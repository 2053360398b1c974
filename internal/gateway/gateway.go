// Package gateway is where connections enter: it admits WebSocket handshakes,
// reads from each connection, and takes part in writing only where the hub
// asks it to. Streams of server-sent events and long polls enter here too;
// they are HTTP requests, and their goroutine is net/http's.
//
// A connection costs one goroutine, which reads. It is started when the
// handshake is over, so that net/http's buffers and stack are let go of; it
// ends when the connection does, and Gateway.Close waits for it.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/hub"
	"tertulia/internal/limit"
	"tertulia/internal/peer"
	"tertulia/internal/session"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// Config says whom the gateway lets in, and how long it waits for them.
type Config struct {
	Services *session.Services
	Auth     auth.Open
	// Tokens says who is asking in token mode; nil is open mode.
	Tokens  *auth.Authenticator
	Proxies peer.Proxies
	Origins peer.Origins
	Limits  *limit.Limiter // nil sets none
	// MaxConnections is the number of connections at one time; 0 is no limit.
	MaxConnections int
	// History is how many messages a client gets that does not ask.
	History int

	PingInterval time.Duration
	IdleTimeout  time.Duration // longer than PingInterval
	WriteTimeout time.Duration
}

// Gateway serves the WebSocket endpoint. Its methods may be called from any
// goroutine.
type Gateway struct {
	cfg    Config
	log    *slog.Logger
	limits websocket.Limits
	counts *Counts
	madeAt time.Time // with its monotonic reading: from here connections are timed, and nobody sets that clock

	draining atomic.Bool     // set under mu
	ctx      context.Context // ends with Close: attaching gives up
	cancel   context.CancelFunc
	readers  sync.WaitGroup

	streams session.Services // those of the configuration, as streams have them

	mu    sync.Mutex
	conns map[guest]struct{}
}

// guest is whoever is connected: a WebSocket, a stream, a poll that waits.
type guest interface {
	// sendAway ends the connection, and asks the client to come back within a
	// time.
	sendAway(within time.Duration)
	// Abort ends it at once. It may be called more than once.
	Abort()
	// transport is its name in the metrics.
	transport() string
}

// New returns a gateway that holds no goroutine until a client comes.
func New(cfg Config) *Gateway {
	g := &Gateway{
		cfg:    cfg,
		log:    cfg.Services.Log,
		counts: newCounts(),
		madeAt: time.Now(),
		conns:  make(map[guest]struct{}),
	}
	g.streams = *cfg.Services
	g.streams.Framing = streamFraming
	g.limits = websocket.Limits{MaxMessageBytes: chat.MaxFrameBytes, Idle: g.settleAfter()}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// settleAfter is the wait of that name, which comes before the first ping.
func (g *Gateway) settleAfter() time.Duration { return min(settleAfter, g.cfg.PingInterval/2) }

// attachTimeout bounds what a handshake may wait for the store.
const attachTimeout = 10 * time.Second

// ServeHTTP serves GET /ws/{room_id}, and GET /ws.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := g.cfg.Proxies.Of(r)
	if !g.admit(w, r, who) {
		return
	}
	a, helloErr := g.readHello(r, who)
	up, err := websocket.Upgrade(w, r, wire.Protocol)
	if err != nil {
		g.log.Debug("handshake failed", "remote", who.Remote, "error", err)
		return
	}
	c := newConn(g, up, &a)
	if helloErr == nil && a.late {
		c.awaitAuth(a)
	}
	if !g.add(c) {
		c.Abort() // the server has begun to stop meanwhile
		return
	}
	g.counts.Opened.Of(protocolLabel(a.v1)).Inc()
	if c.late == nil {
		c.welcome(a, helloErr)
	}
	if g.log.Enabled(g.ctx, slog.LevelDebug) {
		g.log.Debug("connection opened", "conn_id", c.out.ID(), "remote", who.Remote, "room_id", a.Room, "user_id", a.User.ID, "v1", a.v1)
	}
	c.start()
}

// welcome gives a client that is known its place and its session, or tells it
// why not.
func (c *conn) welcome(a arrival, err error) {
	g := c.gw
	if err == nil {
		c.seat, err = g.cfg.Limits.Sit(a.User.ID, a.who.Addr)
	}
	if err == nil {
		c.session, err = g.open(c.out, a)
	}
	if err != nil {
		c.session = nil
		c.out.Close(g.cfg.Services.Farewell(err, "remote", a.who.Remote, "room_id", a.Room))
	}
}

// open begins the session. A panic in there is this connection's own trouble.
func (g *Gateway) open(out *hub.Conn, a arrival) (s session.Conversation, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("panic in a handshake", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("open a session: panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(g.ctx, attachTimeout)
	defer cancel()
	if a.v1 {
		return g.cfg.Services.OpenV1(ctx, out, g.helloV1(a))
	}
	a.Limit = g.limitOf(a)
	return g.cfg.Services.Open(ctx, out, a.Hello)
}

// add registers a connection; the reader that is started for it removes it.
func (g *Gateway) add(c guest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining.Load() { // Drain has gone through the connections already
		return false
	}
	g.conns[c] = struct{}{}
	g.readers.Add(1)
	return true
}

func (g *Gateway) remove(c guest) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	g.readers.Done()
}

// begin registers a stream or a poll, and counts it; end is called when it is
// over.
func (g *Gateway) begin(c guest) bool {
	if !g.add(c) {
		return false
	}
	g.counts.Began.Of(c.transport()).Inc()
	return true
}

func (g *Gateway) end(c guest) {
	g.counts.Ended.Of(c.transport()).Inc()
	g.remove(c)
}

// The names of transports in the metrics.
const (
	socketTransport = "ws"
	sseTransport    = "sse"
	pollTransport   = "poll"
)

// Connections returns the number of connections there are.
func (g *Gateway) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// Transports yields how many connections there are of each kind.
func (g *Gateway) Transports(yield func(transport string, n float64) bool) {
	n := map[string]float64{socketTransport: 0, sseTransport: 0, pollTransport: 0}
	g.mu.Lock()
	for c := range g.conns {
		n[c.transport()]++
	}
	g.mu.Unlock()
	for _, transport := range slices.Sorted(maps.Keys(n)) {
		if !yield(transport, n[transport]) {
			return
		}
	}
}

// Refuse has new handshakes answered 503 from now on.
func (g *Gateway) Refuse() {
	g.mu.Lock() // no connection is added afterwards
	g.draining.Store(true)
	g.mu.Unlock()
}

// Drain sends every client away with a code that says "come back", and waits
// until they are gone or ctx ends. Close still has to be called.
func (g *Gateway) Drain(ctx context.Context) error {
	g.Refuse()
	g.mu.Lock()
	within := comeBackWithin(len(g.conns))
	for c := range g.conns {
		c.sendAway(within)
	}
	g.mu.Unlock()
	gone := make(chan struct{})
	go func() { // ends with the last reader, which Close waits for
		g.readers.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain %d connections: %w", g.Connections(), ctx.Err())
	}
}

// comeBackWithin is the time over which n clients are asked to spread their
// return, so that the nodes that take over are not hit by all of them at once.
// 250 handshakes a second cost a few hundredths of a core. More than 8 s would
// take clients beyond the grace of a broken connection, and the others would be
// told that they left; 2,500 a second, which that means for 20,000 clients, cost
// the other nodes together less than a core. What is beyond keeps that pace.
func comeBackWithin(n int) time.Duration {
	spread := func(each time.Duration) time.Duration { return time.Duration(n) * each }
	return max(2*time.Second, min(spread(4*time.Millisecond), 8*time.Second), spread(400*time.Microsecond))
}

// spread returns a part of within, which is different for each client.
func spread(within time.Duration) time.Duration {
	return time.Duration(1+rand.Int64N(within.Milliseconds())) * time.Millisecond
}

func (c *conn) transport() string { return socketTransport }

// sendAway implements [guest].
func (c *conn) sendAway(within time.Duration) {
	after := spread(within)
	if c.v1 {
		c.out.Reply(websocket.AppendText(nil, wire.AppendReconnect(nil, after, "restart")))
	}
	c.out.Close(closeFrame(nil, wire.CloseDrain, fmt.Sprintf("restart; retry in %d ms", after.Milliseconds())))
}

// Close ends every connection at once and waits for their readers.
func (g *Gateway) Close() {
	g.Refuse()
	g.cancel()
	g.mu.Lock()
	for c := range g.conns {
		c.Abort()
	}
	g.mu.Unlock()
	g.readers.Wait()
}

// Framing puts text and close codes into WebSocket frames.
var Framing = session.Framing{Text: websocket.AppendText, Close: closeFrame}

// The dialects are kept so that connections share them.
var (
	seedDialect = hub.Dialect{Profile: hub.Seed, Bye: Framing.Bye}
	v1Dialect   = hub.Dialect{
		Profile: hub.V1,
		Bye:     Framing.Bye,
		Ended:   func(dst []byte, s *hub.Sub) []byte { return session.Ended(dst, s, Framing.Text) },
		Gap: func(dst []byte, s *hub.Sub, from, to uint64) []byte {
			return session.Trimmed(dst, s, from, to, Framing.Text)
		},
	}
)

func dialectOf(v1 bool) *hub.Dialect {
	if v1 {
		return &v1Dialect
	}
	return &seedDialect
}

// Encoder puts events into WebSocket frames, for hub.Config.
var Encoder = hub.Encoder{
	Durable: AppendEvent,
	Payload: websocket.Payload,
	Passing: func(dst []byte, e *chat.Event, p hub.Profile) []byte {
		if p == hub.Seed {
			return AppendEvent(dst, e)
		}
		return appendFramed(dst, e, wire.AppendPassing)
	},
	Notice: func(dst []byte, e *chat.Event) []byte { return appendFramed(dst, e, wire.AppendNotice) },
}

func closeFrame(dst []byte, code wire.CloseCode, reason string) []byte {
	return websocket.AppendClose(dst, uint16(code), reason)
}

// AppendEvent appends a whole frame with an event, as [hub.Encoder] wants it;
// nothing for a passing event that the seed profile does not have.
func AppendEvent(dst []byte, e *chat.Event) []byte { return appendFramed(dst, e, wire.AppendEvent) }

func appendFramed(dst []byte, e *chat.Event, encode func([]byte, *chat.Event) []byte) []byte {
	// The header's length depends on the payload's, so the payload is first
	// put behind room for the longest header that it can need.
	const room = 10
	start := len(dst)
	dst = append(dst, make([]byte, room)...)
	dst = encode(dst, e)
	payload := dst[start+room:]
	if len(payload) == 0 {
		return dst[:start]
	}
	var header [room]byte
	h := websocket.AppendHeader(header[:0], websocket.Text, len(payload))
	n := copy(dst[start:], h)
	n += copy(dst[start+n:], payload)
	return dst[:start+n]
}

var _ hub.Transport = (*conn)(nil)
