package gateway

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/limit"
	"tertulia/internal/room"
	"tertulia/internal/store"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// produced is a way to be answered with a code: frames of a client of v1, or
// something else.
type produced struct {
	frames []string
	by     func(t *testing.T, n *node) *client
	below  below
	change func(*Config)
}

// sent is a client of v1 that sends frames.
func sent(frames ...string) produced { return produced{frames: frames} }

// entering is a handshake that is refused.
func entering(target string, header ...string) produced {
	return produced{by: func(t *testing.T, n *node) *client { return n.connect(target, header...) }}
}

const hola = `{"type":"message","room":"1","nonce":"a","content":"hola"}`

// byCode has a way to each code that a WebSocket can answer.
var byCode = map[chat.Code]produced{
	chat.InvalidJSON:         sent(`hola`),
	chat.InvalidEvent:        sent(`{"type":"message"}`),
	chat.UnknownType:         sent(`{"type":"shout"}`),
	chat.MissingParameter:    entering("/ws/1"),
	chat.ConflictingFields:   sent(`{"type":"typing","room":"1","is_typing":true,"data":{"is_typing":false}}`),
	chat.EmptyContent:        sent(`{"type":"message","room":"1","nonce":"a","content":" "}`),
	chat.TooLarge:            sent(`{"type":"ping","t":"` + strings.Repeat("t", 256) + `"}`),
	chat.InvalidParameter:    entering("/ws/1" + ana + "&history=all"),
	chat.Unauthenticated:     {by: entering("/ws/1").by, change: byToken},
	chat.TokenExpired:        {by: lateToken, change: byToken},
	chat.Forbidden:           sent(`{"type":"auth","token":"a.b.c"}`), // in open mode
	chat.Banned:              {frames: []string{`{"type":"history","room":"club"}`}, by: banned},
	chat.RoomNotFound:        {frames: []string{`{"type":"history","room":"secret"}`}, by: outsider},
	chat.ReservedRoom:        entering("/ws/inbox" + ana),
	chat.InvalidRoom:         entering("/ws/a%20b" + ana),
	chat.MessageNotFound:     sent(hola, `{"type":"edit","room":"1","message_id":999,"content":"x"}`),
	chat.VersionConflict:     sent(hola, `{"type":"edit","room":"1","message_id":1,"content":"x","if_changed":7}`),
	chat.IdempotencyConflict: sent(hola, strings.Replace(hola, "hola", "otra", 1)),
	chat.CursorInvalid:       entering("/ws/1" + ana + "&after=x"),
	chat.RoomReadOnly:        {frames: []string{strings.Replace(hola, `"1"`, `"old"`, 1)}, by: archived},
	chat.NotSubscribed:       sent(`{"type":"presence","room":"1"}`),
	chat.RateLimited:         {frames: []string{hola, hola}, change: onePost},
	chat.TooManyConnections:  {by: entering("/ws/1" + ana).by, change: noConnections},
	chat.TooManyRooms:        sent(manyRooms()...),
	chat.StoreUnavailable:    {frames: []string{hola}, below: below{store: func(s store.Store) store.Store { return away{s} }}},
	chat.ShuttingDown:        {frames: []string{hola}, by: stopping},
	chat.Internal:            {by: unknownKey, change: byDeadIssuer},
}

// elsewhere are codes that come otherwise than in an error frame: as the reason
// of a close frame (TestTooManyErrors), or over REST alone. Package api wants
// of its tests each that its document has.
var elsewhere = map[chat.Code]bool{
	chat.TooManyErrors: true, chat.MemberNotFound: true, chat.UserNotFound: true, chat.RoomExists: true,
	chat.UnsupportedMedia: true, chat.MethodNotAllowed: true, chat.PathNotFound: true,
}

// Every code that is documented is one that a client gets from a node.
func TestEveryCodeIsProduced(t *testing.T) {
	for code := range chat.Codes {
		how, ok := byCode[code]
		if ok == elsewhere[code] {
			t.Errorf("%s is produced here: %v, elsewhere: %v", code, ok, elsewhere[code])
		}
		if !ok {
			continue
		}
		t.Run(string(code), func(t *testing.T) {
			n := newNodeOn(t, how.below, listen(t), func(c *Config) {
				if how.change != nil {
					how.change(c)
				}
			})
			defer n.close()
			c := how.open(t, n)
			defer c.Close()
			for i, frame := range how.frames {
				c.send(frame)
				if frame == hola && i < len(how.frames)-1 {
					c.want("message_sent") // what follows is about it
				}
			}
			if got := c.refusal(); got != string(code) {
				t.Errorf("got %s, want %s", got, code)
			}
		})
	}
}

func (p produced) open(t *testing.T, n *node) *client {
	t.Helper()
	if p.by != nil {
		return p.by(t, n)
	}
	c := n.connect("/ws"+ana, offerV1)
	c.want("hello")
	return c
}

