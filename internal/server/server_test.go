package server

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
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/config"
	"tertulia/internal/oncluster"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// net/http leaves a refused request's connection open for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servicetest.M{M: m}, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience bounds what a test waits for on real sockets; only a failing test
// spends it.
const patience = 30 * time.Second

// running is a server that serves, or several on one store: then it is the
// first of them, and clients come to one after the other.
type running struct {
	*Server
	t      *testing.T
	turn   oncluster.Turn
	cancel context.CancelFunc // SIGTERM
	ended  chan error
}

func configFor(dir string) config.Config {
	cfg := config.Default()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", dir
	cfg.WS.PingInterval, cfg.WS.IdleTimeout = time.Hour, 3*time.Hour // these clients expect no pings, however late they are
	return cfg
}

func start(t *testing.T, cfg config.Config) *running {
	t.Helper()
	return startLogging(t, cfg, slog.New(slog.DiscardHandler))
}

func startLogging(t *testing.T, cfg config.Config, log *slog.Logger) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, cancel: cancel, ended: make(chan error, 1)}
	var all []*Server
	for _, cfg := range nodesOf(t, cfg) {
		s, err := New(t.Context(), cfg, log)
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		all = append(all, s)
		r.turn.Addrs = append(r.turn.Addrs, s.Addr().String())
	}
	r.Server = all[0]
	go func() { r.ended <- runAll(ctx, all) }()
	return r
}

// runAll runs servers until all have ended.
func runAll(ctx context.Context, all []*Server) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, s := range all {
		running.Go(func() { errs[i] = s.Run(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// addr is where the next client connects.
func (r *running) addr() string { return r.turn.Next() }

// stop asks the server to stop and returns what Run does.
func (r *running) stop() error {
	r.cancel()
	return r.wait()
}

func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.t.Fatal("Run has not returned")
		return nil
	}
}

// get returns the status and the body of an HTTP answer.
func (r *running) get(path string, header ...string) (int, string, http.Header) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+r.addr()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := plain.Do(req)
	if err != nil {
		r.t.Fatalf("GET %s: %v", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// client is a WebSocket to a server.
type client struct {
	net.Conn
	t  *testing.T
	in *websocket.Reader
}

func (r *running) connect(room string) *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.upgrade(nc, room)
}

func (r *running) upgrade(nc net.Conn, room string) *client {
	r.t.Helper()
	fmt.Fprintf(nc, "GET /ws/%s?user_id=1&username=Ana HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", room)
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		r.t.Fatalf("handshake: %v, %v", resp, err)
	}
	early, _ := br.Peek(br.Buffered())
	return &client{nc, r.t, websocket.NewReader(nc, early, websocket.Client, websocket.Limits{MaxMessageBytes: -1, Idle: patience})}
}

func (c *client) send(op websocket.Opcode, payload string) {
	c.t.Helper()
	if _, err := c.Write(websocket.AppendMasked(nil, op, []byte(payload))); err != nil {
		c.t.Fatal(err)
	}
}

// want takes the next frame and wants it to be of this type.
func (c *client) want(typ string) string {
	c.t.Helper()
	m, err := c.in.Next()
	if got := string(m.Payload); err != nil || m.Op != websocket.Text || !strings.HasPrefix(got, `{"type":"`+typ+`"`) {
		c.t.Fatalf("got opcode %d %q, %v, want a frame %s", m.Op, got, err, typ)
	}
	return string(m.Payload)
}

func (c *client) wantClose(code wire.CloseCode) {
	c.t.Helper()
	m, err := c.in.Next()
	if err != nil || m.Op != websocket.Close || m.Code != uint16(code) {
		c.t.Fatalf("got opcode %d code %d %q, %v, want a close frame with code %d", m.Op, m.Code, m.Payload, err, code)
	}
}

// wantConnections waits until a server has heard of so many.
func (r *running) wantConnections(n int) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		status, body, _ := r.get("/ws/stats")
		if status == http.StatusOK && strings.Contains(body, fmt.Sprintf(`"total_connections": %d`, n)) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("/ws/stats = %d %s, want %d connections", status, body, n)
		}
	}
}

