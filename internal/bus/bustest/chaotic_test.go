package bustest

import (
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

func TestChaoticConformance(t *testing.T) {
	t.Run("calm", func(t *testing.T) {
		Run(t, func(*testing.T) bus.Bus { return Chaotic(local.New(), 1, Faults{}) })
	})
	t.Run("hostile", func(t *testing.T) {
		Run(t, func(*testing.T) bus.Bus {
			return Chaotic(local.New(), 1, Faults{Drop: 0.2, Double: 0.2, Reorder: 0.2, Delay: 0.2, MaxDelay: time.Millisecond})
		}, ChaoticBreaks...)
	})
	t.Run("hostile over nodes", func(t *testing.T) {
		for _, c := range nodesCases {
			if c.name == "ReachesOwnNodeBeforePublishReturns" {
				continue // broken on purpose
			}
			t.Run(c.name, func(t *testing.T) {
				nodes := network(3)
				for i := range nodes {
					nodes[i] = closeOnce(Chaotic(nodes[i], uint64(i), Faults{Drop: 0.3, Double: 0.3, Reorder: 0.3, Delay: 0.3, MaxDelay: time.Millisecond}))
					defer closeBus(t, nodes[i])
				}
				c.run(t, nodes)
			})
		}
	})
}

// The cases in ChaoticBreaks are really broken, or they would not be there.
func TestChaoticBreaks(t *testing.T) {
	for _, name := range ChaoticBreaks {
		synctest.Test(t, func(t *testing.T) {
			i := slices.IndexFunc(cases, func(c testCase) bool { return c.name == name })
			b := Chaotic(local.New(), 1, Faults{Delay: 0.5})
			defer b.Close()
			if !fails(func(t testing.TB) { cases[i].run(t, b) }) {
				t.Errorf("%s passed on a hostile bus, want it to fail", name)
			}
		})
	}
}

// arrival is one event as a handler got it.
type arrival struct {
	id    int64
	bare  bool
	after time.Duration // since the first Publish
}

// step is the time between two events. The odd nanosecond keeps publishing
// and the timers of the bus from falling on one instant, where their order
// would be the scheduler's.
const step = time.Millisecond + time.Nanosecond

// suffer publishes events 0..n-1, one each step, to a chaotic bus, and returns
// what a subscriber got. It is to be called in a synctest bubble.
func suffer(t *testing.T, seed uint64, faults Faults, topic bus.Topic, n int) []arrival {
	t.Helper()
	b := Chaotic(local.New(), seed, faults)
	var mu sync.Mutex
	var got []arrival
	start := time.Now()
	subscribe(t, b, topic, func(events []chat.Event) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			got = append(got, arrival{e.ID, e.Bare(), time.Since(start)})
		}
	})
	for id := range n {
		b.Publish(topic, []chat.Event{event("tertulia", int64(id))})
		time.Sleep(step)
	}
	time.Sleep(time.Hour) // whatever is late has come
	closeBus(t, b)
	mu.Lock()
	defer mu.Unlock()
	return got
}

