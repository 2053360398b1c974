package gateway

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/peer"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// docs/protocol.md §2.1, §2.3: what is refused before the upgrade.
func TestHandshakeRefusals(t *testing.T) {
	n := newTCPNode(t)
	plain := func(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }
	cases := []struct {
		name, request string
		status        int
	}{
		{"good", goodHandshake("/ws/1" + ana), http.StatusSwitchingProtocols},
		{"foreign Host", strings.Replace(goodHandshake("/ws/1"+ana), "localhost:8000", "chat.example.org", 1), http.StatusForbidden},
		{"forwarded", goodHandshake("/ws/1"+ana, "X-Forwarded-For: 192.0.2.1"), http.StatusForbidden},
		{"foreign Host and no handshake", plain("GET /ws/1 HTTP/1.1", "Host: chat.example.org"), http.StatusForbidden},
		{"plain GET", plain("GET /ws/1 HTTP/1.1", "Host: localhost"), http.StatusUpgradeRequired},
		{"another version", strings.Replace(goodHandshake("/ws/1"+ana), "Version: 13", "Version: 8", 1), http.StatusUpgradeRequired},
		{"no key", strings.Replace(goodHandshake("/ws/1"+ana), "Sec-WebSocket-Key", "X-Key", 1), http.StatusBadRequest},
		{"POST", strings.Replace(goodHandshake("/ws/1"+ana), "GET", "POST", 1), http.StatusMethodNotAllowed},
		{"HEAD", strings.Replace(goodHandshake("/ws/1"+ana), "GET", "HEAD", 1), http.StatusMethodNotAllowed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			nc, _, resp := n.request(c.request)
			defer nc.Close()
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
		})
	}
}

func TestDrainingRefusesHandshakes(t *testing.T) {
	n := newTCPNode(t)
	n.Refuse()
	wantUnavailable(t, n)
}

func TestMaxConnections(t *testing.T) {
	n := newTCPNode(t, func(c *Config) { c.MaxConnections = 2 })
	a, b := n.enter("/ws/1"+ana), n.enter("/ws/1"+ana)
	defer b.Close()
	wantUnavailable(t, n)
	a.leave()
	eventually(t, "the connection's end", func() bool { return n.Connections() == 1 })
	n.enter("/ws/1" + ana).leave()
}

