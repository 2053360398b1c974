package bustest

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

func openLocal() bus.Bus { return local.New() }

func TestCluster(t *testing.T) {
	RunNodes(t, func(t *testing.T, n int) []bus.Bus { return Cluster(openLocal, n, 1, Faults{}) })
}

// A node of a cluster hears itself, whatever is lost between nodes, and says
// once a second that something may be.
func TestClusterThatLosesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := Cluster(openLocal, 2, 1, Faults{Drop: 1})
		var events, doubts [2]atomic.Int64
		for i, b := range nodes {
			defer closeBus(t, b)
			s := subscribe(t, b, topic, func(got []chat.Event) {
				events[i].Add(int64(len(got)))
				if len(got) == 0 {
					doubts[i].Add(1)
				}
			})
			defer s.Close()
		}
		nodes[0].Publish(topic, []chat.Event{event("tertulia", 1)})
		time.Sleep(3*doubtEvery + doubtEvery/2)
		synctest.Wait()
		if own, other := events[0].Load(), events[1].Load(); own != 1 || other != 0 {
			t.Errorf("the own node heard %d events and the other %d, want 1 and 0", own, other)
		}
		for i := range doubts {
			if n := doubts[i].Load(); n != 3 {
				t.Errorf("node %d doubted %d times in 3 s, want 3", i, n)
			}
		}
	})
}

// What is published on the local part is heard at that node alone.
func TestClusterLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := Cluster(openLocal, 2, 1, Faults{})
		var heard [2]atomic.Int64
		for i, b := range nodes {
			defer closeBus(t, b)
			s := subscribe(t, b, topic, func(got []chat.Event) { heard[i].Add(int64(len(got))) })
			defer s.Close()
		}
		Local(nodes[0]).Publish(topic, []chat.Event{event("tertulia", 1)})
		synctest.Wait()
		if own, other := heard[0].Load(), heard[1].Load(); own != 1 || other != 0 {
			t.Errorf("the own node heard %d events and the other %d, want 1 and 0", own, other)
		}
	})
}