func TestChaoticFaults(t *testing.T) {
	const n = 2000
	count := func(got []arrival) (counts [n]int) {
		for _, a := range got {
			counts[a.id]++
		}
		return counts
	}
	share := func(t *testing.T, what string, n, of int, want float64) {
		t.Helper()
		if got := float64(n) / float64(of); math.Abs(got-want) > 0.05 {
			t.Errorf("share of events %s = %.2f, want %.2f", what, got, want)
		}
	}
	times := func(counts [n]int, c int) (sum int) {
		for _, got := range counts {
			if got == c {
				sum++
			}
		}
		return sum
	}
	for _, tc := range []struct {
		name   string
		faults Faults
		check  func(t *testing.T, got []arrival)
	}{
		{"none", Faults{}, func(t *testing.T, got []arrival) {
			for i, a := range got {
				if want := (arrival{int64(i), false, time.Duration(i) * step}); a != want {
					t.Fatalf("arrival %d = %v, want %v", i, a, want)
				}
			}
			share(t, "arrived", len(got), n, 1)
		}},
		{"drop", Faults{Drop: 0.3}, func(t *testing.T, got []arrival) {
			share(t, "lost", times(count(got), 0), n, 0.3)
		}},
		{"double", Faults{Double: 0.3}, func(t *testing.T, got []arrival) {
			share(t, "doubled", times(count(got), 2), n, 0.3)
			share(t, "single", times(count(got), 1), n, 0.7)
		}},
		{"bare", Faults{Bare: 0.3}, func(t *testing.T, got []arrival) {
			bare := 0
			for _, a := range got {
				if a.bare {
					bare++
				}
			}
			share(t, "that came bare", bare, n, 0.3)
		}},
		{"reorder", Faults{Reorder: 0.3}, func(t *testing.T, got []arrival) {
			share(t, "that arrived once", times(count(got), 1), n, 1)
			overtaken := 0
			for i := range got[1:] {
				if got[i+1].id < got[i].id {
					overtaken++
				}
			}
			share(t, "overtaken", overtaken, n, 0.21) // runs of held events count once: 0.3×0.7
		}},
		{"reorder all", Faults{Reorder: 1, MaxDelay: 5 * time.Millisecond}, func(t *testing.T, got []arrival) {
			share(t, "that arrived once", times(count(got), 1), n, 1) // by the timer, as nothing overtakes
			for _, a := range got {
				if late := a.after - time.Duration(a.id)*step; late > 5*time.Millisecond {
					t.Fatalf("event %d was %v late, want at most 5ms", a.id, late)
				}
			}
		}},
		{"delay", Faults{Delay: 0.3, MaxDelay: 20 * time.Millisecond}, func(t *testing.T, got []arrival) {
			share(t, "that arrived once", times(count(got), 1), n, 1)
			delayed := 0
			for _, a := range got {
				switch late := a.after - time.Duration(a.id)*step; {
				case late > 20*time.Millisecond:
					t.Fatalf("event %d was %v late, want at most 20ms", a.id, late)
				case late > 0:
					delayed++
				}
			}
			share(t, "delayed", delayed, n, 0.3)
		}},
		{"all", Faults{Drop: 0.5, Double: 0.5, Reorder: 0.5, Delay: 0.5}, func(t *testing.T, got []arrival) {
			share(t, "lost", times(count(got), 0), n, 0.5)
			share(t, "doubled", times(count(got), 2), n, 0.25)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tc.check(t, suffer(t, 7, tc.faults, topic, n)) })
		})
	}
}

func TestChaoticFollowsSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := Faults{Drop: 0.2, Double: 0.2, Reorder: 0.2, Delay: 0.2}
		first := suffer(t, 7, faults, topic, 200)
		if again := suffer(t, 7, faults, topic, 200); !slices.Equal(again, first) {
			t.Errorf("the same seed gave two different fates")
		}
		if other := suffer(t, 8, faults, topic, 200); slices.Equal(other, first) {
			t.Errorf("seeds 7 and 8 gave one fate")
		}
		if other := suffer(t, 7, faults, "room/other", 200); slices.Equal(other, first) {
			t.Errorf("two topics had one fate")
		}
	})
}

// Closing drops what is late: nothing arrives afterwards, however long one
// waits.
func TestChaoticCloseEndsTimers(t *testing.T) {
	for name, closer := range map[string]func(bus.Bus, bus.Subscription){
		"subscription": func(_ bus.Bus, s bus.Subscription) { s.Close() },
		"bus":          func(b bus.Bus, _ bus.Subscription) { closeBus(t, b) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := closeOnce(Chaotic(local.New(), 1, Faults{Reorder: 0.5, Delay: 1, MaxDelay: time.Minute}))
				defer closeBus(t, b)
				c := collect(t, b, topic)
				for id := range int64(50) {
					b.Publish(topic, []chat.Event{event("tertulia", id)})
				}
				closer(b, c)
				time.Sleep(time.Hour)
				if got := c.ids(); len(got) != 0 {
					t.Errorf("events %v arrived after Close, want none", got)
				}
			})
		})
	}
}

// Close waits for a late handler that runs.
func TestChaoticCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Chaotic(local.New(), 1, Faults{Delay: 1, MaxDelay: time.Second})
		running, finished := make(chan struct{}), false
		subscribe(t, b, topic, func([]chat.Event) {
			close(running)
			time.Sleep(time.Minute)
			finished = true
		})
		b.Publish(topic, []chat.Event{event("tertulia", 1)})
		<-running
		closeBus(t, b)
		if !finished {
			t.Errorf("Close returned while a handler ran")
		}
	})
}
