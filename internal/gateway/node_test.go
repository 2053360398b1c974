package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/capture"
	"tertulia/internal/hub"
	"tertulia/internal/oncluster"
	"tertulia/internal/peer"
	"tertulia/internal/presence"
	"tertulia/internal/room"
	"tertulia/internal/schematest"
	"tertulia/internal/session"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// net/http leaves a refused request's connection open for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience bounds what a test waits for on real sockets; only a failing test
// spends it.
const patience = 30 * time.Second

// node is a server of one gateway, with real parts below it. In a cluster it is
// the first of three on one store, and each connection comes to another one.
type node struct {
	*Gateway
	t      testing.TB
	store  store.Store
	rooms  *room.Service
	log    capture.Buffer
	server http.Server
	dial   func() (net.Conn, error)
	served sync.WaitGroup
	nodes  cluster // zero without one
}

// below is what a test puts below a node in place of the usual; the zero value
// is nothing.
type below struct {
	store func(store.Store) store.Store
	bus   func(bus.Bus) bus.Bus
}

// newNode starts a node that serves on l. It is closed by the test, inside
// its bubble if it has one.
func newNode(t testing.TB, l net.Listener, change ...func(*Config)) *node {
	t.Helper()
	return newNodeOn(t, below{}, l, change...)
}

func newNodeOn(t testing.TB, parts below, l net.Listener, change ...func(*Config)) *node {
	t.Helper()
	st, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if oncluster.Now() {
		return newCluster(t, st, l, change)
	}
	var b bus.Bus = local.New()
	own, shared := b, store.Store(st)
	if parts.store != nil {
		shared = parts.store(shared)
	}
	if parts.bus != nil {
		b = parts.bus(b)
		own = b
	}
	return serve(t, shared, b, own, l, change)
}

// serve starts a node on a store and a bus. own is the part of the bus that
// never leaves the node.
func serve(t testing.TB, st store.Store, b, own bus.Bus, l net.Listener, change []func(*Config)) *node {
	n := &node{t: t, store: st}
	log := slog.New(slog.NewTextHandler(&n.log, nil))
	n.rooms = room.New(room.Config{Store: n.store, Bus: b, AutoCreate: true, Log: log, Fatal: func(err error) { t.Error(err) }})
	services := &session.Services{
		Rooms:    n.rooms,
		Hub:      hub.New(hub.Config{Bus: b, Log: n.rooms.Log(), Encode: Encoder, Logger: log, Loops: 2}),
		Presence: presence.New(presence.Config{Bus: own}),
		Framing:  Framing,
		Server:   "tertulia/test",
		Log:      log,
	}
	cfg := Config{
		Services:     services,
		Origins:      peer.Origins{Any: true},
		History:      50,
		PingInterval: 25 * time.Second,
		IdleTimeout:  60 * time.Second,
		WriteTimeout: 10 * time.Second,
	}
	p, inMemory := l.(*pipeListener)
	if !inMemory { // the clients of these tests do not expect pings, however late they are themselves
		cfg.PingInterval, cfg.IdleTimeout = time.Hour, 2*time.Hour
	}
	for _, f := range change {
		f(&cfg)
	}
	n.Gateway = New(cfg)
	mux := http.NewServeMux()
	mux.Handle("GET /ws/{room_id}", n.Gateway)
	mux.Handle("GET /ws", n.Gateway)
	mux.Handle("GET /api/v1/stream", answering(n.Stream))
	mux.Handle("POST /api/v1/poll", answering(n.Poll))
	n.server.Handler = mux
	n.dial = func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	if inMemory {
		n.dial = p.dial
	}
	n.served.Go(func() {
		if err := n.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v", err)
		}
	})
	return n
}

// close stops the node, and those beside it.
func (n *node) close() {
	n.nodes.close()
	n.stop()
	if err := n.store.Close(); err != nil {
		n.t.Error(err)
	}
}

// stop ends what stands on the store, in the order of package server.
func (n *node) stop() {
	n.server.Close()
	n.served.Wait()
	n.Gateway.Close()
	services := n.cfg.Services
	services.Presence.Close()
	services.Hub.Close()
	n.rooms.Close()
}

