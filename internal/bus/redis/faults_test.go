package redis

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/redis"
	"tertulia/internal/services"
)

// patience is spent only by what fails.
const patience = 30 * time.Second

const room = bus.Topic("room/tertulia")

// listener hears one topic on one node.
type listener struct {
	ids  chan int64
	told chan struct{} // one slot: called with no events
}

func listen(t *testing.T, b bus.Bus, topic bus.Topic) *listener {
	t.Helper()
	l := &listener{ids: make(chan int64, 1<<16), told: make(chan struct{}, 1)}
	_, err := b.Subscribe(t.Context(), topic, func(events []chat.Event) {
		if len(events) == 0 {
			wake(l.told)
		}
		for i := range events {
			select {
			case l.ids <- events[i].ID:
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantTold waits for a call with no events since the last one that was waited
// for, or since quiet.
func (l *listener) wantTold(t *testing.T, why string) {
	t.Helper()
	start := time.Now()
	select {
	case <-l.told:
		t.Logf("%s: told after %v", why, time.Since(start).Round(time.Millisecond))
	case <-time.After(patience):
		t.Fatalf("%s: not told of a loss for %v", why, patience)
	}
}

// want publishes an event until the listener, on another node, has it.
func (l *listener) want(t *testing.T, from *Bus, id int64) {
	t.Helper()
	deadline := time.After(patience)
	for {
		from.Publish(room, []chat.Event{{Room: "tertulia", Kind: chat.KindMessage, ID: id, Body: []byte("{}")}})
		select {
		case got := <-l.ids:
			if got == id {
				return
			}
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("event %d did not arrive within %v", id, patience)
		}
	}
}

// quiet waits until a node hears all, and has told of what it did not hear
// before.
func quiet(t *testing.T, b *Bus, l *listener) {
	t.Helper()
	for deadline := time.Now().Add(patience); b.Up() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, b.Up())
		}
	}
	time.Sleep(3 * tendEvery)
	select {
	case <-l.told:
	default:
	}
}

// private starts a Redis that a test may kill.
func private(t *testing.T, settings ...string) (*services.Redis, redis.Config) {
	t.Helper()
	r, err := services.StartRedis(t.Context(), t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, redis.Config{URLs: []string{"redis://" + r.Addr}}
}

// tell gives Redis a command from outside.
func tell(t *testing.T, cfg redis.Config, command ...string) {
	t.Helper()
	c, err := redis.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-c.Connected()
	if err := c.Commands().Do(context.Background(), c.Commands().B().Arbitrary(command...).Build()).Error(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}

func TestFaultsAreToldAndHeal(t *testing.T) {
	for _, fault := range []struct {
		name string
		do   func(t *testing.T, r *services.Redis, cfg redis.Config)
		undo func(t *testing.T, r *services.Redis)
	}{
		{"subscriptions are cut", func(t *testing.T, _ *services.Redis, cfg redis.Config) {
			tell(t, cfg, "CLIENT", "KILL", "TYPE", "pubsub")
		}, nil},
		{"killed", func(_ *testing.T, r *services.Redis, _ redis.Config) { r.Kill() }, func(t *testing.T, r *services.Redis) {
			if err := r.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
		}},
		{"frozen", func(_ *testing.T, r *services.Redis, _ redis.Config) { r.Stop() }, func(_ *testing.T, r *services.Redis) { r.Continue() }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			r, cfg := private(t)
			two := nodes(t, 2, cfg)
			l := listen(t, two[1], room)
			l.want(t, two[0], 1)
			quiet(t, two[1], l)
			fault.do(t, r, cfg)
			l.wantTold(t, "after the fault")
			if fault.undo != nil {
				l.wantTold(t, "while it lasts")
				fault.undo(t, r)
			}
			l.want(t, two[0], 2)
			quiet(t, two[1], l)
		})
	}
}

// A bus holds nothing in Redis, so nothing can be flushed away.
func TestFlushIsNoFault(t *testing.T) {
	_, cfg := private(t)
	two := nodes(t, 2, cfg)
	l := listen(t, two[1], room)
	l.want(t, two[0], 1)
	tell(t, cfg, "FLUSHALL")
	for id := int64(2); id < 100; id++ {
		two[0].Publish(room, []chat.Event{{ID: id}})
	}
	for want := int64(2); want < 100; {
		select {
		case got := <-l.ids:
			if got == 1 {
				continue // from before
			}
			if got != want {
				t.Fatalf("event %d came, want %d: in order, without a gap", got, want)
			}
			want++
		case <-time.After(patience):
			t.Fatalf("event %d did not come", want)
		}
	}
}

// A node that starts without Redis works within itself, says once a second
// that others are not heard, and finds Redis when it comes.
func TestStartsWithoutRedis(t *testing.T) {
	r, cfg := private(t)
	r.Kill()
	two := nodes(t, 2, cfg)
	own, other := listen(t, two[0], room), listen(t, two[1], room)
	own.want(t, two[0], 1)
	other.wantTold(t, "without Redis")
	other.wantTold(t, "once more")
	if two[1].Up() == nil {
		t.Error("a bus without Redis is up")
	}
	if err := r.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	other.want(t, two[0], 2)
}

// proxy is between a node and Redis. While it drops, what the node publishes
// reaches nobody, and the node is told that all is well. While it holds a
// direction, nothing comes through there, and no connection is cut.
type proxy struct {
	net.Listener
	dropping         atomic.Bool
	holdTo, holdFrom atomic.Bool
	running          sync.WaitGroup
	closed           chan struct{}
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, closed: make(chan struct{})}
	p.running.Go(func() { p.accept(to) })
	t.Cleanup(func() {
		close(p.closed)
		l.Close()
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept(to string) {
	for {
		in, err := p.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			in.Close()
			continue
		}
		p.running.Go(func() { p.forward(out, in); out.Close() })
		p.running.Go(func() { p.back(in, out); in.Close() })
	}
}

// forward copies to Redis, and while it drops publishes into channels that
// nobody subscribes to.
func (p *proxy) forward(out, in net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return
		}
		b := buf[:n]
		if p.dropping.Load() {
			b = bytes.ReplaceAll(b, []byte("bus:{"), []byte("sub:{"))
		}
		p.pass(&p.holdTo)
		if _, err := out.Write(b); err != nil {
			return
		}
	}
}

// back copies from Redis.
func (p *proxy) back(in, out net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		if err != nil {
			return
		}
		p.pass(&p.holdFrom)
		if _, err := in.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass waits while a direction is held.
func (p *proxy) pass(hold *atomic.Bool) {
	for hold.Load() {
		select {
		case <-p.closed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// openThrough opens two buses on a Redis of their own, a through a proxy.
func openThrough(t *testing.T) (p *proxy, a, b *Bus) {
	t.Helper()
	r, cfg := private(t)
	p = startProxy(t, r.Addr)
	through := redis.Config{URLs: []string{"redis://" + p.Addr().String()}}
	cfg.Prefix, through.Prefix = "tertulia:", "tertulia:"
	return p, open(t, through), open(t, cfg)
}

// A node is cut off from Redis in one direction or in both, without a
// connection that ends (reliability F5). While that lasts it looks at the store,
// and so do the others if they do not hear it; then all is as before.
func TestPartitions(t *testing.T) {
	p, a, b := openThrough(t)
	atA, atB := listen(t, a, room), listen(t, b, room)
	id := int64(0)
	for _, c := range []struct {
		name     string
		to, from bool
	}{{"both ways", true, true}, {"to Redis", true, false}, {"from Redis", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			id++
			atA.want(t, b, id)
			atB.want(t, a, id)
			quiet(t, a, atA)
			quiet(t, b, atB)
			p.holdTo.Store(c.to)
			p.holdFrom.Store(c.from)
			atA.wantTold(t, "the node that is cut off")
			atA.wantTold(t, "and goes on")
			if a.Up() == nil {
				t.Error("a node that is cut off says that it hears everything")
			}
			if c.to {
				atB.wantTold(t, "the other node")
			}
			p.holdTo.Store(false)
			p.holdFrom.Store(false)
		})
	}
	id++
	atA.want(t, b, id)
	atB.want(t, a, id)
}

// Redis cuts a subscriber that does not take what is published fast enough
// (reliability F6). The node is told of a loss, and subscribes again.
func TestSlowSubscriberIsCut(t *testing.T) {
	r, cfg := private(t, "client-output-buffer-limit pubsub 64kb 0 0")
	two := nodes(t, 2, cfg)
	l := listen(t, two[1], room)
	l.want(t, two[0], 1)
	quiet(t, two[1], l)
	body := append(append([]byte{'"'}, bytes.Repeat([]byte("a"), 8<<10)...), '"')
	for deadline := time.Now().Add(patience); !strings.Contains(r.Log(), "output buffer limits"); {
		if time.Now().After(deadline) {
			t.Fatalf("Redis cut nobody: %s", r.Log())
		}
		for range 100 { // in one turn of Redis they wait in its memory
			two[0].Publish(room, []chat.Event{{Room: "tertulia", Kind: chat.KindMessage, ID: 2, Body: body}})
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.wantTold(t, "cut by Redis")
	l.want(t, two[0], 3)
}

// Numbers and heartbeats find a last message that was lost (G6), and a node
// whose messages are all lost is found by its silence, by itself and by others.
func TestLostPublishesAreTold(t *testing.T) {
	p, a, b := openThrough(t)
	atA, atB := listen(t, a, room), listen(t, b, room)
	atB.want(t, a, 1)
	quiet(t, a, atA)
	quiet(t, b, atB)

	sent := a.Counts().Published.Value()
	p.dropping.Store(true)
	a.Publish(room, []chat.Event{{ID: 2}})
	for a.Counts().Published.Value() == sent {
		time.Sleep(time.Millisecond)
	}
	p.dropping.Store(false)
	atB.wantTold(t, "a last message was lost")

	quiet(t, a, atA)
	quiet(t, b, atB)
	p.dropping.Store(true)
	atB.wantTold(t, "the other node is not heard")
	atB.wantTold(t, "and goes on")
	atA.wantTold(t, "the node does not hear itself")
	p.dropping.Store(false)
	atB.want(t, a, 3)
	quiet(t, a, atA)
}
