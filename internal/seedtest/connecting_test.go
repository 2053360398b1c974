package seedtest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"

	"tertulia/internal/oncluster"
)

// Endpoints and process: docs/protocol.md §2 and §10.
func TestConnecting(t *testing.T) {
	addr := anyServer(t)

	t.Run("S-001 S-002 a handshake joins the room as the user of the URL", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		_, connected := join(t, addr, room, "1", "Juan")
		if connected.Room != room {
			t.Errorf("connected.room = %q, want %q", connected.Room, room)
		}
		if got := connected.list("active_users"); len(got) != 1 || got[0]["user_id"] != 1.0 || got[0]["username"] != "Juan" {
			t.Errorf("active_users = %v, want user 1 Juan alone", got)
		}
	})

	t.Run("S-005 health says that the server can serve", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/health", "/livez", "/readyz"} {
			if resp, body := httpGet(t, "http://"+addr+path); resp.StatusCode != http.StatusOK {
				t.Errorf("GET %s = %s %s, want 200", path, resp.Status, body)
			}
		}
		var health struct {
			Status string            `json:"status"`
			Checks map[string]string `json:"checks"`
		}
		_, body := httpGet(t, "http://"+addr+"/health")
		if err := json.Unmarshal([]byte(body), &health); err != nil {
			t.Fatalf("GET /health = %s: %v", body, err)
		}
		if health.Status != "ok" || health.Checks["store"] != "ok" {
			t.Errorf("GET /health = %s, want status ok and store ok", body)
		}
	})

	t.Run("S-007 A15 a handshake to the statistics is refused by name", func(t *testing.T) {
		t.Parallel()
		for _, room := range []string{"stats", "inbox", "dm:1:2"} {
			c := dial(t, addr, roomPath(room, "1", "Juan"))
			c.wantError("reserved_room")
			c.wantClose(4500)
		}
	})

	t.Run("S-007 a plain GET of a room is no room", func(t *testing.T) {
		t.Parallel()
		resp, body := httpGet(t, "http://"+addr+"/ws/1")
		if resp.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("GET /ws/1 = %s %s, want 426", resp.Status, body)
		}
	})

	t.Run("S-012 a client without Origin connects", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.wantAlive()
	})

	t.Run("S-013 any Origin connects in development", func(t *testing.T) {
		t.Parallel()
		for _, origin := range []string{"null", "http://localhost:3000", "https://elsewhere.example", "chrome-extension://abcdefgh", "moz-extension://1-2-3", "file://"} {
			c := mustUpgrade(open(t, addr, handshake{
				path:   roomPath(newRoom(), "1", "Juan"),
				header: http.Header{"Origin": {origin}},
			}))
			c.want("connected")
		}
	})

	t.Run("S-018 an offer of permessage-deflate connects", func(t *testing.T) {
		t.Parallel()
		c := mustUpgrade(open(t, addr, handshake{
			path:   roomPath(newRoom(), "1", "Juan"),
			header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"}},
		}))
		if got := c.resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("Sec-WebSocket-Extensions = %q, want none", got)
		}
		c.want("connected")
		c.post("sin comprimir")
	})

	t.Run("§2.5 an offer of a subprotocol connects and selects none", func(t *testing.T) {
		t.Parallel()
		c := mustUpgrade(open(t, addr, handshake{
			path:   roomPath(newRoom(), "1", "Juan"),
			header: http.Header{"Sec-Websocket-Protocol": {"mqtt, graphql-ws"}},
		}))
		if got := c.resp.Header.Get("Sec-WebSocket-Protocol"); got != "" {
			t.Errorf("Sec-WebSocket-Protocol = %q, want none", got)
		}
		c.want("connected")
	})

	t.Run("S-019 names are any UTF-8", func(t *testing.T) {
		t.Parallel()
		for query, want := range map[string]string{
			"Jos%C3%A9%20P":      "José P",
			"Jos%C3%A9+P":        "José P",
			"%F0%9F%A6%91":       "🦑",
			"%E5%BC%A0%E4%BC%9F": "张伟",
			"a%22b%5Cc%3C%26":    `a"b\c<&`,
		} {
			c := dial(t, addr, "/ws/"+newRoom()+"?user_id=1&username="+query)
			if got := c.want("connected").column("active_users", "username"); len(got) != 1 || got[0] != want {
				t.Errorf("username=%s: active_users has %q, want %q", query, got, want)
			}
		}
	})

	t.Run("S-019 A22 room ids need not be numbers", func(t *testing.T) {
		t.Parallel()
		for path, want := range map[string]any{
			"42":                         42.0,
			"9007199254740991":           9007199254740991.0,
			"9007199254740992":           "9007199254740992",
			"007":                        "007",
			"general":                    "general",
			"General":                    "General",
			"caf%C3%A9":                  "café",
			"a_b.c:d-e%23f":              "a_b.c:d-e#f",
			"...":                        "...",
			strings.Repeat("x", 64):      strings.Repeat("x", 64),
			strings.Repeat("%C3%A9", 32): strings.Repeat("é", 32),
		} {
			c := dial(t, addr, "/ws/"+path+"?user_id=name-test&username=Juan")
			c.want("connected").field("room_id", want)
		}
	})

	t.Run("A4 ids are numbers if they are canonical integers", func(t *testing.T) {
		t.Parallel()
		for id, want := range map[string]any{
			"0": 0.0, "7": 7.0, "9007199254740991": 9007199254740991.0,
			"9007199254740992": "9007199254740992", "01": "01", "-1": "-1", "1.5": "1.5", "juan": "juan", "1e3": "1e3", "+1": "+1",
		} {
			_, connected := join(t, addr, newRoom(), id, "Juan")
			if got := connected.column("active_users", "user_id"); len(got) != 1 || got[0] != want {
				t.Errorf("user_id=%s: active_users has %#v, want %#v", id, got, want)
			}
		}
	})

	t.Run("A13 a missing identity is said inside the WebSocket", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("n", 129)
		for _, tt := range []struct{ name, query, code string }{
			{"no query", "", "missing_parameter"},
			{"no user_id", "?username=Juan", "missing_parameter"},
			{"no username", "?user_id=1", "missing_parameter"},
			{"empty", "?user_id=&username=", "missing_parameter"},
			{"blank username", "?user_id=1&username=%20%09", "invalid_parameter"},
			{"blank user_id", "?user_id=%20&username=Juan", "missing_parameter"},
			{"long user_id", "?user_id=" + long + "&username=Juan", "invalid_parameter"},
			{"long username", "?user_id=1&username=" + long, "invalid_parameter"},
			{"control character", "?user_id=1&username=a%00b", "invalid_parameter"},
			{"newline", "?user_id=1&username=a%0Ab", "invalid_parameter"},
			{"bad escape", "?user_id=1&username=%zz", "invalid_parameter"},
			{"not UTF-8", "?user_id=1&username=%FF%FE", "invalid_parameter"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := dial(t, addr, "/ws/"+newRoom()+tt.query)
				c.wantError(tt.code)
				c.wantClose(4500)
			})
		}
	})

	t.Run("§2.2 bad room names are refused", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{
			"%20", "a%20b", "a%2Fb", "a%3Fb", "%00", "%FF", "%2E", "%2E%2E", "a%22b", "%F0%9F%A6%91",
			strings.Repeat("x", 65), strings.Repeat("%C3%A9", 33),
		} {
			t.Run(path, func(t *testing.T) {
				c := dial(t, addr, "/ws/"+path+"?user_id=1&username=Juan")
				c.wantError("invalid_room")
				c.wantClose(4500)
			})
		}
	})

	t.Run("§2.1 bad parameters are refused", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct{ query, code string }{
			{"history=-1", "invalid_parameter"},
			{"history=201", "invalid_parameter"},
			{"history=all", "invalid_parameter"},
			{"history=1e2", "invalid_parameter"},
			{"after=x", "cursor_invalid"},
			{"after=a:b", "cursor_invalid"},
			{"after=a:1:zz", "cursor_invalid"},
			{"after=a:-1", "cursor_invalid"},
			{"after=a:1:00000000:1", "cursor_invalid"},
			{"after=" + strings.Repeat("a", 100) + ":1", "cursor_invalid"},
		} {
			t.Run(tt.query, func(t *testing.T) {
				c := dial(t, addr, roomPath(newRoom(), "1", "Juan", tt.query))
				c.wantError(tt.code)
				c.wantClose(4500)
			})
		}
	})

	t.Run("A14 A16 who comes from elsewhere is refused before the WebSocket", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name string
			h    handshake
		}{
			{"rebound name", handshake{host: "evil.example"}},
			{"rebound name with port", handshake{host: "evil.example:8000"}},
			{"loopback as a prefix", handshake{host: "127.0.0.1.evil.example"}},
			{"localhost as a prefix", handshake{host: "localhost.evil.example"}},
			{"other address", handshake{host: "192.168.1.7:8000"}},
			{"Forwarded", handshake{header: http.Header{"Forwarded": {"for=1.2.3.4"}}}},
			{"X-Forwarded-For", handshake{header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}}},
			{"X-Forwarded-Host", handshake{header: http.Header{"X-Forwarded-Host": {"chat.example"}}}},
			{"X-Forwarded-Proto", handshake{header: http.Header{"X-Forwarded-Proto": {"https"}}}},
			{"X-Real-IP", handshake{header: http.Header{"X-Real-Ip": {"1.2.3.4"}}}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				tt.h.path = roomPath(newRoom(), "1", "Juan")
				if got := open(t, addr, tt.h).resp.StatusCode; got != http.StatusForbidden {
					t.Errorf("handshake = %d, want 403", got)
				}
			})
		}
		for _, host := range []string{"localhost", "localhost:8000", "127.0.0.1", "127.8.8.8:1", "[::1]:8000", "LOCALHOST"} {
			mustUpgrade(open(t, addr, handshake{path: roomPath(newRoom(), "1", "Juan"), host: host})).want("connected")
		}
		for _, header := range [][]string{{"Host", "evil.example"}, {"X-Forwarded-For", "1.2.3.4"}} {
			if resp, body := httpGet(t, "http://"+addr+"/ws/stats", header...); resp.StatusCode != http.StatusForbidden {
				t.Errorf("GET /ws/stats with %q = %s %s, want 403", header, resp.Status, body)
			}
		}
	})

	t.Run("§10 other methods and paths", func(t *testing.T) {
		t.Parallel()
		resp, err := http.Post("http://"+node(addr)+"/ws/stats", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST /ws/stats = %s, want 405", resp.Status)
		}
		if resp, _ := httpGet(t, "http://"+addr+"/nothing/here"); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET /nothing/here = %s, want 404", resp.Status)
		}
	})
}

