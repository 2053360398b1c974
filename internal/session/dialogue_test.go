package session

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/hub"
	"tertulia/internal/hub/pipe"
	"tertulia/internal/inbox"
	"tertulia/internal/oncluster"
	"tertulia/internal/presence"
	"tertulia/internal/room"
	"tertulia/internal/schematest"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
	"tertulia/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ana = chat.User{ID: "1", Name: "Ana"}
	bob = chat.User{ID: "2", Name: "Bob"}
)

// lines is the framing of these tests: one frame a line, behind its line
// break.
var lines = Framing{
	Text: func(dst, json []byte) []byte { return append(append(dst, '\n'), json...) },
	Close: func(dst []byte, code wire.CloseCode, reason string) []byte {
		return fmt.Appendf(dst, "\nclose %d %s", code, reason)
	},
}

// shelf is a real store that a test can hold up, and have fail.
type shelf struct {
	store.Store
	mu   sync.Mutex
	held chan struct{} // appends wait for it, if it is not nil
	err  error         // what all calls return, if it is not nil

	// before is called for each call of Before with its number of events.
	before func(events int)
	// members is called for each call of Members.
	members func()
}

// hold has appends wait until the returned function is called.
func (s *shelf) hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.held = held
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	}
}

// fail has all calls fail with err, or work again.
func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) state() (held chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.err
}

func (s *shelf) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	held, err := s.state()
	if held != nil {
		<-held
	}
	if err != nil {
		return nil, err
	}
	return s.Store.Append(ctx, batch)
}

func (s *shelf) Room(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	if _, err := s.state(); err != nil {
		return chat.Room{}, err
	}
	return s.Store.Room(ctx, id)
}

func (s *shelf) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	if _, err := s.state(); err != nil {
		return store.Page{}, err
	}
	if s.before != nil {
		s.before(limit.Events)
	}
	return s.Store.Before(ctx, id, before, limit)
}

func (s *shelf) Members(ctx context.Context, room chat.RoomID, states []chat.State, after chat.UserID, limit int) ([]chat.Member, error) {
	if s.members != nil {
		s.members()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.Store.Members(ctx, room, states, after, limit)
}

// counted is a bus that counts its subscriptions.
type counted struct {
	bus.Bus
	open atomic.Int64
}

func (b *counted) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	s, err := b.Bus.Subscribe(ctx, topic, h)
	if err != nil || topic == bus.RightsTopic { // which a node hears for as long as it lives
		return s, err
	}
	b.open.Add(1)
	return countedSubscription{s, b}, nil
}

type countedSubscription struct {
	bus.Subscription
	bus *counted
}

func (s countedSubscription) Close() {
	s.Subscription.Close()
	s.bus.open.Add(-1)
}

// node is a server without its gateway. In a cluster it is the first of three
// on one store, and each client comes to another one.
type node struct {
	Services
	t     *testing.T
	store *shelf
	bus   *counted
	inbox *inbox.Service // which a test may take out of Services
	log   bytes.Buffer

	nodes   cluster // zero without one
	clients []*client
}

// passingLine is a passing event as a line, as its profile has it.
func passingLine(b []byte, e *chat.Event, p hub.Profile) []byte {
	frame := wire.AppendEvent(nil, e)
	if p == hub.V1 {
		frame = wire.AppendPassing(nil, e)
	}
	if len(frame) == 0 {
		return b
	}
	return lines.Text(b, frame)
}

func noticeLine(b []byte, e *chat.Event) []byte {
	if frame := wire.AppendNotice(nil, e); len(frame) > 0 {
		b = lines.Text(b, frame)
	}
	return b
}

// inBubble runs f with a node, in a bubble where waiting takes no time.
func inBubble(t *testing.T, f func(n *node), change ...func(*room.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		shared := &shelf{Store: st}
		var n *node
		if oncluster.Now() {
			n = newCluster(t, shared, change)
		} else {
			b := local.New()
			n = newNode(t, shared, b, b, change)
		}
		defer n.close()
		f(n)
	})
}

// newNode makes a node on a store and a bus. own is the part of the bus that
// never leaves the node.
func newNode(t *testing.T, st *shelf, b, own bus.Bus, change []func(*room.Config)) *node {
	n := &node{t: t, store: st, bus: &counted{Bus: b}}
	n.Log = slog.New(slog.NewTextHandler(&n.log, nil))
	cfg := room.Config{Store: n.store, Bus: n.bus, AutoCreate: true, Fatal: func(err error) { t.Error(err) }}
	for _, f := range change {
		f(&cfg)
	}
	n.Rooms = room.New(cfg)
	n.Hub = hub.New(hub.Config{
		Bus: n.bus,
		Log: n.Rooms.Log(),
		Encode: hub.Encoder{
			Durable: func(b []byte, e *chat.Event) []byte { return wire.AppendEvent(append(b, '\n'), e) },
			Passing: passingLine,
			Notice:  noticeLine,
		},
		Loops: 2,
	})
	n.Presence = presence.New(presence.Config{Bus: own})
	n.inbox = inbox.New(inbox.Config{Rooms: n.Rooms, Store: n.store, Bus: n.bus, Notify: n.Hub.Notify})
	n.Inbox = n.inbox
	n.Framing, n.Server = lines, "tertulia/test"
	return n
}

