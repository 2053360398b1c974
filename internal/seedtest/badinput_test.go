package seedtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// frame makes a masked frame.
func frame(op ws.OpCode, fin bool, payload string) []byte {
	return masked(ws.NewFrame(op, fin, []byte(payload)))
}

// header makes the header of a masked frame without its payload.
func header(op ws.OpCode, fin bool, length int64) []byte {
	var b bytes.Buffer
	ws.WriteHeader(&b, ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: length})
	return b.Bytes()
}

// fragments makes a finished message of n frames: one that is not finished
// would be ended by its time.
func fragments(n int, payload string) []byte {
	b := append(frame(ws.OpText, false, payload), bytes.Repeat(frame(ws.OpContinuation, false, payload), n-2)...)
	return append(b, frame(ws.OpContinuation, true, payload)...)
}

// What a client may do wrong: docs/protocol.md §3, §8 and §9. Each case has
// somebody else in its room, under the same user so that no coming and going is
// announced, who must notice nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	before := s.residentBytes(t)

	t.Run("connections", func(t *testing.T) {
		for _, tt := range badFrames {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				room := newRoom()
				bystander, _ := join(t, s.addr, room, "1", "Juan")
				c, _ := join(t, s.addr, room, "1", "Juan")
				c.tryWrite(tt.bytes) // may fail half-way: the server has closed
				wantCloseAfterPongs(c, tt.code)
				bystander.wantAlive()
				eventually(t, patience, "the connection is gone", func() bool {
					return getStats(t, s.addr).Rooms[room].Connections == 1
				})
			})
		}
		t.Run("A20 twenty errors in ten seconds", func(t *testing.T) {
			t.Parallel()
			room := newRoom()
			bystander, _ := join(t, s.addr, room, "1", "Juan")
			c, _ := join(t, s.addr, room, "1", "Juan")
			for range 19 {
				c.send("?")
				c.wantError("invalid_json")
			}
			c.wantAlive()
			c.send(`{"type":"message","content":""}`)
			c.wantError("empty_content")
			if got, want := c.wantClose(4509), "too_many_errors"; got != want {
				t.Errorf("reason = %q, want %q", got, want)
			}
			bystander.wantAlive()
		})
		t.Run("§9 a frame of exactly 64 KiB", func(t *testing.T) {
			t.Parallel()
			c, _ := join(t, s.addr, newRoom(), "1", "Juan")
			ping := `{"type":"ping","x":"`
			c.send(ping + strings.Repeat("x", 64<<10-len(ping)-2) + `"}`)
			c.want("pong")
		})
		t.Run("§9 a frame in exactly 64 fragments", func(t *testing.T) {
			t.Parallel()
			c, _ := join(t, s.addr, newRoom(), "1", "Juan")
			c.write(frame(ws.OpText, false, `{"type":`))
			for range 62 {
				c.write(frame(ws.OpContinuation, false, " "))
			}
			c.write(frame(ws.OpContinuation, true, `"ping"}`))
			c.want("pong")
		})
		t.Run("§9 many who began a frame", func(t *testing.T) {
			// Not beside the others: from its beginning a frame has ten seconds.
			room := newRoom()
			bystander, _ := join(t, s.addr, room, "1", "Juan")
			begun := make([]*client, 200)
			for i := range begun {
				begun[i], _ = enter(t, s.addr, room, "1", "Juan")
			}
			for _, c := range begun {
				c.write(append(header(ws.OpText, true, 64<<10), bytes.Repeat([]byte{1, 2, 3, 4}, 15<<10)...))
			}
			bystander.post("sigo aquí")
			for _, c := range begun {
				c.want("message")
				c.drop()
			}
			bystander.wantAlive()
		})
		t.Run("§9 a client that reads no answers is not read from", func(t *testing.T) {
			t.Parallel()
			room := newRoom()
			bystander, _ := join(t, s.addr, room, "1", "Juan")
			c, _ := join(t, s.addr, room, "1", "Juan")
			ping := frame(ws.OpText, true, `{"type":"ping","t":"`+strings.Repeat("x", 240)+`"}`)
			packet := bytes.Repeat(ping, 1000)
			c.conn.SetWriteDeadline(time.Now().Add(3 * time.Second))
			written := 0
			for range 400 { // 100 MB: what the server would have to hold
				n, err := c.conn.Write(packet)
				written += n
				if err != nil {
					break
				}
			}
			if written > 64<<20 {
				t.Errorf("the server took %d MiB of commands from a client that reads no answers", written>>20)
			}
			bystander.wantAlive()
			c.drop()
		})
	})

	t.Run("handshakes", func(t *testing.T) { badHandshakes(t, s) })

	s.wantGrownBy(t, before, 64<<20)
	if strings.Contains(s.log(), "panic") {
		t.Errorf("the server's log speaks of a panic:\n%s", s.logTail())
	}
}

