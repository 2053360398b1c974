package bustest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus"
)

const topic = bus.Topic("room/tertulia")

var cases = []testCase{
	{"CarriesToEverySubscriber", carriesToEverySubscriber},
	{"KeepsTopicsApart", keepsTopicsApart},
	{"MethodsFromAnyGoroutine", methodsFromAnyGoroutine},
	{"HandlerMayKeepEvents", handlerMayKeepEvents},
	{"ReachesOwnNodeBeforePublishReturns", reachesOwnNodeBeforePublishReturns},
	{"KeepsOrderOfOnePublisher", keepsOrderOfOnePublisher},
	{"SubscribeTakesEffectAtReturn", subscribeTakesEffectAtReturn},
	{"SubscribeBringsNothingFromBefore", subscribeBringsNothingFromBefore},
	{"SubscribeFailsIfContextEnded", subscribeFailsIfContextEnded},
	{"SubscriptionOutlivesContext", subscriptionOutlivesContext},
	{"SubscriptionCloseEndsCalls", subscriptionCloseEndsCalls},
	{"SubscriptionCloseLeavesOthers", subscriptionCloseLeavesOthers},
	{"CloseEndsAllSubscriptions", closeEndsAllSubscriptions},
	{"PublishAfterCloseDoesNothing", publishAfterCloseDoesNothing},
	{"SubscribeAfterCloseFails", subscribeAfterCloseFails},
}

// "Bus carries events from publishers to the subscribers of a topic, …, the
// publisher's own node included."
func carriesToEverySubscriber(t testing.TB, b bus.Bus) {
	one, two := collect(t, b, topic), collect(t, b, topic)
	want := event("tertulia", 1)
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 1)}) }, 1, one, two)
	for _, c := range []*collector{one, two} {
		if got := c.all()[0]; !reflect.DeepEqual(got, want) {
			t.Errorf("a subscriber got %+v, want %+v", got, want)
		}
	}
	b.Publish("room/nobody", []chat.Event{event("nobody", 1)})
}

// "Bus carries events from publishers to the subscribers of a topic": to no
// other topic's.
func keepsTopicsApart(t testing.TB, b bus.Bus) {
	const topics = 100
	var collectors [topics]*collector
	name := func(i int) chat.RoomID { return chat.RoomID(fmt.Sprintf("r%d", i)) }
	for i := range collectors {
		collectors[i] = collect(t, b, bus.RoomTopic(name(i)))
	}
	for i, c := range collectors {
		id := int64(i + 1)
		publishUntil(t, func() { b.Publish(bus.RoomTopic(name(i)), []chat.Event{event(name(i), id)}) }, id, c)
	}
	for i, c := range collectors {
		if got, want := c.ids(), []int64{int64(i + 1)}; !slices.Equal(got, want) {
			t.Errorf("topic %d got events %v, want %v", i, got, want)
		}
	}
}

// "All methods may be called from any goroutine." Run it with the race
// detector.
func methodsFromAnyGoroutine(t testing.TB, b bus.Bus) {
	const goroutines, rounds = 8, 50
	var wg sync.WaitGroup
	for g := range goroutines {
		topic := bus.Topic(fmt.Sprintf("room/%d", g%3))
		wg.Go(func() {
			for range rounds {
				b.Publish(topic, []chat.Event{event("r", 1)})
			}
		})
		wg.Go(func() {
			var handled atomic.Int64
			for range rounds {
				sub, err := b.Subscribe(context.Background(), topic, func([]chat.Event) { handled.Add(1) })
				if err != nil {
					t.Errorf("Subscribe(%q) = %v, want nil", topic, err)
					return
				}
				sub.Close()
			}
		})
	}
	wg.Wait()
	// And Close beside the others.
	wg.Go(func() { closeBus(t, b) })
	for range goroutines {
		wg.Go(func() {
			b.Publish(topic, []chat.Event{event("r", 1)})
			if sub, err := b.Subscribe(context.Background(), topic, func([]chat.Event) {}); err == nil {
				sub.Close()
			}
		})
	}
	wg.Wait()
}