// A server that others can reach: docs/protocol.md §2.3 and §2.4. It listens
// on every address, so it has a network of its own.
func TestOrigins(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	s := startServerAt(t, t.TempDir(), "0.0.0.0:8000", "--auth-allow-open-on-any-address", "--origins", "https://chat.example")
	for _, tt := range []struct {
		origin  string
		allowed bool
	}{
		{"", true},
		{"http://chat.lan:8000", true}, // its own
		{"https://chat.example", true}, // of the list
		{"null", false},
		{"https://chat.lan:8000", false},
		{"http://chat.lan", false},
		{"http://chat.example", false},
		{"https://chat.example:444", false},
		{"https://chat.example.evil.example", false},
		{"https://evil.chat.example", false},
		{"chrome-extension://abcdefgh", false},
	} {
		t.Run("§2.4 origin "+tt.origin, func(t *testing.T) {
			h := handshake{path: roomPath(newRoom(), "1", "Juan"), host: "chat.lan:8000"}
			if tt.origin != "" {
				h.header = http.Header{"Origin": {tt.origin}}
			}
			c := mustUpgrade(open(t, s.addr, h))
			if tt.allowed {
				c.want("connected")
				return
			}
			c.wantError("forbidden")
			c.wantClose(4511)
		})
	}
	t.Run("§2.3 open mode on any address takes forwarded requests", func(t *testing.T) {
		mustUpgrade(open(t, s.addr, handshake{
			path:   roomPath(newRoom(), "1", "Juan"),
			host:   "chat.lan:8000",
			header: http.Header{"X-Forwarded-For": {"1.2.3.4"}},
		})).want("connected")
	})
}

