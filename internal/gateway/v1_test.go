package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/limit"
	"tertulia/wire"
)

const offerV1 = "Sec-WebSocket-Protocol: " + wire.Protocol

// docs/protocol.md §12.1, §12.2: which profile, and what is echoed.
func TestProfiles(t *testing.T) {
	n := newTCPNode(t)
	cases := []struct {
		name, target, offer string
		selected            string
		first               string // the type of the first frame
		code                chat.Code
		close               wire.CloseCode
	}{
		{"seed", "/ws/1" + ana, "", "", "connected", "", 0},
		{"another protocol", "/ws/1" + ana, "chat", "", "connected", "", 0},
		{"v1", "/ws" + ana, "tertulia.v1", "tertulia.v1", "hello", "", 0},
		{"v1 with a room", "/ws/1" + ana, "x, tertulia.v1", "tertulia.v1", "hello", "", 0},
		{"v1 with a credential", "/ws" + ana, "bearer.abc, tertulia.v1", "tertulia.v1", "hello", "", 0},
		{"a later version", "/ws/1" + ana, "tertulia.v2", "", "error", chat.InvalidParameter, wire.CloseVersion},
		{"a later version and v1", "/ws/1" + ana, "tertulia.v2, tertulia.v1", "tertulia.v1", "hello", "", 0},
		{"no room in the seed profile", "/ws" + ana, "", "", "error", chat.InvalidRoom, wire.CloseBadRequest},
		{"nobody", "/ws", "tertulia.v1", "tertulia.v1", "error", chat.MissingParameter, wire.CloseBadRequest},
		{"a reserved room", "/ws/inbox" + ana, "tertulia.v1", "tertulia.v1", "error", chat.ReservedRoom, wire.CloseBadRequest},
		{"replay", "/ws/1" + ana + "&history=events", "tertulia.v1", "tertulia.v1", "error", chat.InvalidParameter, wire.CloseBadRequest},
		{"a bad cursor", "/ws/1" + ana + "&after=x", "tertulia.v1", "tertulia.v1", "error", chat.CursorInvalid, wire.CloseBadRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.offer != "" {
				header = []string{"Sec-WebSocket-Protocol: " + c.offer}
			}
			nc, _, resp := n.request(goodHandshake(c.target, header...))
			nc.Close()
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != c.selected || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("the answer is %s and selects %q, want %q", resp.Status, got, c.selected)
			}
			cl := n.connect(c.target, header...)
			defer cl.Close()
			f := cl.want(c.first)
			if f.Code != string(c.code) {
				t.Errorf("code %q, want %q", f.Code, c.code)
			}
			if c.close != 0 {
				cl.wantClose(c.close)
			}
		})
	}
}

// docs/protocol.md §12.3: the room of the URL, and both profiles in it.
func TestRoomOfTheURL(t *testing.T) {
	onNodes(t, func(t *testing.T, n *node) {
		old := n.enter("/ws/1?user_id=2&username=Bob")
		defer old.Close()
		c := n.connect("/ws/1"+ana+"&history=1", offerV1)
		defer c.Close()
		c.want("hello")
		c.want("subscribed")
		c.want("caught_up")
		old.want("user_joined")
		c.send(`{"type":"message","nonce":"n","content":"Hola"}`)
		c.want("message_sent")
		c.want("message")
		old.want("message")
		c.send(`{"type":"edit","message_id":1,"content":"Hola, Bob"}`)
		c.want("ok")
		c.want("message_edited")
		old.send(`{"type":"ping"}`)
		old.want("pong") // and no message_edited
	})
}

