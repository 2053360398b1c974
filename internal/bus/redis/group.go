package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// The rhythm of a group.
const (
	// beatEvery is the time between two heartbeats.
	beatEvery = 500 * time.Millisecond
	// deafAfter is after how much silence a publisher, the own node too, is
	// taken not to be heard: three heartbeats.
	deafAfter = 1500 * time.Millisecond
	// repeatEvery is how often a loss that goes on is told.
	repeatEvery = time.Second
	// forgetAfter is when a publisher that has fallen silent without a goodbye
	// is taken for dead. Until then it may be alive, be cut off from Redis, and
	// have its clients write to rooms that this node has to look at.
	forgetAfter = 2 * time.Minute
	// listenAgain is the pause before subscribing again.
	listenAgain = 100 * time.Millisecond
)

// group is some shards that share a server and its fate. Three goroutines
// belong to it: one publishes, one receives and only copies, and one works on
// what was received.
type group struct {
	// Fixed after construction.
	bus     *Bus
	shards  []int
	names   *[shards]string // of the channels
	sharded bool            // Redis Cluster: SPUBLISH, SSUBSCRIBE
	mask    uint32          // the bits of shards
	settle  func()          // called when it is known whether the group is heard

	out outbox
	in  inbox

	mu         sync.Mutex
	confirmed  int       // channels; all of them make a subscription
	subscribed bool      // and nothing is known to have ended it
	heard      time.Time // when the own heartbeat came last, by this subscription
	deaf       bool
	told       time.Time // when subscribers were told last that the group is deaf
	peers      map[publisher]*peer
}

// newGroups makes the groups of the Redis that was found. Shard i belongs to
// group i modulo their number.
func newGroups(b *Bus) []*group {
	names := channels(b.redis.Commands(), b.redis.Prefix())
	n := 1
	if b.redis.Cluster() {
		n = shards
	}
	groups := make([]*group, n)
	for i := range groups {
		groups[i] = &group{
			bus:     b,
			names:   &names,
			sharded: n > 1,
			out:     outbox{wake: make(chan struct{}, 1)},
			in:      inbox{wake: make(chan struct{}, 1)},
			deaf:    true,
			peers:   make(map[publisher]*peer),
		}
	}
	for s := range shards {
		g := groups[s%n]
		g.shards = append(g.shards, s)
		g.mask |= 1 << s
	}
	return groups
}

func (g *group) start(ctx context.Context, running *sync.WaitGroup, settle func()) {
	g.settle = settle
	running.Go(func() { g.publish(ctx) })
	running.Go(func() { g.listen(ctx) })
	running.Go(func() { g.work(ctx) })
}

// listen keeps the group subscribed until ctx ends. Every end of a
// subscription is a loss: messages may have gone by before the next one.
func (g *group) listen(ctx context.Context) {
	defer g.unsubscribed() // also if it never was
	client := g.bus.redis.Listening()
	hooked := rueidis.WithOnSubscriptionHook(ctx, g.confirm)
	for ctx.Err() == nil {
		g.bus.counts.Subscribed.Inc()
		_ = client.Receive(hooked, g.subscription(client), func(m rueidis.PubSubMessage) { g.receive(m.Message) })
		g.unsubscribed()
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

func (g *group) subscription(client rueidis.Client) rueidis.Completed {
	names := make([]string, len(g.shards))
	for i, s := range g.shards {
		names[i] = g.names[s]
	}
	if g.sharded {
		return client.B().Ssubscribe().Channel(names...).Build()
	}
	return client.B().Subscribe().Channel(names...).Build()
}

// confirm takes Redis's word about one channel. It is called by the
// connection's goroutine.
func (g *group) confirm(s rueidis.PubSubSubscription) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.Kind != "subscribe" && s.Kind != "ssubscribe" { // a slot has moved
		g.subscribed = false
		return
	}
	if g.confirmed++; g.confirmed == len(g.shards) {
		g.subscribed = true
		g.settle()
	}
}

func (g *group) unsubscribed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.confirmed, g.subscribed, g.heard = 0, false, time.Time{}
	g.settle()
}

// check returns the shards whose subscribers have to be told of a loss now.
func (g *group) check(now time.Time) (mask uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.subscribed || now.Sub(g.heard) > deafAfter {
		if g.deaf && now.Sub(g.told) < repeatEvery {
			return 0
		}
		g.deaf, g.told = true, now
		return g.mask
	}
	if g.deaf {
		g.deaf = false
		mask = g.mask
		for _, p := range g.peers {
			p.heard = now // it could not be heard until now
		}
	}
	for id, p := range g.peers {
		switch silence := now.Sub(p.heard); {
		case silence <= deafAfter:
		case silence > forgetAfter:
			delete(g.peers, id)
		case now.Sub(p.told) >= repeatEvery:
			p.silent, p.told = true, now
			mask |= g.mask
		}
	}
	return mask
}

// isDeaf reports whether the group is not heard, as the last check found.
func (g *group) isDeaf() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.deaf
}