// close ends the node, once nothing is left of its clients.
func (n *node) close() {
	for _, c := range n.clients { // those whose test has failed
		if !c.left {
			c.leave(false)
		}
	}
	time.Sleep(3 * time.Minute) // an idle feed is kept for one
	synctest.Wait()
	n.nodes.close()
	n.stop()
	if err := n.store.Close(); err != nil {
		n.t.Error(err)
	}
}

// stop ends what stands on the store.
func (n *node) stop() {
	if left := n.bus.open.Load(); left != 0 {
		n.t.Errorf("%d rooms are still read with nobody there", left)
	}
	n.Presence.Close()
	n.inbox.Close()
	n.Hub.Close()
	n.Rooms.Close()
	n.bus.Close()
}

// client is one end of a dialogue: frames are given to a session as its
// connection's reader does, and taken from a pipe.
type client struct {
	t       *testing.T
	pipe    *pipe.Pipe
	conn    *hub.Conn
	session Conversation
	taken   int // bytes of the pipe's
	left    bool
	record  *schematest.Recorder

	in    chan string
	ended chan struct{} // the reader has ended
}

// connect opens a session as a handshake does.
func (n *node) connect(hello Hello) (*client, error) {
	n.t.Helper()
	c, at := n.client(schematest.Seed), n.nodes.next(n)
	c.conn = at.Hub.Connect(c.pipe, hello.User.ID, &hub.Dialect{Bye: n.Framing.Bye})
	s, err := at.Open(context.Background(), c.conn, hello)
	if err != nil {
		return nil, err
	}
	c.begin(n, s)
	return c, nil
}

// client is the end of a dialogue that has not begun.
func (n *node) client(profile schematest.Profile) *client {
	return &client{
		t: n.t, pipe: pipe.New(pipe.Unlimited, 10*time.Second), record: schematest.Record(n.t, profile),
		in: make(chan string, 10_000), ended: make(chan struct{}),
	}
}

// begin starts the reader of a client.
func (c *client) begin(n *node, s Conversation) {
	c.session = s
	n.clients = append(n.clients, c)
	go func() {
		defer close(c.ended)
		for frame := range c.in {
			c.record.Sent([]byte(frame))
			c.session.Receive([]byte(frame))
		}
	}()
}

// enter connects to room 1 as a client that comes for the first time, and
// takes connected.
func (n *node) enter(user chat.User) *client {
	n.t.Helper()
	c := n.open(Hello{Identity: as(user), Room: "1", History: 50})
	c.want(`{"type":"connected"}`)
	return c
}

// as is who a user is in open mode.
func as(user chat.User) Identity { return Identity{Principal: chat.Principal{User: user}} }

func (n *node) open(hello Hello) *client {
	n.t.Helper()
	c, err := n.connect(hello)
	if err != nil {
		n.t.Fatalf("Open: %v", err)
	}
	return c
}

// leave ends the dialogue; clean is a close frame by the client.
func (c *client) leave(clean bool) {
	c.t.Helper()
	c.left = true
	close(c.in)
	<-c.ended
	c.session.End(clean)
	c.conn.Gone()
}

// send queues frames for the session.
func (c *client) send(frames ...string) {
	for _, f := range frames {
		c.in <- f
	}
}

func message(content string) string { return `{"type":"message","content":"` + content + `"}` }

// next lets everything happen that can, and returns the next frame; it is
// empty if there is none.
func (c *client) next() string {
	synctest.Wait()
	rest := string(c.pipe.Taken()[c.taken:])
	if rest == "" {
		return ""
	}
	frame, _, _ := strings.Cut(rest[1:], "\n")
	c.taken += 1 + len(frame)
	if strings.HasPrefix(frame, "{") { // not the end of the conversation
		c.record.Received([]byte(frame))
	}
	return frame
}

// want takes the next frames. A frame of JSON must have the members that are
// wanted, and may have more; any other must be equal.
func (c *client) want(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.next(); !matches(got, want) {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantIdle says that nothing comes, however long one waits.
func (c *client) wantIdle(d time.Duration) {
	c.t.Helper()
	time.Sleep(d)
	if got := c.next(); got != "" {
		c.t.Fatalf("got %q, want nothing for %v", got, d)
	}
}

// after wants nothing until just before d is over, and then the frame.
func (c *client) after(d time.Duration, want string) {
	c.t.Helper()
	c.wantIdle(d - 1)
	time.Sleep(1)
	c.want(want)
}

func matches(got, want string) bool {
	if !strings.HasPrefix(want, "{") {
		return got == want
	}
	var g, w any
	if json.Unmarshal([]byte(want), &w) != nil {
		panic("not JSON: " + want)
	}
	return json.Unmarshal([]byte(got), &g) == nil && contains(g, w)
}

// contains reports whether got is want, apart from further members of
// objects.
func contains(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		for name, value := range want {
			member, has := object[name]
			ok = ok && has && contains(member, value)
		}
		return ok
	case []any:
		array, ok := got.([]any)
		ok = ok && len(array) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = contains(array[i], want[i])
		}
		return ok
	}
	return got == want
}
