//go:build linux

package main

import (
	"os"
	"testing"
	"time"

	"tertulia/internal/bench"
)

// TestRollingRestart restarts three nodes one after the other under load. That
// nothing is lost, doubled or out of order for any client, and that every one
// comes back where it was, is checked by the scenario, which would fail.
func TestRollingRestart(t *testing.T) {
	t.Setenv(actAs, "main")
	const rooms = 20
	setup := bench.Setup{Nodes: 3, Redis: true}
	cluster, err := bench.SpawnCluster(t.Context(), os.Args[0], setup)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	report, err := bench.Roll{
		Clients: 12 * rooms,
		Rooms:   rooms,
		Rate:    40,
		Size:    64,
		Times:   bench.Times{Warm: 100 * time.Millisecond, Measure: time.Second},
		Watch:   12 * time.Second, // the grace, and some more
	}.Run(t.Context(), cluster.Target)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range report {
		got[f.Name] = f.Value
		t.Logf("%s: %.3g %s", f.Name, f.Value, f.Unit)
	}
	for i, name := range []string{"node 1: clients moved", "node 2: clients moved", "node 3: clients moved"} {
		if least := float64(4 * rooms); got[name] < least {
			t.Errorf("%s: %v, want at least %v of restart %d", name, got[name], least, i+1)
		}
	}
	// Where a machine stands still for seconds, clients are away for longer than
	// the grace, and Redis is not asked: what follows is about the others.
	worst := got["from SIGTERM until the last client is elsewhere, worst"]
	if worst > 6 {
		return
	}
	if n := got["told of those who moved"]; n > 0 {
		t.Errorf("others were told %v times of clients who moved within %.1f s, want never", n, worst)
	}
	if n := got["history reads of one node for each room, most"]; n > 1 {
		t.Errorf("a node read the log %.2f times for each room that clients came back to, want 1 at most", n)
	}
}