// tokens takes the tokens that token makes.
func tokens(t *testing.T) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(auth.Config{Issuers: []auth.Issuer{{Secret: []byte(strings.Repeat("s", 32))}}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func token(t *testing.T, life time.Duration) string {
	t.Helper()
	s, err := auth.Sign([]byte(strings.Repeat("s", 32)), auth.Grant{User: chat.User{ID: "1", Name: "Ana"}, IssuedAt: time.Now(), Lifetime: life})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// docs/protocol.md §2.6, §12.3: a credential in the handshake, in the first
// frame, or none.
func TestCredentials(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		good := token(t, time.Hour)
		early := n.connect("/ws", "Sec-WebSocket-Protocol: bearer."+good+", tertulia.v1")
		early.want("hello")
		early.leave()
		seed := n.connect("/ws/1", "Authorization: Bearer "+good)
		seed.want("connected")
		seed.leave()
		for _, target := range []string{"/ws", "/ws/1"} {
			c := n.connect(target, offerV1)
			c.raw(9, "ping") // nothing is answered yet
			time.Sleep(authTime - time.Millisecond)
			c.send(`{"type":"auth","id":"a","token":"` + good + `"}`)
			c.want("ok")
			c.want("hello")
			if target == "/ws/1" {
				c.want("subscribed")
				c.want("caught_up")
			}
			c.send(`{"type":"message","room":"1","nonce":"n","content":"` + strings.Repeat("x", authBytes) + `"}`)
			c.want("message_sent")
			c.Close()
		}
		none := n.connect("/ws/1")
		none.want("error")
		none.wantClose(wire.CloseUnauthenticated)
		none.Close()
	}, func(c *Config) { c.Tokens = tokens(t) })
}

func TestLateClientsThatAreRefused(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		refused := func(what string, code wire.CloseCode, do func(c *client)) {
			t.Helper()
			c := n.connect("/ws", offerV1)
			do(c)
			if code != wire.CloseTooBig {
				if f := c.want("error"); f.Code != string(chat.Unauthenticated) {
					t.Errorf("%s: code %s, want unauthenticated", what, f.Code)
				}
			}
			c.wantClose(code)
			c.Close()
		}
		refused("silence", wire.CloseUnauthenticated, func(*client) {})
		refused("another command", wire.CloseUnauthenticated, func(c *client) { c.send(`{"type":"ping"}`) })
		refused("no JSON", wire.CloseUnauthenticated, func(c *client) { c.send(`hola`) })
		refused("a bad token", wire.CloseUnauthenticated, func(c *client) { c.send(`{"type":"auth","token":"x"}`) })
		refused("too much", wire.CloseTooBig, func(c *client) { c.send(strings.Repeat(" ", authBytes+1)) })
		other := n.connect("/ws?user_id=2", offerV1)
		other.send(`{"type":"auth","token":"` + token(t, time.Hour) + `"}`)
		if f := other.want("error"); f.Code != string(chat.Forbidden) {
			t.Errorf("another user's token: code %s, want forbidden", f.Code)
		}
		other.wantClose(wire.CloseRemoved)
		other.Close()
		gone := n.connect("/ws", offerV1)
		gone.Close()
	}, func(c *Config) { c.Tokens = tokens(t) })
}

// docs/protocol.md §14.8
func TestReconnectBeforeDrain(t *testing.T) {
	n := newTCPNode(t)
	c := n.connect("/ws"+ana, offerV1)
	defer c.Close()
	c.want("hello")
	drained := make(chan error)
	go func() { drained <- n.Drain(context.Background()) }()
	c.want("reconnect")
	c.wantClose(wire.CloseDrain)
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// Commands of both profiles count against the limits of the server.
func TestCommandsAreLimited(t *testing.T) {
	for _, profile := range []struct {
		name, target string
		header       []string
		first        string
	}{
		{"seed", "/ws/1" + ana, nil, "connected"},
		{"v1", "/ws" + ana, []string{offerV1}, "hello"},
	} {
		t.Run(profile.name, func(t *testing.T) {
			n := newTCPNode(t, func(c *Config) {
				c.Limits = limit.New(limit.Policy{Posts: limit.Rate{Count: 1, Per: time.Hour, Burst: 1}})
			})
			c := n.connect(profile.target, profile.header...)
			defer c.Close()
			c.want(profile.first)
			c.send(`{"type":"message","room":"1","nonce":"a","content":"x"}`)
			c.want("message_sent")
			if profile.name == "seed" {
				c.want("message")
			}
			c.send(`{"type":"message","room":"1","nonce":"b","content":"x"}`)
			if f := c.want("error"); f.Code != string(chat.RateLimited) {
				t.Errorf("code %s, want rate_limited", f.Code)
			}
			c.send(`{"type":"ping"}`)
			c.want("pong")
		})
	}
}
