package local

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	bustest.Run(t, func(*testing.T) bus.Bus { return New() })
}

func subscribe(t testing.TB, b *Bus, topic bus.Topic, h bus.Handler) bus.Subscription {
	t.Helper()
	sub, err := b.Subscribe(context.Background(), topic, h)
	if err != nil {
		t.Fatalf("Subscribe(%q) = %v, want nil", topic, err)
	}
	return sub
}

// topics counts what the bus holds.
func (b *Bus) topics() int {
	n := 0
	for i := range b.shards {
		n += len(b.shards[i].topics)
	}
	return n
}

func TestTopicsLeaveNothingBehind(t *testing.T) {
	b := New()
	defer b.Close()
	for i := range 1000 {
		topic := bus.Topic(fmt.Sprintf("room/%d", i))
		b.Publish(topic, []chat.Event{{ID: 1}})
		one, two := subscribe(t, b, topic, func([]chat.Event) {}), subscribe(t, b, topic, func([]chat.Event) {})
		one.Close()
		two.Close()
		two.Close() // again
		b.Publish(topic, []chat.Event{{ID: 2}})
	}
	if got := b.topics(); got != 0 {
		t.Errorf("the bus holds %d topics without subscribers, want 0", got)
	}
}

// A subscription's Close, and the bus's, wait for the handler that runs.
func TestCloseWaitsForRunningHandler(t *testing.T) {
	for name, closer := range map[string]func(*Bus, bus.Subscription){
		"subscription": func(_ *Bus, s bus.Subscription) { s.Close() },
		"bus":          func(b *Bus, _ bus.Subscription) { b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				b := New()
				running, release := make(chan struct{}), make(chan struct{})
				var finished atomic.Bool
				sub := subscribe(t, b, "room/1", func([]chat.Event) {
					close(running)
					<-release
					runtime.Gosched()
					finished.Store(true)
				})
				var wg sync.WaitGroup
				wg.Go(func() { b.Publish("room/1", []chat.Event{{ID: 1}}) })
				<-running
				wg.Go(func() {
					closer(b, sub)
					if !finished.Load() {
						t.Errorf("Close returned while the handler ran")
					}
				})
				for range 20 { // lets a Close that does not wait return
					runtime.Gosched()
				}
				close(release)
				wg.Wait()
				b.Close()
			}
		})
	}
}

// block subscribes a handler that waits for release when it gets event id, and
// closes running then.
func block(t *testing.T, b *Bus, topic bus.Topic, id int64) (sub bus.Subscription, running, release chan struct{}) {
	t.Helper()
	running, release = make(chan struct{}), make(chan struct{})
	sub = subscribe(t, b, topic, func(events []chat.Event) {
		if events[0].ID == id {
			close(running)
			<-release
		}
	})
	return sub, running, release
}

// A publisher that is on its way to a handler passes it by once it is closed.
func TestPublisherUnderWayPassesClosed(t *testing.T) {
	b := New()
	defer b.Close()
	_, running, release := block(t, b, "room/1", 1)
	var late atomic.Bool
	second := subscribe(t, b, "room/1", func([]chat.Event) { late.Store(true) })
	var wg sync.WaitGroup
	wg.Go(func() { b.Publish("room/1", []chat.Event{{ID: 1}}) })
	<-running
	second.Close()
	close(release)
	wg.Wait()
	if late.Load() {
		t.Errorf("the handler was called after Close had returned")
	}
}

// Nor does it wait while the handler is being closed.
func TestPublisherUnderWayPassesClosing(t *testing.T) {
	b := New()
	defer b.Close()
	_, firstRuns, releaseFirst := block(t, b, "room/1", 2)
	stuck, stuckRuns, releaseStuck := block(t, b, "room/1", 1)
	var wg sync.WaitGroup
	wg.Go(func() { b.Publish("room/1", []chat.Event{{ID: 1}}) })
	<-stuckRuns // by event 1
	published := make(chan struct{})
	wg.Go(func() {
		b.Publish("room/1", []chat.Event{{ID: 2}})
		close(published)
	})
	<-firstRuns // by event 2, which comes to stuck next
	wg.Go(stuck.Close)
	for b.handlers("room/1") > 1 {
		runtime.Gosched()
	}
	for range 20 { // lets Close come to waiting
		runtime.Gosched()
	}
	close(releaseFirst)
	select {
	case <-published:
	case <-time.After(30 * time.Second):
		t.Errorf("Publish waits for a handler that is being closed")
	}
	close(releaseStuck)
	wg.Wait()
}

func (b *Bus) handlers(topic bus.Topic) int {
	s := b.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.topics[topic])
}

// A loss is told to the handlers of its topics and to nobody else.
func TestLossIsTold(t *testing.T) {
	b := New()
	defer b.Close()
	var told [3]int
	for i := range told {
		subscribe(t, b, bus.Topic(fmt.Sprintf("room/%d", i)), func(events []chat.Event) {
			if len(events) == 0 {
				told[i]++
			}
		})
	}
	b.Lost("room/1")
	b.Lost("room/nobody")
	if want := [3]int{0, 1, 0}; told != want {
		t.Errorf("after Lost of room 1 handlers were told %v times, want %v", told, want)
	}
	b.LostAll(func(topic bus.Topic) bool { return topic != "room/0" })
	if want := [3]int{0, 2, 1}; told != want {
		t.Errorf("after LostAll but room 0 handlers were told %v times, want %v", told, want)
	}
	if !b.Subscribed("room/1") || b.Subscribed("room/nobody") {
		t.Errorf("Subscribed = %t, %t, want true, false", b.Subscribed("room/1"), b.Subscribed("room/nobody"))
	}
}

func TestPublishDoesNotAllocate(t *testing.T) {
	b := New()
	defer b.Close()
	for range 3 {
		subscribe(t, b, "room/1", func([]chat.Event) {})
	}
	events := []chat.Event{{ID: 1}}
	if got := testing.AllocsPerRun(100, func() { b.Publish("room/1", events) }); got != 0 {
		t.Errorf("Publish allocates %v times, want 0", got)
	}
}

func TestShardFillsCacheLine(t *testing.T) {
	if got := unsafe.Sizeof(shard{}); got != 64 {
		t.Errorf("a shard has %d bytes, want 64", got)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, handlers := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("handlers=%d", handlers), func(b *testing.B) {
			l := New()
			defer l.Close()
			for range handlers {
				subscribe(b, l, "room/1", func([]chat.Event) {})
			}
			events := []chat.Event{{ID: 1}}
			b.ReportAllocs()
			for b.Loop() {
				l.Publish("room/1", events)
			}
		})
	}
}

// Each goroutine publishes to rooms of its own among 1,000.
func BenchmarkPublishManyRooms(b *testing.B) {
	const rooms = 1000
	l := New()
	defer l.Close()
	var topics [rooms]bus.Topic
	for i := range topics {
		topics[i] = bus.RoomTopic(chat.RoomID(fmt.Sprintf("room-%d", i)))
		subscribe(b, l, topics[i], func([]chat.Event) {})
	}
	var next atomic.Int64
	events := []chat.Event{{ID: 1}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := int(next.Add(rooms / 7))
		for pb.Next() {
			i++
			l.Publish(topics[i%rooms], events)
		}
	})
}