// What an operator sees at level debug.
func TestDebugLog(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--log-level", "debug", "--log-format", "json")

	t.Run("S-009 a message and its connections can be followed, its text cannot", func(t *testing.T) {
		alice, _ := join(t, s.addr, "sala", "alicia", "Alice")
		bob, _ := join(t, s.addr, "sala", "roberto", "Bob")
		alice.want("user_joined")
		alice.post("un secreto")
		bob.want("message")
		bob.close()
		alice.want("user_left")
		readers := `"readers":2`
		if oncluster.Now() { // at each of two nodes
			readers = `"readers":1`
		}
		for what, words := range map[string][]string{
			"a connection opened":               {`"connection opened"`, `"room_id":"sala"`, `"user_id":"roberto"`},
			"the message received":              {`"message received"`, `"room_id":"sala"`, `"user_id":"alicia"`},
			"the message stored":                {`"message stored"`, `"room_id":"sala"`, `"seq":1`, `"user_id":"alicia"`},
			"the message fanned out":            {`"event fanned out"`, `"room_id":"sala"`, `"seq":1`, readers},
			"the message written to its author": {`"events written"`, `"user_id":"alicia"`, `"room_id":"sala"`, `"up_to":1`},
			"the message written to the other":  {`"events written"`, `"user_id":"roberto"`, `"room_id":"sala"`, `"up_to":1`},
			"a connection ended":                {`"connection ended"`, `"clean":true`},
		} {
			eventually(t, patience, "the log tells of "+what, func() bool { return hasLine(s.log(), words...) })
		}
		if strings.Contains(s.log(), "secreto") {
			t.Error("the text of a message is in the log")
		}
	})
}

