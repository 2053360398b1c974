package bustest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

var nodesCases = []nodesCase{
	{"CarriesToEveryNode", carriesToEveryNode},
	{"PublishDoesNotWaitForAnotherNode", publishDoesNotWaitForAnotherNode},
	{"ReachesOwnNodeBeforePublishReturns", reachesOwnNodeAmongOthers},
	{"CloseIsOfOneNode", closeIsOfOneNode},
}

// "Bus carries events … on every node alike, the publisher's own node
// included."
func carriesToEveryNode(t testing.TB, nodes []bus.Bus) {
	var collectors []*collector
	for _, b := range nodes {
		collectors = append(collectors, collect(t, b, topic))
	}
	for i, b := range nodes {
		id := int64(i + 1)
		publishUntil(t, func() { b.Publish(topic, []chat.Event{event("tertulia", id)}) }, id, collectors...)
	}
}

// "It does not wait for another node."
func publishDoesNotWaitForAnotherNode(t testing.TB, nodes []bus.Bus) {
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	var once sync.Once
	stuck := subscribe(t, nodes[1], topic, func([]chat.Event) {
		once.Do(func() {
			entered <- struct{}{}
			<-release
		})
	})
	defer stuck.Close()
	defer close(release)

	// Publishing goes on while a handler of the other node is stuck, so this
	// ends although the handler does not.
	published := make(chan struct{})
	go func() {
		defer close(published)
		tick := time.NewTicker(again)
		defer tick.Stop()
		for {
			nodes[0].Publish(topic, []chat.Event{event("tertulia", 1)})
			select {
			case <-entered:
				for range 1000 {
					nodes[0].Publish(topic, []chat.Event{event("tertulia", 2)})
				}
				return
			case <-tick.C:
			}
		}
	}()
	await(t, published, "Publish beside a stuck handler of another node")
}

// "Events published by one goroutine to a topic reach the subscribers of its
// own node before Publish returns, in order": other nodes change nothing.
func reachesOwnNodeAmongOthers(t testing.TB, nodes []bus.Bus) {
	own := collect(t, nodes[0], topic)
	collect(t, nodes[1], topic)
	stop := publishAll(nodes[1], "room/other")
	defer stop()
	var want []int64
	for id := int64(1); id <= 200; id++ {
		nodes[0].Publish(topic, []chat.Event{event("tertulia", id)})
		want = append(want, id)
	}
	if got := own.ids(); !slices.Equal(got, want) {
		t.Errorf("the own node got %v, want %v", got, want)
	}
}

// "Close ends all subscriptions. Publish does nothing afterwards": those of
// the node that closes, and the others go on without it.
func closeIsOfOneNode(t testing.TB, nodes []bus.Bus) {
	gone, stays := collect(t, nodes[0], topic), collect(t, nodes[1], topic)
	publishUntil(t, func() { nodes[0].Publish(topic, []chat.Event{event("tertulia", 1)}) }, 1, gone, stays)
	closeBus(t, nodes[0])
	before := len(gone.all())
	nodes[0].Publish(topic, []chat.Event{event("tertulia", 2)})
	publishUntil(t, func() { nodes[2].Publish(topic, []chat.Event{event("tertulia", 3)}) }, 3, stays)
	if got := len(gone.all()); got != before {
		t.Errorf("a closed node got %d more events, want none", got-before)
	}
	if stays.has(2) {
		t.Errorf("what a closed node published arrived elsewhere")
	}
}