// refusal reads up to the next error, and returns its code.
func (c *client) refusal() string {
	c.t.Helper()
	for {
		m, err := c.in.Next()
		if err != nil || m.Op == websocket.Close {
			c.t.Fatalf("got %s, %v, want an error", describe(m), err)
		}
		if m.Op != websocket.Text {
			continue
		}
		c.record.Received(m.Payload)
		if f := parse(c.t, m); f.Type == "error" {
			return f.Code
		}
	}
}

func byToken(c *Config) { c.Tokens = mustAuth(auth.Issuer{Secret: []byte(strings.Repeat("s", 32))}) }

// byDeadIssuer believes an issuer whose keys nobody serves.
func byDeadIssuer(c *Config) {
	c.Tokens = mustAuth(auth.Issuer{JWKS: "http://127.0.0.1:1/keys", Algorithms: []string{"RS256"}})
}

func mustAuth(issuer auth.Issuer) *auth.Authenticator {
	a, err := auth.New(auth.Config{Issuers: []auth.Issuer{issuer}})
	if err != nil {
		panic(err)
	}
	return a
}

// lateToken connects with a token that is past its end and the minute by which
// clocks may differ.
func lateToken(t *testing.T, n *node) *client {
	t.Helper()
	token, err := auth.Sign([]byte(strings.Repeat("s", 32)), auth.Grant{User: chat.User{ID: "1", Name: "Ana"}, IssuedAt: time.Now().Add(-time.Hour), Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return n.connect("/ws/1", "Authorization: Bearer "+token)
}

// unknownKey connects with a token whose key is not here.
func unknownKey(t *testing.T, n *node) *client {
	claims := fmt.Sprintf(`{"sub":"1","iat":%d,"exp":%d}`, time.Now().Unix(), time.Now().Add(time.Minute).Unix())
	part := base64.RawURLEncoding.EncodeToString
	return n.connect("/ws/1", "Authorization: Bearer "+part([]byte(`{"alg":"RS256","kid":"k"}`))+"."+part([]byte(claims))+"."+part(make([]byte, 256)))
}

var asService = chat.Principal{Service: true}

func makeRoom(t *testing.T, n *node, id chat.RoomID, s chat.Settings) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := n.rooms.Create(ctx, asService, room.Create{Room: id, Settings: s}); err != nil {
		t.Fatal(err)
	}
}

func outsider(t *testing.T, n *node) *client {
	makeRoom(t, n, "secret", chat.Settings{Access: chat.AccessPrivate})
	return produced{}.open(t, n)
}

func archived(t *testing.T, n *node) *client {
	makeRoom(t, n, "old", chat.Settings{Archived: true})
	return produced{}.open(t, n)
}

func banned(t *testing.T, n *node) *client {
	t.Helper()
	makeRoom(t, n, "club", chat.Settings{Access: chat.AccessPublic})
	if err := n.rooms.Ban(t.Context(), asService, "club", chat.User{ID: "1", Name: "Ana"}, ""); err != nil {
		t.Fatal(err)
	}
	return produced{}.open(t, n)
}

// stopping is a client of a node whose journal takes nothing more.
func stopping(t *testing.T, n *node) *client {
	t.Helper()
	c := produced{}.open(t, n)
	if err := n.rooms.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func onePost(c *Config) {
	c.Limits = limit.New(limit.Policy{Posts: limit.Rate{Count: 1, Per: time.Hour, Burst: 1}})
}

// noConnections lets a user have one connection, which another has taken.
func noConnections(c *Config) {
	c.Limits = limit.New(limit.Policy{UserConns: 1})
	if _, err := c.Limits.Sit("1", netip.Addr{}); err != nil {
		panic(err)
	}
}

// manyRooms are the commands to subscribe to one room more than a connection
// may.
func manyRooms() (frames []string) {
	for i := 0; i <= 1000; i += wire.MaxRooms {
		var rooms []string
		for j := i; j < i+wire.MaxRooms && j <= 1000; j++ {
			rooms = append(rooms, fmt.Sprintf(`{"room":"r%d"}`, j))
		}
		frames = append(frames, `{"type":"subscribe","rooms":[`+strings.Join(rooms, ",")+`]}`)
	}
	return frames
}

// away is a store that cannot be written to.
type away struct{ store.Store }

func (away) Append(context.Context, []store.Append) ([]store.Result, error) {
	return nil, store.ErrUnavailable
}

// The code that only a close frame has, docs/protocol.md §8: 4509.
func TestTooManyErrors(t *testing.T) {
	n := newTCPNode(t)
	c := produced{}.open(t, n)
	defer c.Close()
	for range 20 {
		c.send(`hola`)
	}
	for range 20 {
		c.want("error")
	}
	if reason := c.wantClose(wire.CloseTooManyErrors); reason != string(chat.TooManyErrors) {
		t.Errorf("the reason is %q, want too_many_errors", reason)
	}
}
