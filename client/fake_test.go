package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// fakeServer is a scripted server: the test accepts a connection, sends
// frames and wants frames.
type fakeServer struct {
	t     testing.TB
	url   string
	conns chan net.Conn
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)

	mu   sync.Mutex
	open []net.Conn
}

// listen returns a server on a loopback socket.
func listen(t testing.TB) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{t: t, url: "ws://" + l.Addr().String(), conns: make(chan net.Conn, 64)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		s.shut()
	})
	return s
}

// piped returns a server reached over in-memory pipes, for synctest.
func piped(t testing.TB) *fakeServer {
	s := &fakeServer{t: t, url: "ws://pipe", conns: make(chan net.Conn)}
	s.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case s.conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s
}

func (s *fakeServer) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
}

func (s *fakeServer) options() Options {
	return Options{
		URL:         s.url,
		Room:        "1",
		User:        chat.User{ID: "1", Name: "Juan"},
		DialContext: s.dial,
	}
}

// room opens a room on s and closes it at the end of the test.
func (s *fakeServer) room(change ...func(*Options)) *Room {
	s.t.Helper()
	o := s.options()
	for _, f := range change {
		f(&o)
	}
	r, err := Open(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.shut()
		r.Close()
	})
	return r
}

// patience bounds what a test waits for. It is longer than it takes to notice
// a dead network, and costs nothing when all is well.
const patience = time.Minute

// peer is the server's end of one connection.
type peer struct {
	t     testing.TB
	conn  net.Conn
	in    *websocket.Reader
	query url.Values
	path  string
}

// accept waits for a connection and answers its handshake.
func (s *fakeServer) accept() *peer {
	s.t.Helper()
	return s.welcome(s.request())
}

// welcome answers a handshake.
func (s *fakeServer) welcome(conn net.Conn, req *http.Request) *peer {
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		websocket.AcceptKey(req.Header.Get("Sec-WebSocket-Key")))
	return &peer{
		t: s.t, conn: conn, query: req.URL.Query(), path: req.URL.EscapedPath(),
		in: websocket.NewReader(conn, nil, websocket.Server, websocket.Limits{}),
	}
}

func (s *fakeServer) request() (net.Conn, *http.Request) {
	s.t.Helper()
	var conn net.Conn
	select {
	case conn = <-s.conns:
	case <-time.After(patience):
		s.t.Fatal("no connection came")
	}
	s.mu.Lock()
	s.open = append(s.open, conn)
	s.mu.Unlock()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		s.t.Fatalf("read handshake: %v", err)
	}
	return conn, req
}

// join accepts and greets a fresh connection with an empty log.
func (s *fakeServer) join() *peer {
	s.t.Helper()
	p := s.accept()
	p.greet(`"head":0,"cursor":"e1:0","history":[]`)
	return p
}

// greet sends the connected frame with these members in its data.
func (p *peer) greet(data string) {
	p.send(`{"type":"connected","room":"1","epoch":"e1","data":{"room_id":1,"active_users":[{"user_id":1,"username":"Juan"}],"active_count":1,` + data + `}}`)
}

func (p *peer) send(frames ...string) {
	var b []byte
	for _, f := range frames {
		b = websocket.AppendText(b, []byte(f))
	}
	p.conn.Write(b) // a client that has gone is the test's business
}

// message sends the durable event seq.
func (p *peer) message(seq int, content, nonce string) {
	p.send(messageJSON("e1", seq, 2, content, nonce))
}

func messageJSON(epoch string, seq, user int, content, nonce string) string {
	return fmt.Sprintf(`{"type":"message","room":"1","seq":%d,"epoch":%q,"tag":"%08x","data":%s}`,
		seq, epoch, seq, messageData(seq, user, content, nonce))
}

func messageData(id, user int, content, nonce string) string {
	extra := ""
	if nonce != "" {
		extra = fmt.Sprintf(`,"nonce":%q`, nonce)
	}
	return fmt.Sprintf(`{"seq":%d,"id":%d,"user_id":%d,"username":"U%d","content":%q,"created_at":"2026-11-23T19:00:00.000Z"%s}`,
		id, 100+id, user, user, content, extra)
}

func (p *peer) ack(seq int, nonce string, duplicate bool) {
	p.send(fmt.Sprintf(`{"type":"message_sent","message_id":%d,"timestamp":"2026-11-23T19:00:00.000Z","room":"1","data":{"message_id":%d,"timestamp":"2026-11-23T19:00:00.000Z","nonce":%q,"seq":%d,"duplicate":%v}}`,
		100+seq, 100+seq, nonce, seq, duplicate))
}