// "It may keep the events; nobody changes them."
func handlerMayKeepEvents(t testing.TB, b bus.Bus) {
	type kept struct{ events, copied []chat.Event }
	var mu sync.Mutex
	var all []kept
	subscribe(t, b, topic, func(events []chat.Event) {
		mu.Lock()
		all = append(all, kept{events, slices.Clone(events)})
		mu.Unlock()
	})
	last := collect(t, b, topic)
	for id := int64(1); id <= 20; id++ {
		publishUntil(t, func() {
			b.Publish(topic, []chat.Event{event("tertulia", id), event("tertulia", -id)})
		}, id, last)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(all) == 0 {
		t.Errorf("a handler beside another one was never called")
	}
	for _, k := range all {
		if !reflect.DeepEqual(k.events, k.copied) {
			t.Errorf("kept events became %+v, want %+v", k.events, k.copied)
		}
	}
}

// "Events published by one goroutine to a topic reach the subscribers of its
// own node before Publish returns."
func reachesOwnNodeBeforePublishReturns(t testing.TB, b bus.Bus) {
	one, two := collect(t, b, topic), collect(t, b, topic)
	for id := int64(1); id <= 200; id++ {
		b.Publish(topic, []chat.Event{event("tertulia", id)})
		for _, c := range []*collector{one, two} {
			if !c.has(id) {
				t.Fatalf("Publish returned before event %d was handled", id)
			}
		}
	}
}

// "Events published by one goroutine to a topic reach the subscribers of its
// own node … in order."
func keepsOrderOfOnePublisher(t testing.TB, b bus.Bus) {
	const publishers, events = 4, 300
	c := collect(t, b, topic)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for next := 0; next < events; {
				var batch []chat.Event
				for n := 1 + next%5; n > 0 && next < events; n-- {
					batch = append(batch, event("tertulia", int64(p*events+next)))
					next++
				}
				b.Publish(topic, batch)
			}
		})
	}
	wg.Wait()
	var got [publishers][]int64
	for _, id := range c.ids() {
		got[id/events] = append(got[id/events], id%events)
	}
	for p, ids := range got {
		if len(ids) != events {
			t.Errorf("publisher %d: %d events arrived, want %d", p, len(ids), events)
		}
		if !slices.IsSorted(ids) {
			t.Errorf("publisher %d: events arrived as %v, want them in order", p, ids)
		}
	}
}

// "Subscribe calls h for what is published after it has returned."
func subscribeTakesEffectAtReturn(t testing.TB, b bus.Bus) {
	for i := range 50 {
		room := chat.RoomID(fmt.Sprintf("r%d", i))
		c := collect(t, b, bus.RoomTopic(room))
		b.Publish(bus.RoomTopic(room), []chat.Event{event(room, 1)})
		if !c.has(1) {
			t.Fatalf("%s: what was published right after Subscribe did not arrive", room)
		}
		c.Close()
	}
}

// "Subscribe calls h for what is published after it has returned": for
// nothing that was published before.
func subscribeBringsNothingFromBefore(t testing.TB, b bus.Bus) {
	early := collect(t, b, topic)
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 1)}) }, 1, early)
	b.Publish("room/empty", []chat.Event{event("empty", 1)})
	late, empty := collect(t, b, topic), collect(t, b, "room/empty")
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 2)}) }, 2, late)
	publishUntil(t, func() { b.Publish("room/empty", []chat.Event{event("empty", 2)}) }, 2, empty)
	for _, c := range []*collector{late, empty} {
		if got, want := c.ids(), []int64{2}; !slices.Equal(got, want) {
			t.Errorf("a late subscriber got events %v, want %v", got, want)
		}
	}
}

