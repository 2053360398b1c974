// Package redis is the bus of several nodes: what one publishes reaches the
// others through Redis Pub/Sub.
//
// The subscribers of the own node are called by a bus of package local, before
// anything is sent, so a node's own sessions never wait for Redis. What is sent
// waits in a queue, and goes in batches; what comes back is dropped.
//
// # Shards and groups
//
// Topics are hashed onto a fixed number of shards, each a channel to which
// every node subscribes. A node with more than a few hundred rooms has a
// listener in each of them, so to subscribe to some only would save nothing. Shards that
// share a server and a connection are a group: all of them on a single server,
// each its own in a Redis Cluster, where their names spread them evenly over
// the slots. A group succeeds and fails as one.
//
// # Losses
//
// Redis Pub/Sub may lose anything, silently. Messages are numbered by publisher
// and shard, and a heartbeat twice a second says the last numbers, so that the
// loss of a last message is found too. A node listens to its own heartbeats:
// while they do not come, it does not hear the others either. The subscribers
// of every topic concerned are called with no events then, and once a second
// until all is well, and once more.
//
// What has not the seal of this deployment, or is of another version, is a loss
// too, told once a second at most: while old and new nodes run side by side they
// hear that there is something, and read it in the store.
package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/packed"
	"tertulia/internal/redis"
)

var errClosed = errors.New("redis bus: closed")

// Config is what a [Bus] is made of. Redis and Secret are required.
type Config struct {
	Redis *redis.Client
	// Secret is known to the nodes of this deployment and to nobody else.
	Secret []byte
	// Bare keeps what users write out of Redis: other nodes are told of durable
	// events by bare ones.
	Bare bool
	// Logger is told when other nodes are not heard. Nil discards.
	Logger *slog.Logger
}

// Bus implements [bus.Bus] for one of several nodes.
type Bus struct {
	// Fixed after construction.
	local  *local.Bus
	redis  *redis.Client
	key    *packed.Key
	id     publisher
	bare   bool
	log    *slog.Logger
	counts Counts

	// numbers are those given last to a message of each shard.
	numbers [shards]atomic.Uint64
	// lost has the bits of the shards whose topics have to be told of a loss.
	lost atomic.Uint32
	// strange has the bits of the shards in which there was something that
	// this node cannot read. They are told of a loss once a second at most,
	// because anybody can write such a thing.
	strange atomic.Uint32
	// groups is nil until Redis was found.
	groups atomic.Pointer[[]*group]
	// settled is closed when it is known, for the first time, whether Redis
	// can be heard.
	settled chan struct{}
	deaf    atomic.Int32 // shards that are not heard

	closed  atomic.Bool
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New returns an open bus, which connects in the background. The Redis client
// stays the caller's, to be closed after the bus.
func New(cfg Config) *Bus {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Bus{
		local:   local.New(),
		redis:   cfg.Redis,
		key:     packed.NewKey(cfg.Secret, "bus"),
		bare:    cfg.Bare,
		log:     cfg.Logger,
		settled: make(chan struct{}),
		stop:    stop,
	}
	_, _ = rand.Read(b.id[:]) // never fails
	b.deaf.Store(shards)
	b.running.Go(func() { b.begin(ctx) })
	b.running.Go(func() { b.tend(ctx) })
	return b
}

// begin waits for Redis and then starts the groups.
func (b *Bus) begin(ctx context.Context) {
	select {
	case <-b.redis.Tried():
	case <-ctx.Done():
	}
	select {
	case <-b.redis.Connected():
	default:
		close(b.settled) // without Redis
		select {
		case <-b.redis.Connected():
		case <-ctx.Done():
			return
		}
	}
	groups := newGroups(b)
	b.groups.Store(&groups)
	var first sync.WaitGroup
	for _, g := range groups {
		first.Add(1)
		g.start(ctx, &b.running, sync.OnceFunc(first.Done))
	}
	first.Wait()
	select {
	case <-b.settled:
	default:
		close(b.settled)
	}
}

// Local returns the part of the bus that does not leave the node. It closes
// with the bus.
func (b *Bus) Local() *local.Bus { return b.local }

// Publish hands events to the subscribers of this node before it returns, and
// to those of other nodes soon. If more waits for Redis than it takes, what
// comes is not sent, and the other nodes find out by its number.
func (b *Bus) Publish(topic bus.Topic, events []chat.Event) {
	if len(events) == 0 || b.closed.Load() {
		return
	}
	b.local.Publish(topic, events)
	shard := shardOf(topic)
	groups := b.groups.Load()
	if groups == nil {
		b.skip(shard)
		return
	}
	if b.bare {
		events = stripped(events)
	}
	g := (*groups)[shard%len(*groups)]
	if !g.out.add(publication{shard: shard, topic: topic, events: events}) {
		b.skip(shard)
	}
}

// skip gives a number to what is not sent.
func (b *Bus) skip(shard int) {
	b.numbers[shard].Add(1)
	b.counts.Dropped.Inc()
}

// Subscribe returns when the topic is heard from other nodes; at once if Redis
// does not answer, and then the handler is called once a second.
func (b *Bus) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	select {
	case <-b.settled:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b.closed.Load() {
		return nil, errClosed
	}
	return b.local.Subscribe(ctx, topic, h)
}

// Close sends what waits for as long as a batch may take, tells the other
// nodes that this one is gone, and ends all subscriptions.
func (b *Bus) Close() error {
	b.closed.Store(true)
	b.stop()
	b.running.Wait()
	return b.local.Close()
}
