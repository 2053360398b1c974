package client_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// proxy passes bytes between clients and a server, and cuts connections.
type proxy struct {
	t      testing.TB
	to     func() string
	listen net.Listener
	// budget says after how many bytes of the client, and of the server, the
	// connection with a number is cut; negative is never.
	budget func(number int) (up, down int64)
	joined sync.WaitGroup
}

func newProxy(t testing.TB, to func() string, budget func(int) (up, down int64)) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: to, listen: l, budget: budget}
	p.joined.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.joined.Wait()
	})
	return p
}

func (p *proxy) url() string { return "ws://" + p.listen.Addr().String() }

func (p *proxy) accept() {
	for number := 0; ; number++ {
		near, err := p.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to())
		if err != nil {
			near.Close()
			continue
		}
		up, down := p.budget(number)
		p.pass(near, far, up)
		p.pass(far, near, down)
	}
}

// pass copies until the budget is spent or one side ends; then both end.
func (p *proxy) pass(from, to net.Conn, budget int64) {
	p.joined.Go(func() {
		defer from.Close()
		defer to.Close()
		if budget < 0 {
			io.Copy(to, from)
			return
		}
		io.CopyN(to, from, budget)
	})
}

// The connection is cut at every step of a conversation: each connection lives
// a few bytes longer than the one before, in one direction or the other. Posts
// arrive once and in order, and the same holds for what the reader gets.
func TestCutAnywhere(t *testing.T) {
	n := newNode(t)
	const step = 29
	p := newProxy(t, n.addr, func(number int) (up, down int64) {
		switch bytes := int64(number/2) * step; {
		case number%2 == 0:
			return bytes, -1
		default:
			return -1, bytes
		}
	})
	c, err := client.Open(p.url(), client.WithUser(juan), client.WithBackoff(time.Microsecond, time.Microsecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	room := c.Room("1")
	var handles []*client.Outgoing
	next := 0
	post := func() {
		handles = append(handles, room.Post(fmt.Sprint(len(handles))))
	}
	post()
	for e, err := range room.Events(within(t), client.From(chat.Cursor{})) {
		if err != nil {
			t.Fatal(err)
		}
		m, ok := e.(client.Message)
		if !ok {
			continue
		}
		if want := fmt.Sprint(m.Seq - 1); m.Content != want {
			t.Fatalf("seq %d is %q, want %q", m.Seq, m.Content, want)
		}
		if next > 0 && int(m.Seq) != next+1 {
			t.Fatalf("got seq %d after %d", m.Seq, next)
		}
		if next = int(m.Seq); next == 40 {
			break
		}
		if len(handles) < 40 {
			post()
		}
	}
	for i, o := range handles {
		if sent, err := o.Wait(within(t)); err != nil || int(sent.Seq) != i+1 {
			t.Errorf("post %d is %+v, %v", i, sent, err)
		}
	}
}
