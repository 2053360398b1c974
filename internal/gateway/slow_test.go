package gateway

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/internal/websocket"
	"tertulia/wire"
)

// A reader that takes nothing delays nobody, and is told so, at the end of
// the frame under way, if it resumes soon after the write timeout.
func TestSlowReaderIsSentAway(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		slow, quick := n.enter("/ws/1"+ana), n.enter("/ws/1?user_id=2&username=Bob")
		defer slow.Close()
		slow.want("user_joined")
		from := time.Now()
		for i := range 20 {
			quick.send(fmt.Sprintf(`{"type":"message","content":"%d %s"}`, i, strings.Repeat("x", 5000)))
			quick.want("message_sent")
			quick.want("message")
		}
		if took := time.Since(from); took != 0 {
			t.Errorf("a slow reader delayed another by %v", took)
		}
		begun := make([]byte, 100) // of the first message
		if _, err := io.ReadFull(slow.Conn, begun); err != nil {
			t.Fatal(err)
		}
		time.Sleep(n.cfg.WriteTimeout + farewellTime/2)
		slow.in = websocket.NewReader(slow.Conn, begun, websocket.Client, websocket.Limits{Idle: patience})
		slow.want("message")
		slow.wantClose(wire.CloseSlow)
		slow.wantEnd()
		quick.want("user_left")
		quick.leave()
		synctest.Wait()
		if c := n.Counts(); c.Slow.Value() != 1 || c.Closed.Of("4001").Value() != 1 {
			t.Errorf("counted %d slow clients, %d closed with 4001, want one of each", c.Slow.Value(), c.Closed.Of("4001").Value())
		}
	})
}

// Over TCP the same reader comes back with its cursor and misses nothing.
func TestSlowReaderResumes(t *testing.T) {
	n := newTCPNode(t, func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	slow, quick := n.enter("/ws/1"+ana), n.enter("/ws/1?user_id=2&username=Bob")
	defer slow.Close()
	slow.want("user_joined")
	var posted uint64
	for n.Connections() == 2 { // until the slow reader's buffers are full
		quick.send(`{"type":"message","content":"` + strings.Repeat("x", 16000) + `"}`)
		quick.want("message_sent")
		posted = quick.want("message").Seq
	}
	taken, cursor := uint64(0), ""
	take := func(c *client) {
		for taken < posted {
			m, err := c.in.Next()
			if err != nil || m.Op == websocket.Close {
				return // 4001, or the middle of a frame
			}
			f := parse(t, m)
			if f.Seq != taken+1 {
				t.Fatalf("seq %d follows %d", f.Seq, taken)
			}
			taken, cursor = f.Seq, fmt.Sprintf("%s:%d:%s", f.Epoch, f.Seq, f.Tag)
		}
	}
	take(slow)
	if taken == posted {
		t.Fatalf("the slow reader got all %d messages", posted)
	}
	for tries := 0; taken < posted && tries < 100; tries++ { // on a busy machine it may be slow again
		back := n.connect("/ws/1" + ana + "&after=" + cursor)
		if f := back.want("connected"); !f.Data.Resumed {
			t.Error("resumed is false")
		}
		take(back)
		back.Close()
	}
	if taken != posted {
		t.Errorf("the slow reader got %d messages in the end, want %d", taken, posted)
	}
	quick.Close()
}

// A link that carries connected with its history more slowly than the write
// timeout, but steadily, is no reason to cut a client off.
func TestSteadyLinkIsNotSlow(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		a := n.enter("/ws/1" + ana)
		for range 12 {
			a.send(`{"type":"message","content":"` + strings.Repeat("x", 16000) + `"}`)
			a.want("message_sent")
			a.want("message")
		}
		a.leave()
		nc, err := n.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, goodHandshake("/ws/1"+ana)); err != nil {
			t.Fatal(err)
		}
		from, got := time.Now(), 0
		for buf := make([]byte, 4<<10); got < 190_000; time.Sleep(time.Second) {
			n, err := nc.Read(buf)
			if got += n; err != nil {
				t.Fatalf("after %v and %d bytes: %v", time.Since(from), got, err)
			}
		}
	})
}

// A peer that does not read its replies is not read from; once it reads, it
// gets all of them in order.
func TestPeerThatReadsNoRepliesIsNotReadFrom(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		c := n.enter("/ws/1" + ana)
		const pings = 20_000
		var sent atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range pings {
				c.send(fmt.Sprintf(`{"type":"ping","t":%d}`, i))
				sent.Add(1)
			}
		}()
		synctest.Wait()
		// One batch with the writer, one full queue, and one reply more.
		pong := int64(len(`{"type":"pong","data":{"t":1}}`))
		if most := 3 * (64 << 10) / pong; sent.Load() > most {
			t.Errorf("the server took %d pings from a peer that reads no replies, want at most %d", sent.Load(), most)
		}
		for i := range pings {
			if f := c.want("pong"); f.Data.T != i {
				t.Fatalf("pong %d, want %d", f.Data.T, i)
			}
		}
		<-done
		c.leave()
	})
}

// An idle connection costs one goroutine.
func TestGoroutinesOfIdleConnections(t *testing.T) {
	n := newTCPNode(t)
	const conns = 1000
	clients := []*client{n.enter("/ws/1" + ana)}
	before := runtime.NumGoroutine()
	for i := range conns {
		clients = append(clients, n.enter(fmt.Sprintf("/ws/%d%s&history=0", i, ana)))
	}
	eventually(t, "no more goroutines than connections", func() bool { return runtime.NumGoroutine() <= before+conns })
	for _, c := range clients {
		c.Close()
	}
	eventually(t, "the end of all connections", func() bool { return n.Connections() == 0 })
	eventually(t, "the end of their goroutines", func() bool { return runtime.NumGoroutine() < before })
}

// A client that takes its frames steadily, but in each write timeout less than
// the third of the socket's buffer for which Linux wakes a writer, is not cut
// off: docs/architecture.md, A reader that takes no bytes.
func TestSteadyReaderOfAFullSocketIsNotSlow(t *testing.T) {
	for _, tt := range []struct {
		name string
		over func(t *testing.T, server, client net.Conn) (near, far net.Conn)
	}{
		{"TCP", func(_ *testing.T, server, client net.Conn) (near, far net.Conn) { return server, client }},
		{"TLS", secured},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := dialTCP(t)
			const bufferBytes = 4 << 20 // Linux makes it twice as large, and then a third is 2.8 MB
			if err := server.(*net.TCPConn).SetWriteBuffer(bufferBytes); err != nil {
				t.Fatal(err)
			}
			near, far := tt.over(t, server, client)
			batch := make([]byte, 3*bufferBytes)
			written := make(chan error, 1)
			go func() {
				_, err := new(writer).wait(near, server, batch, 0, 2*time.Second)
				near.Close()
				written <- err
			}()
			// Little for longer than the timeout, and then all.
			left := int64(len(batch))
			for range 30 {
				n, _ := io.CopyN(io.Discard, far, 64<<10)
				left -= n
				time.Sleep(100 * time.Millisecond)
			}
			n, _ := io.CopyN(io.Discard, far, left)
			if err := <-written; err != nil || n != left {
				t.Errorf("wait = %v, %d bytes were not taken; want nil, none", err, left-n)
			}
		})
	}
}
