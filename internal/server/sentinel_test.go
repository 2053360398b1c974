package server

import (
	"testing"
	"time"

	"tertulia/internal/services"
)

// F3 as Sentinel knows it: the master is killed while two nodes talk, its
// replica takes its place, the old one comes back, taking itself for a master,
// and a Sentinel dies too. Nothing is lost, nobody is seen to leave, and no node
// is restarted.
func TestSentinel(t *testing.T) {
	w, err := services.StartWatched(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var urls []string
	for _, s := range w.Sentinels {
		urls = append(urls, "redis://"+s.Addr+"?master_set="+services.MasterSet)
	}
	p := startPair(t, urls...)
	p.wantState()
	p.wantPages(w.Servers[0])
	p.talk()

	w.Servers[0].Kill()
	killed := time.Now()
	for range 20 {
		p.talk()
	}
	p.wantPages(w.Servers[1]) // both nodes write to the new master
	p.wantState()
	t.Logf("all is well %v after the master was killed", time.Since(killed).Round(time.Millisecond))
	p.talk()

	if err := w.Servers[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Sentinels[0].Kill() // a node that has watched by it finds the other one
	p.talk()
	p.wantState()
	p.talk()
	p.stop()
}
