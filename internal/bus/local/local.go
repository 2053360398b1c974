// Package local is the bus of a single node: it carries events between the
// parts of one process, by calling handlers.
//
// Publish calls the topic's handlers one after another, in the order in which
// they subscribed, in the publisher's goroutine. The package has no goroutine
// of its own and holds nothing back, so it loses, doubles, delays and
// reorders nothing: events that one goroutine publishes reach every
// subscriber in order, and before Publish returns.
package local

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"

	"tertulia/chat"
	"tertulia/internal/bus"
)

var errClosed = errors.New("local bus: closed")

// shardCount spreads the topics over locks, so that publishers to different
// rooms seldom touch the same cache line. It is a power of two.
const shardCount = 64

// Bus implements [bus.Bus] within one process.
type Bus struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

// shard holds the topics of one hash value. Publishing only reads it.
type shard struct {
	mu sync.RWMutex
	// topics has no entry for a topic without subscribers. Its slices are
	// replaced and never changed, so a publisher walks one without mu.
	topics map[bus.Topic][]*subscription
	closed bool

	_ [24]byte // 64 bytes in all: neighbours do not share a cache line
}

// New returns an open bus without subscribers.
func New() *Bus {
	b := &Bus{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].topics = make(map[bus.Topic][]*subscription)
	}
	return b
}

func (b *Bus) shard(topic bus.Topic) *shard {
	return &b.shards[maphash.String(b.seed, string(topic))%shardCount]
}

// Publish calls the handlers that subscribe to topic at this moment. It does
// not wait for a subscription that is being closed.
func (b *Bus) Publish(topic bus.Topic, events []chat.Event) {
	if len(events) == 0 {
		return
	}
	s := b.shard(topic)
	s.mu.RLock()
	subs := s.topics[topic]
	s.mu.RUnlock()
	events = events[:len(events):len(events)] // a handler's append is its own
	for _, sub := range subs {
		sub.call(events)
	}
}

// Subscribed reports whether topic has handlers at this moment.
func (b *Bus) Subscribed(topic bus.Topic) bool {
	s := b.shard(topic)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.topics[topic]) > 0
}

// Lost tells the topic's handlers, by a call with no events, that some of its
// events may have been lost.
func (b *Bus) Lost(topic bus.Topic) {
	s := b.shard(topic)
	s.mu.RLock()
	subs := s.topics[topic]
	s.mu.RUnlock()
	for _, sub := range subs {
		sub.call(nil)
	}
}

// LostAll does what Lost does for every topic that match takes.
func (b *Bus) LostAll(match func(bus.Topic) bool) {
	var lost [][]*subscription
	for i := range b.shards {
		s := &b.shards[i]
		lost = lost[:0]
		s.mu.RLock()
		for topic, subs := range s.topics {
			if match(topic) {
				lost = append(lost, subs)
			}
		}
		s.mu.RUnlock()
		for _, subs := range lost {
			for _, sub := range subs {
				sub.call(nil)
			}
		}
	}
}

// Subscribe adds h to the topic's handlers.
func (b *Bus) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := b.shard(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	sub := &subscription{bus: b, topic: topic, handler: h}
	old := s.topics[topic]
	s.topics[topic] = append(old[:len(old):len(old)], sub)
	return sub, nil
}

// Close ends all subscriptions and waits for handlers that run. It always
// returns nil and may be called again.
func (b *Bus) Close() error {
	for i := range b.shards {
		for _, subs := range b.shards[i].close() {
			for _, sub := range subs {
				sub.end()
			}
		}
	}
	return nil
}

// close takes all topics out of s and lets none in any more.
func (s *shard) close() map[bus.Topic][]*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	topics := s.topics
	s.topics, s.closed = nil, true
	return topics
}

// remove takes sub out of its topic, and the topic out with its last one.
func (s *shard) remove(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.topics[sub.topic]
	i := slices.Index(old, sub)
	switch {
	case i < 0: // closed before, alone or with the bus
	case len(old) == 1:
		delete(s.topics, sub.topic)
	default:
		s.topics[sub.topic] = slices.Concat(old[:i], old[i+1:])
	}
}

// subscription is one handler on one topic.
type subscription struct {
	// Fixed after construction.
	bus     *Bus
	topic   bus.Topic
	handler bus.Handler

	// running is held for reading by each call of handler, and for writing
	// only by end.
	running sync.RWMutex
	ended   bool // guarded by running
}

// call runs the handler unless the subscription has ended or is ending:
// TryRLock fails only while end waits or works.
func (s *subscription) call(events []chat.Event) {
	if !s.running.TryRLock() {
		return
	}
	defer s.running.RUnlock()
	if !s.ended {
		s.handler(events)
	}
}

// end lets no further call begin and waits for those that run.
func (s *subscription) end() {
	s.running.Lock()
	s.ended = true
	s.running.Unlock()
}

// Close ends the subscription. Calls of the handler that run when Close
// begins are waited for, so Close must not be called from the handler: what
// the handler uses may be torn down once Close has returned. It may be called
// again, and from several goroutines.
func (s *subscription) Close() {
	s.bus.shard(s.topic).remove(s)
	s.end()
}
