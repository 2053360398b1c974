package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/config"
	"tertulia/internal/oncluster"
	"tertulia/internal/server"
	"tertulia/internal/services"
)

// patience bounds what a test waits for; it costs nothing when all is well.
const patience = time.Minute

var (
	juan = chat.User{ID: "1", Name: "Juan"}
	bob  = chat.User{ID: "2", Name: "Bob"}
)

// node is a server of this process that can be stopped and started on the same
// store and address; in a cluster several on one store, and clients come to
// one after the other.
type node struct {
	t    testing.TB
	cfgs []config.Config
	turn oncluster.Turn
	stop func()
}

func newNode(t testing.TB, change ...func(*config.Config)) *node {
	t.Helper()
	cfg := config.Default()
	for _, f := range change {
		f(&cfg)
	}
	n := &node{t: t, cfgs: configsOf(t, cfg)}
	for i := range n.cfgs {
		addr, err := services.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		n.cfgs[i].Listen, n.cfgs[i].DataDir = addr, filepath.Join(t.TempDir(), "data")
		n.turn.Addrs = append(n.turn.Addrs, addr)
	}
	n.start()
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *node) start() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, len(n.cfgs))
	for _, cfg := range n.cfgs {
		srv, err := server.New(context.Background(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			n.t.Fatal(err)
		}
		go func() { ended <- srv.Run(ctx) }()
	}
	n.stop = sync.OnceFunc(func() {
		cancel()
		for range n.cfgs {
			if err := <-ended; err != nil {
				n.t.Errorf("the server ended with %v", err)
			}
		}
	})
}

func (n *node) addr() string { return n.turn.Next() }

func (n *node) url() string { return "ws://" + n.addr() }

// dial connects a user, with short waits between attempts.
func dial(t testing.TB, url string, u chat.User, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Dial(within(t), url, append([]client.Option{client.WithUser(u), client.WithBackoff(time.Millisecond, 10*time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func send(t testing.TB, r *client.Room, texts ...string) (last client.Sent) {
	t.Helper()
	for _, text := range texts {
		sent, err := r.Send(within(t), text)
		if err != nil {
			t.Fatalf("send %q: %v", text, err)
		}
		last = sent
	}
	return last
}

// seen describes an event in few words, so that tests read as dialogues.
// Events that most tests do not look at are empty.
func seen(e client.Event, err error) string {
	switch e := e.(type) {
	case client.Message:
		if e.Deleted {
			return fmt.Sprintf("%d deleted", e.Seq)
		}
		return fmt.Sprintf("%d %s: %s", e.Seq, e.From.Name, e.Content)
	case client.MessageEdited:
		return fmt.Sprintf("%d edits %d: %s", e.Seq, e.TargetSeq, e.Content)
	case client.MessageDeleted:
		return fmt.Sprintf("%d deletes %d (%s)", e.Seq, e.TargetSeq, e.Reason)
	case client.CaughtUp:
		return fmt.Sprintf("caught up at %d", e.Seq)
	case client.Gap:
		return fmt.Sprintf("gap %s %d-%d", e.Reason, e.From, e.To)
	case client.Typing:
		return fmt.Sprintf("%s types %v", e.User.Name, e.On)
	case client.Receipt:
		return fmt.Sprintf("%s has read %d", e.User.Name, e.Read)
	case client.PresenceChanged:
		return fmt.Sprintf("joined %v left %v", e.Joined, e.Left)
	case client.Unsubscribed:
		return fmt.Sprintf("unsubscribed %v", e.Err)
	}
	if err != nil {
		return "error " + err.Error()
	}
	return ""
}

// want takes events of the room until it has seen these, in this order; nothing
// else that seen describes may come between, save that it has caught up.
func want(t testing.TB, r *client.Room, wanted ...string) {
	t.Helper()
	wantTelling(t, r, func() {}, wanted...)
}

// wantTelling is want that calls begun when it has seen the first of these.
func wantTelling(t testing.TB, r *client.Room, begun func(), wanted ...string) {
	t.Helper()
	i := 0
	for e, err := range r.Events(within(t)) {
		got := seen(e, err)
		if got == "" || strings.HasPrefix(got, "caught up") && got != wanted[i] {
			continue
		}
		if got != wanted[i] {
			t.Fatalf("event %d: got %q, want %q", i, got, wanted[i])
		}
		if i++; i == 1 {
			begun()
		}
		if i == len(wanted) {
			return
		}
	}
	t.Fatalf("the events ended before %q", wanted[i])
}

// listener is an iterator that runs for the whole test.
type listener struct {
	t    testing.TB
	seen chan string
}

func listen(t testing.TB, r *client.Room) *listener {
	l := &listener{t: t, seen: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(l.seen)
		for e, err := range r.Events(ctx) {
			if s := seen(e, err); s != "" {
				l.seen <- s
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l
}

// want waits for these, in this order, and nothing else between.
func (l *listener) want(wanted ...string) {
	l.t.Helper()
	for _, w := range wanted {
		select {
		case got := <-l.seen:
			if got != w {
				l.t.Fatalf("got %q, want %q", got, w)
			}
		case <-time.After(patience):
			l.t.Fatalf("got nothing, want %q", w)
		}
	}
}
