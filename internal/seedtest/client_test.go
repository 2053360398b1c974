package seedtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"

	"tertulia/internal/schematest"
)

// patience bounds every wait for something that must happen; it is long
// because the machine may be busy, and costs nothing when all is well.
const patience = 30 * time.Second

// startLimit is how long a server may take until it serves.
const startLimit = 2 * time.Minute

// quiet is how long wantIdle listens to nothing.
const quiet = 150 * time.Millisecond

// serverTypes are the types that a server sends, docs/protocol.md §4: the
// prototype's and no others.
var serverTypes = []string{"connected", "message", "message_sent", "user_joined", "user_left", "typing", "pong", "error"}

// maxServerFrame is docs/protocol.md §9.
const maxServerFrame = 512 << 10

// client is one WebSocket in the hands of a test: send a frame, want a frame,
// want idle. It answers pings, and holds every frame that it reads to the
// rules of docs/protocol.md §3 and §4.
type client struct {
	t    *testing.T
	name string
	conn net.Conn
	in   *bufio.Reader
	resp *http.Response // of the handshake

	// record holds what goes to and fro to the schemas.
	record *schematest.Recorder
}

// handshake is what a test may say in opening a WebSocket.
type handshake struct {
	path   string // path and query
	host   string // Host header, the server's address if empty
	header http.Header
}

// open makes a TCP connection and a handshake, and returns the client
// whatever the answer was.
func open(t *testing.T, addr string, h handshake) *client {
	t.Helper()
	addr = node(addr)
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, name: h.path, conn: conn, in: bufio.NewReader(conn), record: schematest.Record(t, schematest.Seed)}
	c.write(handshakeRequest(addr, h))
	c.deadline(patience)
	if c.resp, err = http.ReadResponse(c.in, &http.Request{Method: http.MethodGet}); err != nil {
		t.Fatalf("%s: handshake: %v", h.path, err)
	}
	return c
}

func handshakeRequest(addr string, h handshake) []byte {
	host := h.host
	if host == "" {
		host = addr
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", h.path, host)
	b.WriteString("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	h.header.Write(&b)
	b.WriteString("\r\n")
	return []byte(b.String())
}

// dial opens a WebSocket that must be accepted.
func dial(t *testing.T, addr, path string) *client {
	t.Helper()
	return mustUpgrade(open(t, addr, handshake{path: path}))
}

func mustUpgrade(c *client) *client {
	c.t.Helper()
	if c.resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(c.resp.Body, 4<<10))
		c.t.Fatalf("%s: handshake = %s %s, want 101", c.name, c.resp.Status, body)
	}
	return c
}

// roomPath is the URL path of a room for one user, as the prototype has it.
// more is appended to the query.
func roomPath(room, id, name string, more ...string) string {
	q := "user_id=" + url.QueryEscape(id) + "&username=" + url.QueryEscape(name)
	for _, m := range more {
		q += "&" + m
	}
	return "/ws/" + url.PathEscape(room) + "?" + q
}

// join connects a user to a room and reads connected. In a cluster it goes to
// a node that knows who is there.
func join(t *testing.T, addr, room, id, name string, more ...string) (*client, event) {
	t.Helper()
	return enter(t, knowing(t, addr, room), room, id, name, more...)
}

// enter is join for who does not look at who is there.
func enter(t *testing.T, addr, room, id, name string, more ...string) (*client, event) {
	t.Helper()
	c := dial(t, addr, roomPath(room, id, name, more...))
	c.name = name
	return c, c.want("connected")
}

func (c *client) deadline(d time.Duration) { c.conn.SetReadDeadline(time.Now().Add(d)) }

// write sends bytes as they are.
func (c *client) write(b []byte) {
	c.t.Helper()
	if err := c.tryWrite(b); err != nil {
		c.t.Fatalf("%s: write: %v", c.name, err)
	}
}

// tryWrite is write for a connection that the server may have ended.
func (c *client) tryWrite(b []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b)
	c.conn.SetWriteDeadline(time.Time{})
	return err
}

// send sends one text frame.
func (c *client) send(frame string) {
	c.t.Helper()
	c.record.Sent([]byte(frame))
	c.write(masked(ws.NewTextFrame([]byte(frame))))
}

// sendf sends one text frame made from a format.
func (c *client) sendf(format string, args ...any) {
	c.t.Helper()
	c.send(fmt.Sprintf(format, args...))
}