func wantUnavailable(t *testing.T, n *node) {
	t.Helper()
	nc, _, resp := n.request(goodHandshake("/ws/1" + ana))
	defer nc.Close()
	body, _ := io.ReadAll(resp.Body)
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if resp.StatusCode != http.StatusServiceUnavailable || err != nil || after < 1 || len(body) == 0 {
		t.Errorf("status %d, Retry-After %q, body %q, want 503, seconds and a sentence", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

// docs/protocol.md §2.1, §2.2: what is refused after the upgrade, and in
// which order it is looked at.
func TestHello(t *testing.T) {
	n := newTCPNode(t)
	cases := []struct {
		name, target string
		refused      chat.Code // empty: connected
	}{
		{"prototype", "/ws/1?user_id=1&username=Juan", ""},
		{"room of letters", "/ws/ca%C3%B1a%23a:b?user_id=1&username=Juan", ""},
		{"name with spaces", "/ws/1?user_id=1&username=Jos%C3%A9+P%20Q", ""},
		{"unknown parameter", "/ws/1?user_id=1&username=Juan&x=y", ""},
		{"the first of two counts", "/ws/1?user_id=1&username=Juan&username=", ""},
		{"the first of two is blank", "/ws/1?user_id=1&username=&username=Juan", chat.MissingParameter},
		{"slash in the room", "/ws/a%2Fb" + ana, chat.InvalidRoom},
		{"space in the room", "/ws/a%20b" + ana, chat.InvalidRoom},
		{"dots", "/ws/%2E%2E" + ana, chat.InvalidRoom},
		{"room that is not UTF-8", "/ws/%FF" + ana, chat.InvalidRoom},
		{"longest room", "/ws/" + strings.Repeat("a", chat.MaxRoomIDBytes) + ana, ""},
		{"room too long", "/ws/" + strings.Repeat("a", chat.MaxRoomIDBytes+1) + ana, chat.InvalidRoom},
		{"stats", "/ws/stats" + ana, chat.ReservedRoom},
		{"direct messages", "/ws/dm:1:2" + ana, chat.ReservedRoom},
		{"nobody", "/ws/1", chat.MissingParameter},
		{"no name", "/ws/1?user_id=1", chat.MissingParameter},
		{"blank name", "/ws/1?user_id=1&username=+", chat.MissingParameter},
		{"name that is not UTF-8", "/ws/1?user_id=1&username=%FF", chat.InvalidParameter},
		{"escape sequence", "/ws/1?user_id=1&username=%1B[31m", chat.InvalidParameter},
		{"query not well-formed", "/ws/1?user_id=%zz&username=Juan", chat.InvalidParameter},
		{"history", "/ws/1" + ana + "&history=0", ""},
		{"most history", "/ws/1" + ana + "&history=200", ""},
		{"too much history", "/ws/1" + ana + "&history=201", chat.InvalidParameter},
		{"negative history", "/ws/1" + ana + "&history=-1", chat.InvalidParameter},
		{"history in words", "/ws/1" + ana + "&history=all", chat.InvalidParameter},
		{"history as events", "/ws/1" + ana + "&history=events", ""},
		{"cursor by hand", "/ws/1" + ana + "&after=e:0", ""},
		{"no cursor", "/ws/1" + ana + "&after=12", chat.CursorInvalid},
		{"the room before the query", "/ws/a%20b?user_id=%zz", chat.InvalidRoom},
		{"the query before the user", "/ws/1?%zz", chat.InvalidParameter},
		{"the user before the cursor", "/ws/1?after=x", chat.MissingParameter},
		{"the cursor before the history", "/ws/1" + ana + "&history=x&after=x", chat.CursorInvalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			peer := n.connect(c.target)
			defer peer.Close()
			peer.t = t
			if c.refused == "" {
				peer.want("connected")
				peer.leave()
				return
			}
			peer.wantRefusal(c.refused, wire.CloseBadRequest)
		})
	}
}

// wantRefusal takes an error and the close frame behind it, and answers that.
func (c *client) wantRefusal(code chat.Code, closing wire.CloseCode) {
	c.t.Helper()
	if f := c.want("error"); f.Code != string(code) || f.Data.Message == "" {
		c.t.Errorf("error %q %q, want code %s and a sentence", f.Code, f.Data.Message, code)
	}
	c.wantClose(closing)
	c.raw(websocket.Close, string(websocket.ClosePayload(uint16(closing), "")))
	c.wantEnd()
}

func TestHelloIsHeeded(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		a := n.enter("/ws/1?user_id=7&username=Jos%C3%A9+P")
		for _, text := range []string{"uno", "dos", "tres"} {
			a.send(`{"type":"message","content":"` + text + `"}`)
			a.want("message_sent")
			a.want("message")
		}
		for query, want := range map[string]int{"": 2, "&history=3": 3, "&history=0": 0, "&history=": 2} {
			b := n.connect("/ws/1" + ana + query)
			if f := b.want("connected"); len(f.Data.History) != want {
				t.Errorf("%q: %d messages of history, want %d", query, len(f.Data.History), want)
			}
			b.leave()
			a.want("user_joined")
			a.want("user_left")
		}
		b := n.connect("/ws/1" + ana + "&history=events")
		defer b.Close()
		b.want("connected")
		for range 2 {
			if f := b.want("message"); f.Seq != 0 || f.Data.Seq == 0 {
				t.Errorf("replayed frame with seq %d, seq %d in data, want it in data alone", f.Seq, f.Data.Seq)
			}
		}
		a.want("user_joined")
		a.leave()
	}, func(c *Config) { c.History = 2 })
}

// docs/protocol.md §2.4
func TestOrigins(t *testing.T) {
	const own, listed = "http://localhost:8000", "https://chat.example.org"
	cases := []struct {
		name    string
		any     bool
		origins []string // header lines
		ok      bool
	}{
		{"no browser", false, nil, true},
		{"own", false, []string{own}, true},
		{"listed", false, []string{listed}, true},
		{"another", false, []string{"https://example.org"}, false},
		{"own host by another scheme", false, []string{"https://localhost:8000"}, false},
		{"own host at another port", false, []string{"http://localhost:8001"}, false},
		{"listed in other letters", false, []string{"https://CHAT.example.org"}, false},
		{"null", false, []string{"null"}, false},
		{"empty", false, []string{""}, false},
		{"two", false, []string{own, listed}, false},
		{"any on loopback", true, []string{"https://example.org"}, true},
		{"null on loopback", true, []string{"null"}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n := newTCPNode(t, func(cfg *Config) { cfg.Origins = peer.Origins{Any: c.any, Listed: []string{listed}} })
			var lines []string
			for _, o := range c.origins {
				lines = append(lines, "Origin: "+o)
			}
			peer := n.connect("/ws/1"+ana, lines...)
			defer peer.Close()
			if c.ok {
				peer.want("connected")
				return
			}
			peer.wantRefusal(chat.Forbidden, wire.CloseOrigin)
		})
	}
}

// A client that is refused and does not answer is not kept.
func TestRefusedClientIsNotKept(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		peer := n.connect("/ws/stats" + ana)
		defer peer.Close()
		peer.want("error")
		peer.wantClose(wire.CloseBadRequest)
		peer.send(`{"type":"ping"}`) // is not listened to
		from := time.Now()
		peer.wantEnd()
		if took := time.Since(from); took != closeWait {
			t.Errorf("the connection ended after %v, want %v", took, closeWait)
		}
	})
}