// A server starts on a folder that does not exist, serves, stops with nil,
// and has kept what it acknowledged.
func TestLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	began := time.Now()
	s := start(t, configFor(dir))
	if status, _, _ := s.get("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz = %d, want 200", status)
	}
	t.Logf("ready after %v", time.Since(began))
	c := s.connect("1")
	c.want("connected")
	c.send(websocket.Text, `{"type":"message","content":"hola"}`)
	c.want("message_sent")
	c.want("message")
	s.wantConnections(1)
	c.Close()
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}

	s = start(t, configFor(dir))
	c = s.connect("1")
	if got := c.want("connected"); !strings.Contains(got, `"content":"hola"`) {
		t.Errorf("connected after a restart is %s, want the message of before in its history", got)
	}
	c.Close()
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// While the server drains it says so, lets nobody in, and waits for clients
// to go. What it has stored it has acknowledged.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	s := start(t, configFor(dir))
	c := s.connect("1")
	defer c.Close()
	c.want("connected")
	const posts = 50
	var batch []byte
	for i := range posts {
		batch = websocket.AppendMasked(batch, websocket.Text, fmt.Appendf(nil, `{"type":"message","content":"%d","nonce":"n%d"}`, i, i))
	}
	if _, err := c.Write(batch); err != nil {
		t.Fatal(err)
	}
	acknowledged := nonces(c.want("message_sent")) // the others are on their way
	s.cancel()
	for {
		m, err := c.in.Next()
		if err != nil {
			t.Fatal(err)
		}
		got := string(m.Payload)
		if m.Op == websocket.Close {
			if m.Code != uint16(wire.CloseDrain) || !strings.HasPrefix(got, "restart; retry in ") {
				t.Errorf("close code %d %q, want %d and when to come back", m.Code, got, wire.CloseDrain)
			}
			break
		}
		if strings.HasPrefix(got, `{"type":"message_sent"`) {
			acknowledged = append(acknowledged, nonces(got)...)
		}
	}
	// The client has not answered the close frame yet, so draining goes on.
	if status, body, _ := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("/readyz while draining = %d %q, want 503", status, body)
	}
	if status, _, _ := s.get("/livez"); status != http.StatusOK {
		t.Errorf("/livez while draining = %d, want 200", status)
	}
	status, _, header := s.get("/ws/1?user_id=2&username=Bob", "Upgrade", "websocket", "Connection", "Upgrade")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("handshake while draining = %d, Retry-After %q, want 503 and seconds", status, header.Get("Retry-After"))
	}
	c.send(websocket.Close, string(websocket.ClosePayload(uint16(wire.CloseDrain), "")))
	if err := s.wait(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a stopped server: %v, want %v", err, syscall.ECONNREFUSED)
	}

	s = start(t, configFor(dir))
	c = s.connect("1")
	defer c.Close()
	if stored := nonces(c.want("connected")); !slices.Equal(stored, acknowledged) {
		t.Errorf("stored: %q, acknowledged: %q, want the same", stored, acknowledged)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

var nonce = regexp.MustCompile(`"nonce":"(n\d+)"`)

// nonces returns the nonces in a frame, in order.
func nonces(frame string) (found []string) {
	for _, m := range nonce.FindAllStringSubmatch(frame, -1) {
		found = append(found, m[1])
	}
	return found
}

// A client that does not go is cut off when the time for draining is over,
// and that is an orderly stop too.
func TestDrainIsLimited(t *testing.T) {
	cfg := configFor(t.TempDir())
	cfg.Shutdown.Drain = time.Millisecond
	s := start(t, cfg)
	c := s.connect("1")
	defer c.Close()
	c.want("connected")
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestSecondServerOnOneFolder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, configFor(dir))
	second, err := New(t.Context(), configFor(dir), slog.New(slog.DiscardHandler))
	if locked, ok := errors.AsType[*sqlite.LockedError](err); !ok || locked.PID != os.Getpid() || second != nil {
		t.Errorf("New on a folder in use = %v, %v, want a LockedError that names this process", second, err)
	}
	c := s.connect("1") // the first one is none the worse
	c.want("connected")
	c.Close()
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestPortTaken(t *testing.T) {
	addr, err := services.FreeAddr() // nobody is given it in the moment in which it is let go of
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := configFor(t.TempDir())
	cfg.Listen = addr
	if _, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("New = %v, want %v", err, syscall.EADDRINUSE)
	}
	l.Close()
	s := start(t, cfg) // the folder was let go of
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// A store that must not be trusted any more ends the server, which tells its
// clients to come back.
func TestBrokenStoreEndsTheServer(t *testing.T) {
	dir := t.TempDir()
	damage(t, dir)
	s := start(t, configFor(dir))
	c := s.connect("2") // an empty room: nothing damaged is read
	defer c.Close()
	c.want("connected")
	lost := s.connect("1")
	defer lost.Close()
	lost.want("error")
	lost.wantClose(wire.CloseStoreUnavailable)
	c.send(websocket.Text, `{"type":"message","content":"hola"}`)
	if got := c.want("error"); !strings.Contains(got, `"code":"store_unavailable"`) {
		t.Errorf("the post was answered with %s, want store_unavailable", got)
	}
	c.wantClose(wire.CloseDrain)
	if err := s.wait(); !errors.Is(err, store.ErrBroken) {
		t.Errorf("Run = %v, want %v", err, store.ErrBroken)
	}
}

// damage leaves a database of which all but the beginning is destroyed.
func damage(t *testing.T, dir string) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]store.Append, 2000)
	for i := range rows {
		rows[i] = store.Append{Room: "1", Kind: chat.KindMessage, Actor: chat.User{ID: "1", Name: "Ana"}, Body: chat.MessageBody("a text of some length, so that pages fill"), MayCreate: true}
	}
	if _, err := st.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("database files: %v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 40 * 4096; i < len(content); i++ {
		content[i] = 0xA5
	}
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// docs/protocol.md §2.3, §10: what is refused on HTTP.
func TestRoutes(t *testing.T) {
	s := start(t, configFor(t.TempDir()))
	for _, c := range []struct {
		path   string
		header []string
		status int
	}{
		{"/ws/stats", nil, http.StatusOK},
		{"/ws/stats", []string{"Host", "chat.example.org"}, http.StatusForbidden},
		{"/ws/stats", []string{"X-Forwarded-For", "192.0.2.1"}, http.StatusForbidden},
		{"/ws/1", nil, http.StatusUpgradeRequired},
		{"/ws/", nil, http.StatusNotFound},
		{"/", nil, http.StatusOK}, // leads to the reference
		{"/nothing", nil, http.StatusNotFound},
		{"/health", nil, http.StatusOK},
		{"/livez", []string{"Host", "chat.example.org"}, http.StatusOK},
		{"/readyz", []string{"X-Forwarded-For", "192.0.2.1"}, http.StatusOK},
		{"/health?" + strings.Repeat("x", 15<<10), nil, http.StatusOK},
		{"/health?" + strings.Repeat("x", 16<<10+1), nil, http.StatusRequestHeaderFieldsTooLarge},
	} {
		if status, _, _ := s.get(c.path, c.header...); status != c.status {
			t.Errorf("GET %.20s with %q = %d, want %d", c.path, c.header, status, c.status)
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// The configuration's zero grace is none, which is another than the default.
func TestGrace(t *testing.T) {
	for _, given := range []time.Duration{0, time.Second, 10 * time.Second} {
		cfg := config.Default()
		cfg.Presence.Grace = given
		want := given
		if want == 0 {
			want = -1
		}
		if got := graceOf(&cfg); got != want {
			t.Errorf("a grace of %v becomes %v, want %v", given, got, want)
		}
	}
}