// hasLine reports whether one line of a log has all the words.
func hasLine(log string, words ...string) bool {
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return true
		}
	}
	return false
}

// The parts of RFC 6455 that a well-behaved client uses.
func TestRFC6455(t *testing.T) {
	addr := anyServer(t)
	pong := func(c *client) { c.t.Helper(); c.want("pong") }

	for _, tt := range []struct {
		name string
		run  func(c *client)
	}{
		{"S-011 S-014 a ping frame is answered with its payload", func(c *client) {
			c.write(masked(ws.NewPingFrame([]byte("payload"))))
			f, err := c.read(patience)
			if err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "payload" {
				c.t.Fatalf("got opcode %x %q, %v, want a pong with the payload", f.Header.OpCode, f.Payload, err)
			}
		}},
		{"S-011 an unasked pong is ignored", func(c *client) {
			c.write(masked(ws.NewPongFrame([]byte("unasked"))))
			c.wantAlive()
		}},
		{"S-011 a message in fragments", func(c *client) {
			c.write(masked(ws.NewFrame(ws.OpText, false, []byte(`{"type":`))))
			c.write(masked(ws.NewFrame(ws.OpContinuation, false, nil)))
			c.write(masked(ws.NewFrame(ws.OpContinuation, true, []byte(`"ping"}`))))
			pong(c)
		}},
		{"S-011 a ping between fragments", func(c *client) {
			c.write(masked(ws.NewFrame(ws.OpText, false, []byte(`{"type":`))))
			c.write(masked(ws.NewPingFrame(nil)))
			if f, err := c.read(patience); err != nil || f.Header.OpCode != ws.OpPong {
				c.t.Fatalf("got opcode %x, %v, want a pong", f.Header.OpCode, err)
			}
			c.write(masked(ws.NewFrame(ws.OpContinuation, true, []byte(`"ping"}`))))
			pong(c)
		}},
		{"S-011 a character cut by fragments", func(c *client) {
			c.write(masked(ws.NewFrame(ws.OpText, false, []byte("{\"type\":\"message\",\"content\":\"\xc3"))))
			c.write(masked(ws.NewFrame(ws.OpContinuation, true, []byte("\xa9\"}"))))
			c.want("message_sent")
			c.want("message").field("content", "é")
		}},
		{"S-011 frames that come byte by byte", func(c *client) {
			for _, b := range masked(ws.NewTextFrame([]byte(`{"type":"ping"}`))) {
				c.write([]byte{b})
			}
			pong(c)
		}},
		{"S-011 many frames in one packet", func(c *client) {
			one := masked(ws.NewTextFrame([]byte(`{"type":"ping"}`)))
			c.write([]byte(strings.Repeat(string(one), 50)))
			for range 50 {
				pong(c)
			}
		}},
		{"S-011 a close code is sent back", func(c *client) {
			c.write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye"))))
			c.wantClose(1001)
		}},
		{"S-011 a close without a code is answered", func(c *client) {
			c.write(masked(ws.NewCloseFrame(nil)))
			f, err := c.read(patience)
			if err != nil || f.Header.OpCode != ws.OpClose {
				c.t.Fatalf("got opcode %x, %v, want a close frame", f.Header.OpCode, err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := join(t, addr, newRoom(), "1", "Juan")
			tt.run(c)
		})
	}
}