// badFrames are what ends a connection.
var badFrames = []struct {
	name  string
	bytes []byte
	code  ws.StatusCode
}{
	{"invalid UTF-8", frame(ws.OpText, true, "{\"type\":\"ping\",\"x\":\"\xff\"}"), 1007},
	{"overlong UTF-8", frame(ws.OpText, true, "\"\xc0\xaf\""), 1007},
	{"a surrogate in UTF-8", frame(ws.OpText, true, "\"\xed\xa0\x80\""), 1007},
	{"cut UTF-8", frame(ws.OpText, true, "\"\xf0\x9f\xa6"), 1007},
	{"invalid UTF-8 in the middle of a message", frame(ws.OpText, false, "\"\xff"), 1007},
	{"invalid UTF-8 in a close reason", frame(ws.OpClose, true, "\x03\xe8\xff\xff"), 1007},
	{"binary frame", frame(ws.OpBinary, true, "{}"), 1003},
	{"empty binary frame", frame(ws.OpBinary, true, ""), 1003},
	{"unmasked frame", ws.MustCompileFrame(textFrame(`{"type":"ping"}`)), 1002},
	{"unmasked close", ws.MustCompileFrame(ws.NewCloseFrame(nil)), 1002},
	{"reserved bit 1", masked(ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpText, Rsv: ws.Rsv(true, false, false), Length: 2}, Payload: []byte("{}")}), 1002},
	{"reserved bit 3", masked(ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpText, Rsv: ws.Rsv(false, false, true), Length: 2}, Payload: []byte("{}")}), 1002},
	{"reserved data opcode", frame(0x3, true, "{}"), 1002},
	{"reserved control opcode", frame(0xb, true, "{}"), 1002},
	{"ping in fragments", frame(ws.OpPing, false, "x"), 1002},
	{"ping of 126 bytes", frame(ws.OpPing, true, strings.Repeat("x", 126)), 1002},
	{"continuation of nothing", frame(ws.OpContinuation, true, "{}"), 1002},
	{"message within a message", append(frame(ws.OpText, false, "{"), frame(ws.OpText, true, "{}")...), 1002},
	{"close of one byte", frame(ws.OpClose, true, "\x03"), 1002},
	{"close with a reserved code", frame(ws.OpClose, true, "\x03\xed"), 1002},
	{"close with code 0", frame(ws.OpClose, true, "\x00\x00"), 1002},
	{"a length beyond 2^63", []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 1002},
	{"a length of 2^63-1", header(ws.OpText, true, 1<<63-1), 1009},
	{"10 MB announced", header(ws.OpText, true, 10<<20), 1009},
	{"10 MB sent", append(header(ws.OpText, true, 10<<20), make([]byte, 10<<20)...), 1009},
	{"64 KiB and one byte", header(ws.OpText, true, 64<<10+1), 1009},
	{"64 KiB and one byte in fragments", append(frame(ws.OpText, false, strings.Repeat(" ", 40<<10)), header(ws.OpContinuation, false, 24<<10+1)...), 1009},
	{"a fragment that makes the length overflow", append(frame(ws.OpText, false, "xx"), header(ws.OpContinuation, false, 1<<63-1)...), 1009},
	{"65 fragments", fragments(65, " "), 1008},
	{"endless empty fragments", fragments(100_000, ""), 1008},
	{"flood of pings", bytes.Repeat(frame(ws.OpPing, true, "x"), 1000), 1008},
	{"flood of pongs", bytes.Repeat(frame(ws.OpPong, true, "x"), 1000), 1008},
	{"a frame begun and not finished", append(header(ws.OpText, true, 100), "half"...), 1008},
	{"a fragmented message not finished", frame(ws.OpText, false, "{"), 1008},
	{"an HTTP request", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 1002},
}

