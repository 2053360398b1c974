//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"tertulia/chat"
	"tertulia/internal/store/postgres"
)

// secondsVariable says how long faults are made; seedVariable says which.
const secondsVariable = "TERTULIA_NEMESIS_SECONDS"

const (
	shortNemesis = 15
	// legTime bounds what a run keeps in memory, some 100 bytes a message, and
	// on disk, some 300 on either server.
	legTime = 5 * time.Minute
	// nodePatience is how long a client waits for a node that says nothing.
	nodePatience = 3 * time.Second
	// healLimit is far above the 2 s within which a cluster should carry
	// messages again after a fault.
	healLimit = 2 * time.Minute
	// flowAcks is how many posts are acknowledged between two faults at the
	// least, or the next one would show nothing.
	flowAcks = 100
)

// TestClusterLosesNothing makes faults in a cluster of three nodes, PostgreSQL
// and Redis while clients post to and read from any node, and then holds what
// is stored against what they saw. A long run is cut into legs, each with
// clients and rooms of its own, so that it may last for as long as one likes.
func TestClusterLosesNothing(t *testing.T) {
	seconds, seed := variable(t, secondsVariable, shortNemesis), variable(t, seedVariable, rand.Uint64())
	n := &nemesis{cluster: startCluster(t), rnd: rand.New(rand.NewPCG(seed, 3)), made: make(map[string]int)}
	var report Report
	duplicates := 0
	for left := time.Duration(seconds) * time.Second; left > 0; left -= legTime {
		n.world = newPatientWorld(n.anyNode, n.legs)
		err := n.leg(t.Context(), min(left, legTime), left > legTime)
		for _, problem := range n.problems {
			t.Error(problem)
		}
		if err != nil {
			t.Fatalf("seed %d, faults %v: %v\n%s", seed, n.made, err, n.logs())
		}
		of := n.history.Finish(n.heads)
		if !of.complete() {
			t.Errorf("leg %d: %s, want all stored, and delivered to %d readers", n.legs, &of, roomReaders)
		}
		report.Add(of)
		duplicates += n.duplicates
		line := fmt.Sprintf("seconds=%d faults=%d %s duplicates=%d heal_median=%v heal_most=%v seed=%d", seconds-uint64(max(left-legTime, 0).Seconds()),
			len(n.heals), &report, duplicates, median(n.heals).Round(time.Millisecond), slices.Max(n.heals).Round(time.Millisecond), seed)
		fmt.Println(line, n.made)
		if report.Anomalies() > 0 {
			t.Fatalf("%s\n%s", line, report.Details())
		}
		if least := flowAcks * uint64(len(n.heals)); report.Acked < least {
			t.Errorf("%s: want at least %d acknowledged", line, least)
		}
	}
}

// newPatientWorld is for clients that put up with everything that ends in
// coming back.
func newPatientWorld(where func() string, leg int) *world {
	w := newWorld("")
	w.rooms = fmt.Sprintf("leg-%d-", leg)
	w.where, w.outage, w.patience = where, isOutage, nodePatience
	w.setUp() // for good
	return w
}

// isOutage reports whether a client that meets err has to come back, here or
// at another node (docs/protocol.md §8).
func isOutage(_ int, err error) bool {
	if closed, ok := errors.AsType[closedError](err); ok {
		return closed.code >= 4000 && closed.code < 4500
	}
	if refused, ok := errors.AsType[refusedError](err); ok {
		return chat.Code(refused) == chat.StoreUnavailable || chat.Code(refused) == chat.ShuttingDown
	}
	if status, ok := errors.AsType[ws.StatusError](err); ok {
		return status == 503
	}
	return isCrash(err) || errors.Is(err, context.DeadlineExceeded)
}

// nemesis makes faults, one after another.
type nemesis struct {
	*cluster
	*world
	rnd   *rand.Rand
	made  map[string]int // faults, by name
	heals []time.Duration
	legs  int                    // begun
	heads map[chat.RoomID]uint64 // of the rooms of this leg
}

// leg makes faults for a while, then lets everybody finish, and reads the
// store. If forget is true, the database keeps next to nothing of it.
func (n *nemesis) leg(ctx context.Context, lasts time.Duration, forget bool) error {
	n.legs++
	ctx, cancel := context.WithCancel(ctx)
	sent, allSent := context.WithCancel(ctx)
	defer allSent()
	posters := n.startClients(ctx, sent, n.rnd)
	defer n.clients.Wait()
	defer cancel()
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		if err := n.fault(ctx); err != nil {
			return err
		}
	}
	close(n.stop)
	if err := await(ctx, posters.Wait, roundTime, "posts are not answered"); err != nil {
		return err
	}
	st, err := postgres.Open(ctx, postgres.Config{URL: n.url, Connections: 4, Writers: 1})
	if err != nil {
		return err
	}
	defer st.Close()
	if n.heads, err = n.tellStore(ctx, st); err != nil {
		return err
	}
	n.setHeads(n.heads)
	n.history.Owed()
	allSent()
	if err := await(ctx, n.clients.Wait, healTime, "readers do not reach the head"); err != nil {
		return err
	}
	// What they were given that was stored since is there too, if it was not lost.
	if n.heads, err = n.tellStore(ctx, st); err != nil || !forget {
		return err
	}
	return n.forget(ctx, st)
}

// forget trims the rooms of a leg down to their last events, so that the
// database does not grow from one leg to the next.
func (n *nemesis) forget(ctx context.Context, st *postgres.Store) error {
	for room := range n.heads {
		for more := true; more; {
			var err error
			if _, more, err = st.Trim(ctx, room, chat.Retention{Events: 1}); err != nil {
				return err
			}
		}
	}
	return nil
}

