package bustest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// collector is a subscriber that keeps the events it was handed.
type collector struct {
	bus.Subscription
	wake chan struct{} // one slot: events has grown

	mu     sync.Mutex
	events []chat.Event
}

// collect subscribes a collector to topic.
func collect(t testing.TB, b bus.Bus, topic bus.Topic) *collector {
	t.Helper()
	c := &collector{wake: make(chan struct{}, 1)}
	c.Subscription = subscribe(t, b, topic, func(events []chat.Event) {
		c.mu.Lock()
		c.events = append(c.events, events...)
		c.mu.Unlock()
		select {
		case c.wake <- struct{}{}:
		default:
		}
	})
	return c
}

func subscribe(t testing.TB, b bus.Bus, topic bus.Topic, h bus.Handler) bus.Subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel() // the subscription outlives the context it was made with
	sub, err := b.Subscribe(ctx, topic, h)
	if err != nil {
		t.Fatalf("Subscribe(%q) = %v, want nil", topic, err)
	}
	return sub
}

// all returns a copy of what was collected so far.
func (c *collector) all() []chat.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// ids returns the IDs of what was collected, each at its first place: a bus
// may double.
func (c *collector) ids() []int64 {
	var ids []int64
	seen := make(map[int64]bool)
	for _, e := range c.all() {
		if !seen[e.ID] {
			seen[e.ID] = true
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (c *collector) has(id int64) bool { return slices.Contains(c.ids(), id) }

// publishUntil calls publish again and again until each collector has the
// event id.
func publishUntil(t testing.TB, publish func(), id int64, collectors ...*collector) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for _, c := range collectors {
		for !c.has(id) {
			publish()
			next := time.NewTimer(again)
			select {
			case <-c.wake:
			case <-next.C:
			case <-deadline.C:
				t.Fatalf("event %d did not arrive within %v, however often it was published", id, patience)
			}
			next.Stop()
		}
	}
}

// await waits for a signal on c.
func await(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-c:
	case <-deadline.C:
		t.Fatalf("waited %v for %s", patience, what)
	}
}