// "It returns an error only if ctx ends or the bus is closed."
func subscribeFailsIfContextEnded(t testing.TB, b bus.Bus) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var called atomic.Bool
	sub, err := b.Subscribe(ctx, topic, func([]chat.Event) { called.Store(true) })
	if !errors.Is(err, context.Canceled) || sub != nil {
		t.Errorf("Subscribe(ended context) = %v, %v, want nil, %v", sub, err, context.Canceled)
	}
	witness := collect(t, b, topic)
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 1)}) }, 1, witness)
	if called.Load() {
		t.Errorf("the handler of a failed Subscribe was called")
	}
}

// The context is that of the call: it ends the subscribing, not the
// subscription.
func subscriptionOutlivesContext(t testing.TB, b bus.Bus) {
	c := collect(t, b, topic) // its context has ended
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 1)}) }, 1, c)
}

// "No call of its handler begins after Close has returned." A call that
// began before may go on, but a bus can hardly tell the two apart without
// waiting for it; so this case takes any sign of life for a late call.
func subscriptionCloseEndsCalls(t testing.TB, b bus.Bus) {
	stop := publishAll(b, topic)
	defer stop()
	for range 100 {
		var closed, late atomic.Bool
		called := make(chan struct{}, 1)
		sub := subscribe(t, b, topic, func([]chat.Event) {
			if closed.Load() {
				late.Store(true)
			}
			select {
			case called <- struct{}{}:
			default:
			}
		})
		await(t, called, "events to flow")
		sub.Close()
		closed.Store(true)
		for range 50 {
			runtime.Gosched()
		}
		if late.Load() {
			t.Fatalf("a call of the handler began after Close had returned")
		}
	}
}

// publishAll publishes to topic from two goroutines until stop is called.
func publishAll(b bus.Bus, topic bus.Topic) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for id := int64(1); ; id++ {
				select {
				case <-done:
					return
				default:
					b.Publish(topic, []chat.Event{event("tertulia", id)})
					runtime.Gosched()
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}

// "Close ends the subscription": that one.
func subscriptionCloseLeavesOthers(t testing.TB, b bus.Bus) {
	stays, goes, other := collect(t, b, topic), collect(t, b, topic), collect(t, b, "room/other")
	goes.Close()
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 1)}) }, 1, stays)
	publishUntil(t, func() { b.Publish("room/other", []chat.Event{event("other", 2)}) }, 2, other)
	back := collect(t, b, topic)
	publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", 3)}) }, 3, stays, back)
	if got := goes.ids(); len(got) != 0 {
		t.Errorf("a closed subscription got events %v, want none", got)
	}
}

// "Close ends all subscriptions."
func closeEndsAllSubscriptions(t testing.TB, b bus.Bus) {
	stop := publishAll(b, topic)
	defer stop()
	var closed, late atomic.Bool
	called := make(chan struct{}, 1)
	var subs []bus.Subscription
	for range 20 {
		subs = append(subs, subscribe(t, b, topic, func([]chat.Event) {
			if closed.Load() {
				late.Store(true)
			}
			select {
			case called <- struct{}{}:
			default:
			}
		}))
	}
	await(t, called, "events to flow")
	closeBus(t, b)
	closed.Store(true)
	for range 1000 {
		runtime.Gosched()
	}
	if late.Load() {
		t.Errorf("a call of a handler began after the bus was closed")
	}
	for _, sub := range subs {
		sub.Close() // may come late, and does nothing
	}
}

// "Publish does nothing afterwards."
func publishAfterCloseDoesNothing(t testing.TB, b bus.Bus) {
	c := collect(t, b, topic)
	closeBus(t, b)
	b.Publish(topic, []chat.Event{event("tertulia", 1)})
	if got := c.ids(); len(got) != 0 {
		t.Errorf("events %v arrived after Close, want none", got)
	}
}

// "It returns an error only if … the bus is closed."
func subscribeAfterCloseFails(t testing.TB, b bus.Bus) {
	closeBus(t, b)
	sub, err := b.Subscribe(context.Background(), topic, func([]chat.Event) {})
	if err == nil || sub != nil {
		t.Errorf("Subscribe on a closed bus = %v, %v, want nil and an error", sub, err)
	}
}
