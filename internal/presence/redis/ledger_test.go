package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/presence"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servicetest.M{M: m}) }

const room1 = chat.RoomID("1")

// patience is for a loaded machine. So are the leases and graces below that
// nobody may outlive: some seconds each, in which a test that nobody lets run
// does not fail.
const patience = time.Minute

// cluster is nodes on one Redis and one bus.
type cluster struct {
	t      *testing.T
	redis  *services.Redis
	prefix string
	lease  time.Duration
	grace  time.Duration
	bus    bus.Bus
	nodes  int
}

func newCluster(t *testing.T, lease, grace time.Duration) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: servicetest.Redis(t), prefix: servicetest.Prefix(), lease: lease, grace: grace, bus: local.New()}
	t.Cleanup(func() { c.bus.Close() })
	return c
}

// node is one of them, and the events that its readers in room 1 get.
type node struct {
	*presence.Tracker
	t      *testing.T
	client rueidis.Client
	ledger *Ledger
	visits map[string]*presence.Visit
	ended  bool

	mu     sync.Mutex
	events []string
}

// dial connects a node to Redis.
func (c *cluster) dial() rueidis.Client {
	c.t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{c.redis.Addr}, DisableCache: true, ForceSingleClient: true, ConnWriteTimeout: 2 * time.Second,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// start starts a node with a name that none had before.
func (c *cluster) start() *node {
	c.t.Helper()
	return c.startOn(c.dial())
}

func (c *cluster) startOn(client rueidis.Client) *node {
	c.t.Helper()
	c.nodes++
	own := local.New()
	n := &node{t: c.t, client: client, visits: make(map[string]*presence.Visit)}
	_, err := own.Subscribe(context.Background(), bus.RoomTopic(room1), n.hear)
	if err != nil {
		c.t.Fatal(err)
	}
	n.Tracker = presence.New(presence.Config{Bus: own, Grace: c.grace})
	n.ledger, err = New(context.Background(), Config{
		Client: n.client, Bus: c.bus, Prefix: c.prefix, Secret: []byte("of all nodes"), Node: fmt.Sprintf("n%d", c.nodes), Tracker: n.Tracker, Lease: c.lease, Grace: c.grace,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		n.kill()
		own.Close()
	})
	return n
}

// hear keeps what a reader of the node is told.
func (n *node) hear(events []chat.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range events {
		sign := map[chat.Kind]string{chat.KindUserJoined: "+", chat.KindUserLeft: "-"}[e.Kind]
		n.events = append(n.events, fmt.Sprintf("%d%s%s", e.Version, sign, e.Actor.Name))
	}
}

// told returns what readers in room 1 have been told so far.
func (n *node) told() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.events, " ")
}

// kill ends the node's work without a word to anybody.
func (n *node) kill() {
	if n.ended {
		return
	}
	n.ended = true
	n.ledger.closed.Do(func() {
		n.ledger.sub.Close()
		n.ledger.stop()
		n.ledger.working.Wait()
	})
	n.Tracker.Close()
	n.client.Close()
}

// stopOrderly is what a server does: its clients are cut off, and it leaves.
func (n *node) stopOrderly() {
	for _, v := range n.visits {
		v.Leave(false)
	}
	n.ledger.Close(context.Background())
	n.kill()
}

func (n *node) join(user string) {
	_, n.visits[user] = n.Join(room1, chat.User{ID: chat.UserID(user), Name: user})
}

