package server

import (
	"path/filepath"
	"testing"
	"time"

	"tertulia/internal/services"
)

// F3 as a Redis Cluster knows it: the master that carries the room, and the
// pages of who is here that fall on it, is killed while two nodes talk, its
// replica takes its place, and the old one comes back as a replica. Nothing is
// lost, nobody is seen to leave, and no node is restarted.
func TestReplicaTakesOverInRedisCluster(t *testing.T) {
	const soon = "cluster-node-timeout 1000" // a master is dead after this
	dir := t.TempDir()
	masters, err := services.StartRedisCluster(t.Context(), dir, soon)
	if err != nil {
		t.Fatal(err)
	}
	urls := make([]string, len(masters))
	for i, m := range masters {
		defer m.Close()
		urls[i] = "redis://" + m.Addr
	}
	master := masters[2] // has the last third of the shards, and room 1 is in shard 26 of 32
	replica, err := services.StartRedisReplica(t.Context(), filepath.Join(dir, "replica"), masters, master, soon)
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	p := startPair(t, urls...)
	p.wantState()
	p.talk()

	before := p.nodes[1].bus.counts.Subscribed.Value()
	master.Kill()
	killed := time.Now()
	for range 20 {
		p.talk()
	}
	eventually(t, "the node to have lost the room's channel and to have subscribed anew", func() bool {
		return p.nodes[1].bus.counts.Subscribed.Value() > before
	})
	eventually(t, "all shards to be heard", func() bool { return p.nodes[1].bus.busUp(t.Context()) == nil })
	t.Logf("all shards are heard %v after the master was killed", time.Since(killed).Round(time.Millisecond))
	p.wantState()
	t.Logf("all is well %v after the master was killed", time.Since(killed).Round(time.Millisecond))
	wantMaster(t, replica)
	p.talk()

	if err := master.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.talk()
	p.wantState()
	p.talk()
	p.stop()
}

// wantMaster wants a server to be a master.
func wantMaster(t *testing.T, r *services.Redis) {
	t.Helper()
	if role, err := r.Command(t.Context(), "ROLE"); err != nil || role != "*3\r\n" { // a replica's has five parts
		t.Errorf("ROLE = %q, %v, want a master", role, err)
	}
}