// wantCloseAfterPongs reads the close frame, which only pongs may precede.
func wantCloseAfterPongs(c *client, code ws.StatusCode) {
	c.t.Helper()
	for {
		f, err := c.read(patience)
		if err != nil {
			c.t.Fatalf("wait for close %d: %v", code, err)
		}
		switch f.Header.OpCode {
		case ws.OpPong:
			continue
		case ws.OpClose:
			if got, reason := ws.ParseCloseFrameData(f.Payload); got != code {
				c.t.Fatalf("closed with %d %q, want %d", got, reason, code)
			}
			return
		}
		c.t.Fatalf("got %s, want close %d", cut(string(f.Payload)), code)
	}
}

// badHandshakes are what never becomes a connection: docs/protocol.md §2.1.
func badHandshakes(t *testing.T, s *server) {
	bystander, _ := join(t, s.addr, newRoom(), "1", "Juan")
	addr := node(s.addr)
	good := string(handshakeRequest(addr, handshake{path: "/ws/1?user_id=1&username=Juan"}))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			panic("no " + old)
		}
		return strings.Replace(good, old, new, 1)
	}
	t.Run("answers", func(t *testing.T) {
		for _, tt := range []struct {
			name, request string
			status        int
		}{
			{"no key", replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400},
			{"short key", replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIA=="), 400},
			{"key that is no base64", replace("dGhlIHNhbXBsZSBub25jZQ==", "!!!!IHNhbXBsZSBub25jZQ=="), 400},
			{"no version", replace("Sec-WebSocket-Version: 13\r\n", ""), 426},
			{"version 8", replace("Version: 13", "Version: 8"), 426},
			{"no upgrade", replace("Upgrade: websocket\r\n", ""), 426},
			{"no connection", replace("Connection: Upgrade\r\n", ""), 400},
			{"POST", replace("GET ", "POST "), 405},
			{"body", replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"), 400},
			{"two hosts", replace("Host: ", "Host: localhost\r\nHost: "), 400},
			{"no host", replace("Host: "+addr+"\r\n", ""), 400},
			{"header of 1 MB", replace("\r\n\r\n", "\r\nX-Big: "+strings.Repeat("x", 1<<20)+"\r\n\r\n"), 431},
			{"headers of 1 MB", replace("\r\n\r\n", strings.Repeat("\r\nX-Many: x", 1<<17)+"\r\n\r\n"), 431},
			{"path of 1 MB", replace("/ws/1?", "/ws/"+strings.Repeat("x", 1<<20)+"?"), 431},
			{"username of 100 KB", replace("Juan", strings.Repeat("x", 100<<10)), 431},
			{"bad escape in the path", replace("/ws/1", "/ws/%zz"), 400},
			{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
			{"nonsense", "hola\r\n\r\n", 400},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(patience))
				go io.WriteString(conn, tt.request) // the server may answer before it has taken all
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatalf("got %v, want status %d", err, tt.status)
				}
				if resp.StatusCode != tt.status {
					t.Errorf("got %s, want %d", resp.Status, tt.status)
				}
			})
		}
		t.Run("slow", func(t *testing.T) {
			t.Parallel()
			slowHandshakes(t, addr, good)
		})
	})
	bystander.wantAlive()
	bystander.post("sigo aquí")
}

// slowHandshakes holds that a request that does not arrive is given up.
func slowHandshakes(t *testing.T, addr, request string) {
	const n = 300
	var conns []net.Conn
	for i := range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, request[:i%len(request)]) // from nothing to nearly all
		conns = append(conns, conn)
	}
	end := time.Now().Add(patience)
	for i, conn := range conns {
		conn.SetReadDeadline(end)
		b, err := io.ReadAll(conn) // nothing, or a status, and the end
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a handshake of %d bytes is still waited for after %v: %q", i%len(request), patience, b)
		}
	}
}

// An operator may bound the number of connections.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--limits-connections", "10")
	t.Run("§2.1 more connections than the operator allows are sent away", func(t *testing.T) {
		first, _ := join(t, s.addr, "1", "0", "Juan")
		for i := range 9 {
			join(t, s.addr, "1", fmt.Sprint(i+1), "Juan")
		}
		for range 3 {
			c := open(t, s.addr, handshake{path: roomPath("1", "11", "Juan")})
			if c.resp.StatusCode != http.StatusServiceUnavailable || c.resp.Header.Get("Retry-After") == "" {
				t.Errorf("handshake = %s, Retry-After %q, want 503 and a time", c.resp.Status, c.resp.Header.Get("Retry-After"))
			}
		}
		first.close()
		eventually(t, patience, "there is room again", func() bool { return getStats(t, s.addr).TotalConnections == 9 })
		join(t, s.addr, "1", "11", "Juan")
	})
}