// refuse sends an error with these members in its data.
func (p *peer) refuse(data string) {
	p.send(`{"type":"error","message":"m","code":"c","data":{` + data + `}}`)
}

func (p *peer) close(code uint16, reason string) {
	p.conn.Write(websocket.AppendClose(nil, code, reason))
}

// kill breaks the connection without a word.
func (p *peer) kill() {
	if c, ok := p.conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	p.conn.Close()
}

// next returns the next message of the client.
func (p *peer) next() (websocket.Message, error) {
	timer := time.AfterFunc(patience, func() { p.conn.Close() })
	defer timer.Stop()
	return p.in.Next()
}

// want waits for a text frame of this type and returns it; pings are answered.
func (p *peer) want(typ string) map[string]any {
	p.t.Helper()
	for {
		m, err := p.next()
		if err != nil {
			p.t.Fatalf("want a frame %s: %v", typ, err)
		}
		if m.Op == websocket.Ping {
			p.conn.Write(websocket.AppendPong(nil, m.Payload))
			continue
		}
		if m.Op != websocket.Text {
			p.t.Fatalf("got opcode %d (code %d), want a frame %s", m.Op, m.Code, typ)
		}
		var f map[string]any
		if err := json.Unmarshal(m.Payload, &f); err != nil {
			p.t.Fatalf("got %s: %v", m.Payload, err)
		}
		if f["type"] != typ {
			p.t.Fatalf("got frame %s, want type %s", m.Payload, typ)
		}
		return f
	}
}

// wantPost waits for a post and returns its nonce.
func (p *peer) wantPost(content string) string {
	p.t.Helper()
	f := p.want("message")
	if f["content"] != content {
		p.t.Fatalf("got post %q, want %q", f["content"], content)
	}
	nonce, _ := f["nonce"].(string)
	if _, err := chat.ParseNonce(nonce); err != nil {
		p.t.Fatalf("post %q has nonce %q", content, nonce)
	}
	return nonce
}

// wantClose waits for the client's close frame.
func (p *peer) wantClose(code uint16) {
	p.t.Helper()
	m, err := p.next()
	if err != nil || m.Op != websocket.Close || m.Code != code {
		p.t.Fatalf("got %v %d %q, %v; want close %d", m.Op, m.Code, m.Payload, err, code)
	}
}

// wantEnd waits until the client has gone.
func (p *peer) wantEnd() {
	p.t.Helper()
	for {
		if _, err := p.next(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") && !errors.Is(err, io.ErrClosedPipe) {
				p.t.Fatalf("got %v, want the end of the connection", err)
			}
			return
		}
	}
}

// seen describes an event in few words, so that tests read as dialogues.
func seen(e Event, err error) string {
	switch e := e.(type) {
	case Connected:
		return fmt.Sprintf("connected head %d resumed %v", e.Head, e.Resumed)
	case Message:
		s := fmt.Sprintf("%d %s: %s", e.Seq, e.From.Name, e.Content)
		if e.History {
			s = "history " + s
		}
		return s
	case Joined:
		return e.User.Name + " joined"
	case Left:
		return e.User.Name + " left"
	case Typing:
		return fmt.Sprintf("%s types %v", e.User.Name, e.On)
	case Gap:
		return fmt.Sprintf("gap %s %d-%d", e.Reason, e.From, e.To)
	case StateChanged:
		return fmt.Sprintf("%v after %v, attempt %d, code %d", e.State, e.Previous, e.Attempt, e.Code)
	case ServerError:
		return "error " + string(e.Err.Code)
	case Malformed:
		return fmt.Sprintf("malformed %d", e.Seq)
	case Other:
		return fmt.Sprintf("other %s %d", e.Type, e.Seq)
	}
	return fmt.Sprintf("error %v", err)
}

// wantEvents takes as many events as are wanted. Changes of state are left
// out unless wanted.
func wantEvents(t testing.TB, r *Room, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if len(want) == 0 {
		return
	}
	i := 0
	for e, err := range r.Events(ctx) {
		got := seen(e, err)
		if _, change := e.(StateChanged); change && got != want[i] {
			continue
		}
		if got != want[i] {
			t.Fatalf("event %d: got %q, want %q", i, got, want[i])
		}
		if i++; i == len(want) {
			return
		}
	}
	t.Fatalf("the events ended before %q", want[i])
}
