package bustest

import (
	"context"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// doubtEvery is how often a node of a [Cluster] that loses says so.
const doubtEvery = time.Second

// Cluster returns the buses of n nodes in one process, put together of the
// perfect ones that open returns. What a node publishes reaches itself at once,
// as the contract says, and each of the others by a [Chaotic] way of its own, in
// order but for the faults. With faults.Drop, each node says of every topic once
// a second that some of it may have been lost. Closing a node waits for what is
// on its way from it; it works under testing/synctest.
func Cluster(open func() bus.Bus, n int, seed uint64, faults Faults) []bus.Bus {
	nodes := make([]*clusterNode, n)
	for i := range nodes {
		nodes[i] = &clusterNode{
			own:   open(),
			heard: Chaotic(open(), seed+uint64(i)<<32, faults),
			told:  make(map[*clusterSubscription]struct{}),
			end:   make(chan struct{}),
		}
	}
	buses := make([]bus.Bus, n)
	for i, node := range nodes {
		for _, other := range slices.Concat(nodes[:i], nodes[i+1:]) {
			node.ways = append(node.ways, &way{to: other.heard})
		}
		if faults.Drop > 0 {
			node.working.Go(node.doubt)
		}
		buses[i] = node
	}
	return buses
}

// Local returns the part of a node of a [Cluster] that never leaves it: what is
// published there reaches the node's own subscribers.
func Local(node bus.Bus) bus.Bus { return node.(*clusterNode).own }

// clusterNode is one node's bus.
type clusterNode struct {
	own   bus.Bus // carries what the node publishes, to itself
	heard bus.Bus // carries what others publish
	ways  []*way
	end   chan struct{}

	mu      sync.Mutex
	told    map[*clusterSubscription]struct{}
	closed  bool
	working sync.WaitGroup // what is on its way; grows under mu while not closed
}

func (n *clusterNode) Publish(topic bus.Topic, events []chat.Event) {
	n.own.Publish(topic, events)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	for _, w := range n.ways {
		if w.put(publication{topic, slices.Clone(events)}) {
			n.working.Go(w.carry)
		}
	}
}

func (n *clusterNode) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	own, err := n.own.Subscribe(ctx, topic, h)
	if err != nil {
		return nil, err
	}
	heard, err := n.heard.Subscribe(ctx, topic, h)
	if err != nil {
		own.Close()
		return nil, err
	}
	s := &clusterSubscription{node: n, handler: h, parts: []bus.Subscription{own, heard}}
	n.mu.Lock()
	n.told[s] = struct{}{}
	n.mu.Unlock()
	return s, nil
}

// way leads from one node to another, and keeps the order.
type way struct {
	to bus.Bus

	mu       sync.Mutex
	waiting  []publication
	carrying bool // a goroutine is in carry
}

// publication is one call of Publish.
type publication struct {
	topic  bus.Topic
	events []chat.Event
}

// put queues what is to be carried, and reports whether that has to be begun.
func (w *way) put(p publication) (begin bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, p)
	begin, w.carrying = !w.carrying, true
	return begin
}

// carry publishes at the other node until nothing waits.
func (w *way) carry() {
	for batch := w.take(); batch != nil; batch = w.take() {
		for _, p := range batch {
			w.to.Publish(p.topic, p.events)
		}
	}
}

func (w *way) take() (batch []publication) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, w.waiting = w.waiting, nil
	w.carrying = batch != nil
	return batch
}

// doubt says of every topic, again and again, that something may be lost.
func (n *clusterNode) doubt() {
	tick := time.NewTicker(doubtEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.end:
			return
		case <-tick.C:
			n.mu.Lock()
			subs := make([]*clusterSubscription, 0, len(n.told))
			for s := range n.told {
				subs = append(subs, s)
			}
			n.mu.Unlock()
			for _, s := range subs {
				s.doubt()
			}
		}
	}
}

func (n *clusterNode) Close() error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.end)
	}
	clear(n.told)
	n.mu.Unlock()
	n.working.Wait()
	if err := n.own.Close(); err != nil {
		return err
	}
	return n.heard.Close()
}

// clusterSubscription hears the own node and the others.
type clusterSubscription struct {
	node    *clusterNode
	handler bus.Handler
	parts   []bus.Subscription

	mu    sync.Mutex // held by a call of handler without events
	ended bool
}

func (s *clusterSubscription) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.handler(nil)
	}
}

func (s *clusterSubscription) Close() {
	s.node.mu.Lock()
	delete(s.node.told, s)
	s.node.mu.Unlock()
	for _, part := range s.parts {
		part.Close()
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}