// newTCPNode is a node on loopback that is closed after the test.
func newTCPNode(t testing.TB, change ...func(*Config)) *node {
	t.Helper()
	n := newNode(t, listen(t), change...)
	t.Cleanup(n.close)
	return n
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pipeListener accepts connections that stay in memory, so that a bubble can
// hold a node and its clients.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func listenInMemory() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// client is the other end of a connection.
type client struct {
	net.Conn
	t      testing.TB
	in     *websocket.Reader
	record *schematest.Recorder
}

// goodHandshake is the request for a path and query, with more header lines.
func goodHandshake(target string, header ...string) string {
	lines := append([]string{
		"GET " + target + " HTTP/1.1",
		"Host: localhost:8000",
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, header...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

const ana = "?user_id=1&username=Ana"

// request sends a raw request and returns the connection and the answer.
func (n *node) request(request string) (net.Conn, *bufio.Reader, *http.Response) {
	n.t.Helper()
	n.nodes.settle()
	nc, err := n.dial()
	if err != nil {
		n.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		n.t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodGet})
	if err != nil {
		n.t.Fatalf("answer to the handshake: %v", err)
	}
	return nc, br, resp
}

// connect opens a WebSocket; the test closes it.
func (n *node) connect(target string, header ...string) *client {
	n.t.Helper()
	return n.upgrade(goodHandshake(target, header...))
}

func (n *node) upgrade(request string) *client {
	n.t.Helper()
	nc, br, resp := n.request(request)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		n.t.Fatalf("handshake: %s, want 101", resp.Status)
	}
	early, _ := br.Peek(br.Buffered())
	nc.SetDeadline(time.Time{})
	profile := schematest.Seed
	if resp.Header.Get("Sec-WebSocket-Protocol") == wire.Protocol {
		profile = schematest.V1
	}
	return &client{
		Conn: nc, t: n.t, record: schematest.Record(n.t, profile),
		in: websocket.NewReader(nc, early, websocket.Client, websocket.Limits{MaxMessageBytes: -1, ControlPerSecond: -1, MessageTime: patience, Idle: patience}),
	}
}

// enter opens a WebSocket and takes connected.
func (n *node) enter(target string) *client {
	n.t.Helper()
	c := n.connect(target)
	c.want("connected")
	return c
}

func (c *client) send(json string) { c.t.Helper(); c.raw(websocket.Text, json) }

func (c *client) raw(op websocket.Opcode, payload string) {
	c.t.Helper()
	if op == websocket.Text {
		c.record.Sent([]byte(payload))
	}
	if _, err := c.Write(websocket.AppendMasked(nil, op, []byte(payload))); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// want takes the next frame, which must be of this type.
func (c *client) want(typ string) frame {
	c.t.Helper()
	m, err := c.in.Next()
	if err != nil || m.Op != websocket.Text {
		c.t.Fatalf("got %s, %v, want a frame %s", describe(m), err, typ)
	}
	c.record.Received(m.Payload)
	f := parse(c.t, m)
	if f.Type != typ {
		c.t.Fatalf("got %s, want a frame %s", m.Payload, typ)
	}
	return f
}

func parse(t testing.TB, m websocket.Message) (f frame) {
	t.Helper()
	if err := json.Unmarshal(m.Payload, &f); err != nil {
		t.Fatalf("frame %s: %v", m.Payload, err)
	}
	return f
}

// frame is what the tests look at in frames.
type frame struct {
	Type  string `json:"type"`
	Code  string `json:"code"`
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch"`
	Tag   string `json:"tag"`
	Data  struct {
		Content string `json:"content"`
		History []struct {
			Content string `json:"content"`
		} `json:"history"`
		Resumed bool   `json:"resumed"`
		Message string `json:"message"`
		Seq     uint64 `json:"seq"`
		T       int    `json:"t"`
	} `json:"data"`
}

// wantClose takes the close frame that comes next.
func (c *client) wantClose(code wire.CloseCode) (reason string) {
	c.t.Helper()
	m, err := c.in.Next()
	if err != nil || m.Op != websocket.Close || m.Code != uint16(code) {
		c.t.Fatalf("got %s, %v, want a close frame with code %d", describe(m), err, code)
	}
	return string(m.Payload)
}

// wantEnd checks that the server closes the connection with nothing more.
func (c *client) wantEnd() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(c.Conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Error("the connection stays open")
	}
	if len(rest) > 0 {
		c.t.Errorf("got %q, want the end of the connection", rest)
	}
}

// leave closes as a well-behaved client does.
func (c *client) leave() {
	c.t.Helper()
	c.raw(websocket.Close, string(websocket.ClosePayload(1000, "")))
	c.wantClose(1000)
	c.wantEnd()
	c.Close()
}

func describe(m websocket.Message) string {
	return fmt.Sprintf("opcode %d code %d %.200q", m.Op, m.Code, m.Payload)
}

// eventually waits until ok; nothing is concluded from how long it took.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}