func masked(f ws.Frame) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4}))
}

// post sends a message, and reads message_sent and the client's own copy.
func (c *client) post(content string) event {
	c.t.Helper()
	c.send(messageFrame(content, ""))
	sent := c.want("message_sent")
	c.want("message").field("content", content).field("id", sent.Data["message_id"])
	return sent
}

func messageFrame(content, nonce string) string {
	m := map[string]string{"type": "message", "content": content}
	if nonce != "" {
		m["nonce"] = nonce
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// read returns the next data or close frame, or the error that ended the wait.
func (c *client) read(wait time.Duration) (ws.Frame, error) {
	c.deadline(wait)
	for {
		f, err := ws.ReadFrame(c.in)
		if err != nil {
			return f, err
		}
		switch {
		case f.Header.Masked:
			return f, errors.New("the server masked a frame")
		case f.Header.Rsv != 0:
			return f, errors.New("the server set a reserved bit")
		case f.Header.OpCode == ws.OpPing:
			if err := c.tryWrite(masked(ws.NewPongFrame(f.Payload))); err != nil {
				return f, err
			}
		default:
			return f, nil
		}
	}
}

// next returns the next event; it must come.
func (c *client) next() event {
	c.t.Helper()
	f, err := c.read(patience)
	if err != nil {
		c.t.Fatalf("%s: wait for a frame: %v", c.name, err)
	}
	if f.Header.OpCode == ws.OpClose {
		code, reason := ws.ParseCloseFrameData(f.Payload)
		c.t.Fatalf("%s: closed with %d %q, want an event", c.name, code, reason)
	}
	return c.parse(f)
}

// want returns the next event, which must be of this type.
func (c *client) want(typ string) event {
	c.t.Helper()
	e := c.next()
	if e.Type != typ {
		c.t.Fatalf("%s: got %s, want type %s", c.name, e.raw, typ)
	}
	return e
}

// wantAmong reads as many events as types are given, which may come in any
// order, and returns them in the order of types.
func (c *client) wantAmong(types ...string) []event {
	c.t.Helper()
	events := make([]event, len(types))
	for range types {
		e := c.next()
		i := slices.Index(types, e.Type)
		for i >= 0 && events[i].raw != "" {
			next := slices.Index(types[i+1:], e.Type)
			if next < 0 {
				i = -1
				break
			}
			i += 1 + next
		}
		if i < 0 {
			c.t.Fatalf("%s: got %s, want types %v", c.name, e.raw, types)
		}
		events[i] = e
	}
	return events
}

// wantError returns the next event, which must be an error with this code.
func (c *client) wantError(code string) event {
	c.t.Helper()
	e := c.want("error")
	if e.Code != code {
		c.t.Fatalf("%s: got %s, want code %s", c.name, e.raw, code)
	}
	return e
}

// wantClose reads the close frame, which must be next, answers it as RFC 6455
// §5.5.1 asks, and holds that the connection then ends.
func (c *client) wantClose(code ws.StatusCode) (reason string) {
	c.t.Helper()
	f, err := c.read(patience)
	if err != nil {
		c.t.Fatalf("%s: wait for close %d: %v", c.name, code, err)
	}
	if f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("%s: got %s, want close %d", c.name, cut(string(f.Payload)), code)
	}
	got, reason := ws.ParseCloseFrameData(f.Payload)
	if got != code {
		c.t.Fatalf("%s: closed with %d %q, want %d", c.name, got, reason, code)
	}
	c.tryWrite(masked(ws.NewCloseFrame(f.Payload))) // one too many if we closed first: the server reads no more
	if f, err := c.read(patience); err == nil {
		c.t.Fatalf("%s: a frame after the close: %s", c.name, cut(string(f.Payload)))
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%s: the server did not end the connection after its close frame", c.name)
	}
	return reason
}

// wantIdle holds that nothing comes for a while.
func (c *client) wantIdle() {
	c.t.Helper()
	f, err := c.read(quiet)
	if err == nil {
		c.t.Fatalf("%s: got %s, want nothing", c.name, cut(string(f.Payload)))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%s: wait for nothing: %v", c.name, err)
	}
}

// wantAlive holds that the connection works and that nothing had come before
// the answer.
func (c *client) wantAlive() {
	c.t.Helper()
	c.send(`{"type":"ping"}`)
	c.want("pong")
}

// close closes cleanly, and waits for the server's answer.
func (c *client) close() {
	c.t.Helper()
	c.write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
	for {
		f, err := c.read(patience)
		if err != nil {
			c.t.Fatalf("%s: wait for the answer to close: %v", c.name, err)
		}
		if f.Header.OpCode == ws.OpClose {
			break
		}
	}
	c.conn.Close()
}

// drop ends the TCP connection without a word, as a crashed client does.
func (c *client) drop() {
	c.conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}

// parse holds a frame to the rules for all frames.
func (c *client) parse(f ws.Frame) event {
	c.t.Helper()
	e := event{t: c.t, raw: string(f.Payload)}
	switch {
	case f.Header.OpCode != ws.OpText || !f.Header.Fin:
		c.t.Fatalf("%s: got a frame with opcode %x, fin %t, want a whole text frame", c.name, f.Header.OpCode, f.Header.Fin)
	case len(f.Payload) > maxServerFrame:
		c.t.Fatalf("%s: got a frame of %d bytes, want at most %d", c.name, len(f.Payload), maxServerFrame)
	case !utf8.Valid(f.Payload):
		c.t.Fatalf("%s: got a frame that is not UTF-8: %q", c.name, f.Payload)
	}
	// Unmarshal is strict: one value, no duplicate names.
	if err := json.Unmarshal(f.Payload, &e.Top); err != nil {
		c.t.Fatalf("%s: got %s, want one JSON object: %v", c.name, e, err)
	}
	if err := json.Unmarshal(f.Payload, &e); err != nil {
		c.t.Fatalf("%s: got %s: %v", c.name, e, err)
	}
	switch _, hasSeq := e.Top["seq"]; {
	case !slices.Contains(serverTypes, e.Type):
		c.t.Fatalf("%s: got %s, want a type among %v", c.name, e, serverTypes)
	case e.Data == nil:
		c.t.Fatalf("%s: got %s, want an object data", c.name, e)
	case hasSeq && e.Type != "message":
		c.t.Fatalf("%s: got %s, want a top-level seq on messages alone", c.name, e)
	}
	c.record.Received(f.Payload)
	return e
}

// event is one frame from the server.
type event struct {
	t   *testing.T
	raw string

	Top  map[string]any `json:"-"` // all members
	Data map[string]any `json:"data"`

	Type      string  `json:"type"`
	Room      string  `json:"room"`
	Seq       uint64  `json:"seq"`
	Epoch     string  `json:"epoch"`
	Tag       string  `json:"tag"`
	Re        string  `json:"re"`
	Code      string  `json:"code"`
	Message   string  `json:"message"`
	MessageID float64 `json:"message_id"`
	Timestamp string  `json:"timestamp"`
}

func (e event) String() string { return cut(e.raw) }

// cut keeps failures readable when a frame is long.
func cut(s string) string {
	if len(s) > 600 {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:600], ""), len(s))
	}
	return s
}

