package authtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// socket is a WebSocket in the hands of a test.
type socket struct {
	net.Conn
	in   *websocket.Reader
	busy bool // the store could not be reached in time
}

func dial(n *node, path string, header http.Header) (*socket, error) {
	nc, err := net.Dial("tcp", n.addr())
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", path)
	header.Write(&b)
	if _, err := io.WriteString(nc, b.String()+"\r\n"); err != nil {
		return nil, err
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		nc.Close()
		return nil, fmt.Errorf("handshake: %v, %w", resp, err)
	}
	early, _ := br.Peek(br.Buffered())
	return &socket{Conn: nc, in: websocket.NewReader(nc, early, websocket.Client, websocket.Limits{MaxMessageBytes: -1, Idle: patience})}, nil
}

func (s *socket) send(frame string) {
	s.Write(websocket.AppendMasked(nil, websocket.Text, []byte(frame))) // a socket that is closed says so to its reader
}

// frame is what a test looks at in a frame.
type frame struct {
	Type, Re, Room, Code string
	Seq                  uint64
	text                 string
	closed               int // the code of a close frame
}

func (s *socket) next() (frame, error) {
	m, err := s.in.Next()
	if err != nil {
		return frame{}, err
	}
	f := frame{text: string(m.Payload)}
	if m.Op == websocket.Close {
		f.closed = int(m.Code)
		return f, nil
	}
	err = json.Unmarshal(m.Payload, &f)
	s.busy = s.busy || f.Code == string(chat.StoreUnavailable)
	return f, err
}

// outcome reads up to the answer to the command c, or the end: the code of the
// refusal, empty for none, its text, and the code of the close.
func (s *socket) outcome() (code, text string, closed int, err error) {
	var last frame
	for {
		f, err := s.next()
		switch {
		case err != nil:
			return "", last.text, 0, err
		case f.closed > 0:
			return last.Code, last.text, f.closed, nil
		case f.Re == "c":
			return f.Code, f.text, 0, nil
		case f.Re == "end": // a command that is not answered has gone well
			return "", "", 0, nil
		case f.Type == "error":
			last = f
		}
	}
}

// typesOfV1 reads the commands from where the server reads them.
func typesOfV1(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("../../wire/request.go")
	if err != nil {
		t.Fatal(err)
	}
	_, fillers, ok := strings.Cut(string(source), "var requestFillers = ")
	fillers, _, end := strings.Cut(fillers, "\n}\n")
	if !ok || !end {
		t.Fatal("wire/request.go has no table of commands")
	}
	var types []string
	for _, m := range regexp.MustCompile(`(?m)^\tType(\w+):`).FindAllStringSubmatch(fillers, -1) {
		types = append(types, strings.ToLower(m[1]))
	}
	return types
}

// Every command of v1, sent by everybody, about every kind of room.
func TestCommands(t *testing.T) {
	types := typesOfV1(t)
	for _, typ := range types {
		if _, ok := commands[typ]; !ok {
			t.Errorf("the table of rights has no row for the command %s", typ)
		}
	}
	for name := range commands {
		if !slices.Contains(types, operationOf(name)) {
			t.Errorf("the table of rights has the command %s, which there is not", name)
		}
	}
	tryCommands(t, commands, func(n *node, c *cell) (*socket, error) {
		h := c.credential(t)
		h.Set("Sec-WebSocket-Protocol", "tertulia.v1")
		s, err := dial(n, "/ws", h)
		if err == nil && (strings.HasPrefix(c.row, "typing") || c.row == "presence" || c.row == "unsubscribe") && c.who != "anonymous" {
			s.send(c.fill(`{"type":"subscribe","id":"s","rooms":[{"room":"ROOM"}]}`, "", asIs))
		}
		return s, err
	})
}

// Every command of the seed profile, likewise.
func TestSeedCommands(t *testing.T) {
	tryCommands(t, seedCommands, func(n *node, c *cell) (*socket, error) {
		return dial(n, "/ws/"+url.PathEscape(string(c.room)), c.credential(t))
	})
}

func tryCommands(t *testing.T, table map[string]row, connect func(*node, *cell) (*socket, error)) {
	dir := place(t)
	cells := some(cellsOf(table, 0))
	build(t, dir, cells)
	n := start(t, dir)
	unknown := newSameness()
	each(cells, func(c *cell) {
		body := strings.ReplaceAll(c.fill(table[c.row].body, "", asIs), "TOKEN", tokenOf(t, c.user(c.subject()), time.Minute, time.Hour))
		var code, text string
		var closed int
		var err error
		whileBusy(func() bool {
			var s *socket
			if s, err = connect(n, c); err != nil {
				return false
			}
			defer s.Close()
			s.send(body)
			s.send(`{"type":"ping","id":"end"}`)
			code, text, closed, err = s.outcome()
			return s.busy
		})
		want := answers[c.want]
		if err != nil || code != string(want.code) || closed != 0 && closed != want.close {
			t.Errorf("%s: %q %s, close %d, %v, want %q, close %d at most", c, code, text, closed, err, want.code, want.close)
		}
		if c.want == '.' {
			return
		}
		c.tellsNothing(t, text)
		if c.want == 'N' {
			unknown.hold(t, c, c.forget(text))
		}
	})
	t.Logf("%d cells", len(cells))
	n.stop()
	checkUnchanged(t, dir, cells)
}

// subject is the user as whom a cell asks.
func (c *cell) subject() string {
	if c.who == "acting" {
		return "member"
	}
	return c.who
}