// setHeads has the readers go on to what is stored: a post that was given up
// may be there too.
func (w *world) setHeads(heads map[chat.RoomID]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for room, head := range heads {
		w.head[room] = head
	}
}

// fault makes one fault, ends it, and waits until messages flow.
func (n *nemesis) fault(ctx context.Context) error {
	f := faults[n.rnd.IntN(len(faults))]
	n.made[f.name]++
	victim := n.nodes[n.rnd.IntN(len(n.nodes))]
	undo, err := f.make(ctx, n.cluster, victim)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if err := n.wait(ctx, f.least+time.Duration(n.rnd.Int64N(int64(f.most-f.least)+1))); err != nil {
		return err
	}
	if undo != nil {
		if err := undo(); err != nil {
			return fmt.Errorf("end of %s: %w", f.name, err)
		}
	}
	over := time.Now()
	if err := n.heal(ctx); err != nil {
		return fmt.Errorf("after %s: %w", f.name, err)
	}
	n.heals = append(n.heals, time.Since(over))
	if err := n.flow(ctx); err != nil {
		return fmt.Errorf("after %s: %w", f.name, err)
	}
	return n.wait(ctx, time.Duration(n.rnd.Int64N(int64(time.Second))))
}

var errMustNot = errors.New("a client has met what it must not")

// wait returns early, and with an error, if a client has met what it must not.
func (n *nemesis) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-n.failed:
		return errMustNot
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heal returns when a message posted at one node has come to another.
func (n *nemesis) heal(ctx context.Context) error {
	places := n.rnd.Perm(len(n.nodes))
	from, to := n.nodes[places[0]], n.nodes[places[1]]
	deadline := time.Now().Add(healLimit)
	for try := 0; ; try++ {
		err := n.probe(ctx, from.addr, to.addr, fmt.Sprintf("probe-%d-%d", len(n.heals), try))
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no message goes from %s to %s: %w", from.addr, to.addr, err)
		}
		n.pause()
	}
}

// flow returns when the clients have had some more posts acknowledged.
func (n *nemesis) flow(ctx context.Context) error {
	select {
	case <-n.after(flowAcks):
		return nil
	case <-n.failed:
		return errMustNot
	case <-time.After(healLimit):
		return errors.New("posts are not acknowledged")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// probe posts one message at a node and reads it at another.
func (n *nemesis) probe(ctx context.Context, from, to, text string) error {
	const room = chat.RoomID("probe")
	reader, _, err := dial(ctx, to, room, "reader", "history=0", nodePatience)
	if err != nil {
		return err
	}
	defer reader.conn.Close()
	writer, _, err := dial(ctx, from, room, "writer", "history=0", nodePatience)
	if err != nil {
		return err
	}
	defer writer.conn.Close()
	if _, err := writer.conn.Write(appendPost(nil, chat.Nonce(text), text)); err != nil {
		return err
	}
	for {
		e, err := reader.next()
		if err != nil {
			return err
		}
		if e.Type == "message" && e.Data.Content == text {
			return nil
		}
	}
}

// fault is one way in which a part of the cluster fails. make begins it, and
// returns what ends it, if it does not end by itself.
type fault struct {
	name        string
	least, most time.Duration // between make and its end
	make        func(ctx context.Context, c *cluster, victim *node) (undo func() error, err error)
}

// faults are those of the failure matrix that one machine can make: F1, F2,
// F3, F4, F7, F8, F9, F13 and F27.
var faults = []fault{
	{"node-kill", 100 * time.Millisecond, 2 * time.Second, func(ctx context.Context, c *cluster, victim *node) (func() error, error) {
		victim.process.kill()
		return func() error { return c.start(ctx, victim) }, nil
	}},
	{"node-stop", time.Second, 6 * time.Second, func(_ context.Context, _ *cluster, victim *node) (func() error, error) {
		return func() error { return victim.process.cmd.Process.Signal(syscall.SIGCONT) }, victim.process.cmd.Process.Signal(syscall.SIGSTOP)
	}},
	{"node-term", 0, time.Second, func(ctx context.Context, c *cluster, victim *node) (func() error, error) {
		return func() error { return c.start(ctx, victim) }, victim.process.terminate()
	}},
	{"redis-kill", 100 * time.Millisecond, 3 * time.Second, func(ctx context.Context, c *cluster, _ *node) (func() error, error) {
		c.redis.Kill()
		return func() error { return c.redis.Restart(ctx) }, nil
	}},
	{"redis-stop", time.Second, 5 * time.Second, func(_ context.Context, c *cluster, _ *node) (func() error, error) {
		c.redis.Stop()
		return func() error { c.redis.Continue(); return nil }, nil
	}},
	{"redis-flush", 0, time.Second, func(ctx context.Context, c *cluster, _ *node) (func() error, error) {
		_, err := c.redis.Command(ctx, "FLUSHALL")
		return nil, err
	}},
	{"pg-kill", 0, time.Second, func(ctx context.Context, c *cluster, _ *node) (func() error, error) {
		c.postgres.Kill()
		return func() error { return c.postgres.Restart(ctx) }, nil
	}},
	{"pg-failover", 0, time.Second, func(ctx context.Context, c *cluster, _ *node) (func() error, error) {
		err := c.failOver(ctx)
		return func() error { return c.standby.Follow(ctx, c.postgres) }, err
	}},
	{"pg-term", 0, time.Second, func(ctx context.Context, c *cluster, _ *node) (func() error, error) {
		return nil, c.postgres.Execute(ctx, database, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()")
	}},
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}