// field holds that a member of data has this value; want nil is no member.
// Numbers are float64 or int.
func (e event) field(name string, want any) event {
	e.t.Helper()
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got := e.Data[name]; got != want {
		e.t.Fatalf("data.%s = %#v, want %#v, in %s", name, got, want, e)
	}
	return e
}

// cursor is the place after a message, docs/protocol.md §4.3.
func (e event) cursor() string { return fmt.Sprintf("%s:%d:%s", e.Epoch, e.Seq, e.Tag) }

// list returns a member of data that is an array of objects.
func (e event) list(name string) []map[string]any {
	e.t.Helper()
	items, ok := e.Data[name].([]any)
	if !ok {
		e.t.Fatalf("data.%s = %v, want an array, in %s", name, e.Data[name], e)
	}
	objects := make([]map[string]any, len(items))
	for i, item := range items {
		if objects[i], ok = item.(map[string]any); !ok {
			e.t.Fatalf("data.%s[%d] = %v, want an object, in %s", name, i, item, e)
		}
	}
	return objects
}

// column returns one member of every object of a list.
func (e event) column(list, name string) []any {
	e.t.Helper()
	var column []any
	for _, item := range e.list(list) {
		column = append(column, item[name])
	}
	return column
}

func textFrame(s string) ws.Frame { return ws.NewTextFrame([]byte(s)) }

// noiseFrame is a message of somebody else.
var noiseFrame = masked(textFrame(`{"type":"message","content":"ruido"}`))
