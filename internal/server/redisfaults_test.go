package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"tertulia/internal/capture"
	"tertulia/internal/config"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/websocket"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// pair is two nodes on one database and one Redis, with a user at each: what
// Bo, or Ana at the first node, does is seen by Ana at the second.
type pair struct {
	t                *testing.T
	nodes            [2]*running
	writing, reading *client
	log              capture.Buffer // of the second node
	said             int
}

func startPair(t *testing.T, urls ...string) *pair {
	t.Helper()
	p := &pair{t: t}
	cfg := onPostgres(t)
	cfg.Redis.Prefix = servicetest.Prefix()
	for _, u := range urls {
		cfg.Redis.URLs = append(cfg.Redis.URLs, config.Secret(u))
	}
	p.nodes[0] = start(t, cfg)
	p.nodes[1] = startLogging(t, cfg, slog.New(slog.NewJSONHandler(&p.log, nil)))
	p.writing, p.reading = p.nodes[0].connect("1"), p.nodes[1].connect("1")
	p.writing.want("connected")
	p.reading.want("connected")
	p.visit(0, "1")
	p.writing.want("user_joined")
	p.reading.want("user_joined")
	return p
}

// visit has Bo come to a room at a node.
func (p *pair) visit(node int, room string) peerV1 {
	p.t.Helper()
	bo := dialV1(p.t, p.nodes[node].addr(), "/ws?user_id=2&username=Bo", "Sec-WebSocket-Protocol: tertulia.v1")
	bo.send(`{"type":"subscribe","rooms":[{"room":"` + room + `"}]}`)
	return bo
}

// talk has Ana say something at the first node, and hears it at the second.
// Nothing comes between: neither doubles, nor that Bo has left.
func (p *pair) talk() {
	p.t.Helper()
	p.said++
	began := time.Now()
	p.writing.send(websocket.Text, fmt.Sprintf(`{"type":"message","content":"number %d"}`, p.said))
	p.writing.want("message_sent")
	p.writing.want("message")
	if got := p.reading.want("message"); !strings.Contains(got, fmt.Sprintf(`"content":"number %d"`, p.said)) {
		p.t.Errorf("the next message is %s, want number %d", got, p.said)
	}
	p.t.Logf("number %d after %v", p.said, time.Since(began).Round(time.Millisecond))
}

// wantState waits until the second node, which is ready, says of its checks
// which are degraded, and which work.
func (p *pair) wantState(degraded ...string) {
	p.t.Helper()
	var body string
	eventually(p.t, fmt.Sprintf("%q and nothing else to be degraded", degraded), func() bool {
		var status int
		if status, body, _ = p.nodes[1].get("/readyz?verbose"); status != http.StatusOK {
			p.t.Fatalf("/readyz?verbose = %d %s, want 200", status, body)
		}
		for _, check := range degraded {
			if !strings.Contains(body, "[~] "+check+" degraded since ") {
				return false
			}
		}
		return strings.Count(body, "[~]") == len(degraded)
	})
}

func (p *pair) stop() {
	p.t.Helper()
	p.writing.Close()
	p.reading.Close()
	for _, n := range p.nodes {
		if err := n.stop(); err != nil {
			p.t.Errorf("Run = %v, want nil", err)
		}
	}
}

// wantPages waits until Redis holds what both nodes say: a lease and a page of
// each.
func (p *pair) wantPages(r *services.Redis) {
	p.t.Helper()
	eventually(p.t, "both nodes to have said who is here", func() bool {
		n, err := r.Command(p.t.Context(), "KEYS *presence:{*}:*")
		return err == nil && n == "*4\r\n"
	})
}

// command gives Redis a command from outside.
func command(t *testing.T, r *services.Redis, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := r.Command(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// fill writes more than Redis has memory for, so that it throws away what was
// not used for long.
func fill(t *testing.T, r *services.Redis) {
	t.Helper()
	command(t, r, "CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory 4mb")
	for i := range 200 {
		command(t, r, fmt.Sprintf("SET other:%d %s", i, strings.Repeat("x", 30<<10)))
	}
}

// Redis does what operators and full machines make it do. Messages flow, Bo
// stays, the node says what is wrong where operators look, and needs no
// restart.
func TestRedisFaults(t *testing.T) {
	r, err := services.StartRedis(t.Context(), t.TempDir(), "user tertulia on >old ~* &* +@all")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := startPair(t, "redis://tertulia:old@"+r.Addr)
	bus, ledger, cached := p.nodes[1].bus.counts, p.nodes[1].ledger.Counts(), p.nodes[0].store.cached
	for _, fault := range []struct {
		name     string
		do, undo []string
		how      func(*testing.T, *services.Redis)
		degraded []string
		logs     string
		counts   func() uint64 // goes up; nil if nothing does
	}{
		{name: "scripts are flushed", do: []string{"SCRIPT FLUSH"}},
		{name: "everything is flushed", do: []string{"FLUSHALL"}, counts: ledger.Restated.Value},
		{name: "subscriptions are cut", do: []string{"CLIENT KILL TYPE pubsub"}, counts: bus.Subscribed.Value},
		{name: "all clients are cut", do: []string{"CLIENT KILL USER tertulia"}, counts: bus.Told.Value},
		{name: "the memory is full", do: []string{"CONFIG SET maxmemory 1"}, undo: []string{"CONFIG SET maxmemory 0"},
			degraded: []string{"presence"}, logs: "OOM", counts: cached.Failed.Value},
		{name: "keys are thrown away", how: fill, undo: []string{"CONFIG SET maxmemory 0", "CONFIG SET maxmemory-policy noeviction"}},
		{name: "the master is a replica", do: []string{"REPLICAOF 127.0.0.1 1"}, undo: []string{"REPLICAOF NO ONE"},
			degraded: []string{"presence"}, logs: "READONLY", counts: ledger.Failed.Value},
		{name: "the password is another", do: []string{"ACL SETUSER tertulia resetpass >new", "CLIENT KILL USER tertulia"}, undo: []string{"ACL SETUSER tertulia >old"},
			degraded: []string{"redis", "bus", "presence"}, logs: "WRONGPASS", counts: bus.Told.Value},
	} {
		t.Run(fault.name, func(t *testing.T) {
			p.t, p.nodes[1].t = t, t
			p.wantState()
			p.wantPages(r)
			counts := func() uint64 { return 1 }
			before := uint64(0)
			if fault.counts != nil {
				counts, before = fault.counts, fault.counts()
			}
			command(t, r, fault.do...)
			if fault.how != nil {
				fault.how(t, r)
			}
			p.visit(1, "another") // so that there is something to be written
			p.talk()
			p.talk()
			p.wantState(fault.degraded...)
			eventually(t, "a metric that shows it", func() bool { return counts() > before })
			eventually(t, fault.logs+" in the log", func() bool { return strings.Contains(p.log.String(), fault.logs) })
			command(t, r, fault.undo...)
			p.wantState()
			p.talk()
		})
	}
	p.t, p.nodes[1].t = t, t
	p.stop()
}