func (n *node) here() string {
	var names []string
	for _, u := range n.Snapshot(room1).Users {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// want waits until a node says that these are here.
func (n *node) want(here string) {
	n.t.Helper()
	eventually(n.t, func() error {
		if got := n.here(); got != here {
			return fmt.Errorf("here are %q, want %q", got, here)
		}
		return nil
	})
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// Alice comes on one node and is seen on the others, those that start later
// included; so is her clean leave, at once.
func TestComingAndGoing(t *testing.T) {
	c := newCluster(t, DefaultLease, time.Hour)
	a, b := c.start(), c.start()
	a.join("alice")
	b.join("bob")
	a.want("alice bob")
	b.want("alice bob")
	late := c.start()
	if got := late.here(); got != "alice bob" {
		t.Errorf("a node that has just started says that here are %q, want both", got)
	}
	stats := late.Stats(presence.Cluster)
	if stats.Connections != 2 || stats.Users != 2 || late.Stats(presence.Node).Connections != 0 {
		t.Errorf("Stats = %+v, want two connections of the cluster", stats)
	}
	a.visits["alice"].Leave(true)
	b.want("bob")
	late.want("bob")
	if got := b.told(); got != "1+bob 2+alice 3-alice" && got != "1+alice 2+bob 3-alice" {
		t.Errorf("readers of b were told %q", got)
	}
}

// Alice is cut off and comes back on another node: nobody is told.
func TestReconnectElsewhere(t *testing.T) {
	c := newCluster(t, DefaultLease, 4*time.Second)
	a, b, reader := c.start(), c.start(), c.start()
	a.join("alice")
	b.want("alice")
	reader.want("alice")
	a.visits["alice"].Leave(false)
	b.join("alice")
	eventually(t, func() error { // a's grace is over, and all know
		if got := reader.Stats(presence.Cluster).Connections; got != 1 || len(a.Own()) != 0 {
			return fmt.Errorf("%d connections, a has %v", got, a.Own())
		}
		return nil
	})
	for i, n := range []*node{a, b, reader} {
		if got := n.told(); got != "1+alice" {
			t.Errorf("readers of node %d were told %q, want her coming alone", i, got)
		}
	}
	b.visits["alice"].Leave(true)
	reader.want("")
}

// F1: the users of a node that was killed leave, those that others have stay.
func TestKilledNode(t *testing.T) {
	c := newCluster(t, 4*time.Second, 2*time.Second)
	a, b := c.start(), c.start()
	a.join("alice")
	a.join("carla")
	b.want("alice carla")
	a.kill()
	b.join("carla")
	b.want("carla")
	eventually(t, func() error { // its lease is gone, and its name from the list
		names, err := b.client.Do(t.Context(), b.client.B().Smembers().Key(nodesKey(c.prefix)).Build()).AsStrSlice()
		if err != nil || fmt.Sprint(names) != "[n2]" {
			return fmt.Errorf("nodes %v, %v, want n2 alone", names, err)
		}
		return nil
	})
	if got := b.told(); got != "1+alice 2+carla 3-alice" && got != "1+carla 2+alice 3-alice" {
		t.Errorf("readers were told %q, want alice's leaving once", got)
	}
}

// A node that stops leaves its users behind for the grace, also for a node
// that starts after it is gone; who comes back was never away.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, DefaultLease, 5*time.Second)
	a, b := c.start(), c.start()
	a.join("alice")
	a.join("dora")
	b.want("alice dora")
	a.stopOrderly()
	next := c.start()
	if got := next.here(); got != "alice dora" {
		t.Errorf("after the restart here are %q, want those in their grace", got)
	}
	if got := next.Stats(presence.Cluster).Connections; got != 0 {
		t.Errorf("%d connections, want none", got)
	}
	next.join("alice")
	b.want("alice") // dora's grace is over
	next.want("alice")
	for i, n := range []*node{b, next} {
		if got := n.told(); strings.Contains(got, "-alice") || strings.Count(got, "-dora") != 1 {
			t.Errorf("readers of node %d were told %q, want dora's leaving alone", i, got)
		}
	}
}

// A node without users leaves nothing behind.
func TestStopLeavesNothing(t *testing.T) {
	c := newCluster(t, DefaultLease, time.Hour)
	a := c.start()
	a.join("alice")
	a.visits["alice"].Leave(true)
	a.ledger.Close(t.Context())
	a.ledger.Close(t.Context()) // again
	k := keysOf(c.prefix, "n1")
	n, err := a.client.Do(t.Context(), a.client.B().Exists().Key(k.lease, k.page, k.next, nodesKey(c.prefix)).Build()).AsInt64()
	if err != nil || n != 0 {
		t.Errorf("%d keys are left, %v, want none", n, err)
	}
}

// forget deletes every key of the deployment, as FLUSHALL would.
func (c *cluster) forget(n *node) {
	c.t.Helper()
	gone := []string{nodesKey(c.prefix)}
	for i := range c.nodes {
		k := keysOf(c.prefix, fmt.Sprintf("n%d", i+1))
		gone = append(gone, k.lease, k.page, k.next)
	}
	if err := n.client.Do(c.t.Context(), n.client.B().Del().Key(gone...).Build()).Error(); err != nil {
		c.t.Fatal(err)
	}
}

// F4: Redis is emptied. Nobody is told anything, and a node that starts
// afterwards knows everybody.
func TestFlush(t *testing.T) {
	c := newCluster(t, 4*time.Second, 4*time.Second)
	a, b := c.start(), c.start()
	a.join("alice")
	b.join("bob")
	a.want("alice bob")
	b.want("alice bob")
	before := a.told() + "|" + b.told()
	c.forget(a)
	b.join("carla") // into a page that is lost
	a.want("alice bob carla")
	eventually(t, func() error {
		for i := range 2 {
			k := keysOf(c.prefix, fmt.Sprintf("n%d", i+1))
			whole, err := a.client.Do(t.Context(), a.client.B().Hexists().Key(k.page).Field(fieldWhole).Build()).AsBool()
			if err != nil || !whole {
				return fmt.Errorf("the page of n%d is whole: %v, %v", i+1, whole, err)
			}
		}
		return nil
	})
	if got := c.start().here(); got != "alice bob carla" {
		t.Errorf("a node that has just started says that here are %q, want all", got)
	}
	time.Sleep(5 * time.Second) // a grace that had begun would be over
	if got := strings.ReplaceAll(a.told()+"|"+b.told(), " 3+carla", ""); got != before {
		t.Errorf("readers were told %q, then %q", before, got)
	}
}

// A node that has slept longer than its lease, and was given up, comes back
// with everybody.
func TestSleeper(t *testing.T) {
	c := newCluster(t, time.Second, 200*time.Millisecond)
	a, b := c.start(), c.start()
	a.join("alice")
	b.want("alice")
	k := keysOf(c.prefix, "n1")
	eventually(t, func() error { // hold its lease down, as its sleep would
		if err := b.client.Do(t.Context(), b.client.B().Del().Key(k.lease).Build()).Error(); err != nil {
			return err
		}
		if got := b.here(); got != "" {
			return fmt.Errorf("here are %q, want nobody", got)
		}
		return nil
	})
	b.want("alice")
}

// Everything that the bus does wrong is made good by looking.
func TestHostileBus(t *testing.T) {
	c := newCluster(t, 2*time.Second, time.Hour)
	c.bus = bustest.Chaotic(c.bus, 1, bustest.Faults{Drop: 0.3, Double: 0.3, Reorder: 0.3, Delay: 0.3, MaxDelay: 50 * time.Millisecond})
	a, b := c.start(), c.start()
	for i := range 60 {
		user := fmt.Sprint("u", i%7)
		if i%3 == 2 && a.visits[user] != nil {
			a.visits[user].Leave(true)
		} else {
			a.join(user)
		}
		if i%10 == 9 {
			time.Sleep(2 * flushEvery)
		}
	}
	b.want(a.here())
	if got, want := b.Stats(presence.Cluster), a.Stats(presence.Cluster); got.Connections != want.Connections {
		eventually(t, func() error {
			if got := b.Stats(presence.Cluster); got.Connections != want.Connections {
				return fmt.Errorf("%d connections, want %d", got.Connections, want.Connections)
			}
			return nil
		})
	}
}

// ownRedis gives the cluster a server of its own, which may be killed.
func (c *cluster) ownRedis() {
	c.t.Helper()
	var err error
	if c.redis, err = services.StartRedis(c.t.Context(), c.t.TempDir()); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(c.redis.Close)
}

// wantDegraded waits until a node says so everywhere, or nowhere.
func (n *node) wantDegraded(want bool) {
	n.t.Helper()
	eventually(n.t, func() error {
		since, err := n.ledger.Up()
		if (err != nil) != want || n.Snapshot(room1).Degraded != want || since.IsZero() == want {
			return fmt.Errorf("Up = %v, %v, the snapshot's %v, want degraded to be %v", since, err, n.Snapshot(room1).Degraded, want)
		}
		return nil
	})
}

// Redis dies with everything in it and comes back empty: what was known is
// kept, and is right again.
func TestRedisRestarts(t *testing.T) {
	c := newCluster(t, 4*time.Second, 4*time.Second)
	c.ownRedis()
	a, b := c.start(), c.start()
	a.join("alice")
	b.join("bob")
	a.want("alice bob")
	b.want("alice bob")
	c.redis.Kill()
	a.wantDegraded(true)
	b.wantDegraded(true)
	a.join("carla")
	b.visits["bob"].Leave(true)
	a.want("alice bob carla")
	if err := c.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.wantDegraded(false)
	b.wantDegraded(false)
	a.want("alice carla")
	b.want("alice carla")
	for i, n := range []*node{a, b} {
		if got := n.told(); strings.Contains(got, "-alice") || strings.Contains(got, "-carla") {
			t.Errorf("readers of node %d were told %q", i, got)
		}
	}
}

// A node starts while there is no Redis, says so, and is one of many later.
func TestStartWithoutRedis(t *testing.T) {
	c := newCluster(t, 2*time.Second, time.Hour)
	c.ownRedis()
	a := c.start()
	a.join("alice")
	client := c.dial()
	c.redis.Stop()
	lost := c.startOn(client)
	lost.wantDegraded(true)
	lost.join("bob")
	c.redis.Continue()
	lost.want("alice bob")
	a.want("alice bob")
	lost.wantDegraded(false)
}

// On a Redis Cluster the keys of a node share a slot, and those of others and
// the list of nodes lie elsewhere.
func TestRedisCluster(t *testing.T) {
	masters, err := services.StartRedisCluster(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range masters {
		t.Cleanup(m.Close)
	}
	c := newCluster(t, 2*time.Second, 2*time.Second)
	var nodes []*node
	for range 4 {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{masters[0].Addr}, DisableCache: true})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, c.startOn(client))
	}
	for i, n := range nodes {
		n.join(fmt.Sprint("u", i))
	}
	for _, n := range nodes {
		n.want("u0 u1 u2 u3")
	}
	nodes[0].kill()
	nodes[1].stopOrderly()
	nodes[2].visits["u2"].Leave(true)
	nodes[3].want("u3")
	for i, n := range nodes {
		if _, err := n.ledger.Up(); err != nil {
			t.Errorf("node %d is degraded: %v", i, err)
		}
	}
}
