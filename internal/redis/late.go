package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// late is a client that exists before its server is found. Until then
// everything is answered by one that never connects.
type late struct {
	current atomic.Pointer[rueidis.Client]
	close   sync.Once
}

var _ rueidis.Client = (*late)(nil)

func newLate() *late {
	l := new(late)
	l.current.Store(&nowhere)
	return l
}

// nowhere answers every command with errNotConnected, at once.
var nowhere = func() rueidis.Client {
	client, _ := rueidis.NewClient(rueidis.ClientOption{ // the error is that it does not connect
		ForceSingleClient: true,
		InitAddress:       []string{"nowhere:0"},
		DisableCache:      true,
		DisableRetry:      true,
		DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			return nil, errNotConnected
		},
	})
	return client
}()

// set is called once.
func (l *late) set(client rueidis.Client) { l.current.Store(&client) }

func (l *late) get() rueidis.Client { return *l.current.Load() }

// built returns the client for commands that were built a moment ago. A
// command that was built for no server has no slot, and a cluster has no place
// for it.
func (l *late) built(multi ...rueidis.Completed) rueidis.Client {
	client := l.get()
	if client.Mode() != rueidis.ClientModeCluster {
		return client
	}
	for i := range multi {
		if multi[i].Slot() >= noSlot {
			return nowhere
		}
	}
	return client
}

// noSlot and what is above it are the slots of commands that were not built
// for a cluster.
const noSlot = 1 << 15

func (l *late) B() rueidis.Builder { return l.get().B() }

func (l *late) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	return l.built(cmd).Do(ctx, cmd)
}

func (l *late) DoMulti(ctx context.Context, multi ...rueidis.Completed) []rueidis.RedisResult {
	return l.built(multi...).DoMulti(ctx, multi...)
}

func (l *late) Receive(ctx context.Context, subscribe rueidis.Completed, fn func(rueidis.PubSubMessage)) error {
	return l.built(subscribe).Receive(ctx, subscribe, fn)
}

func (l *late) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	return l.built(rueidis.Completed(cmd)).DoCache(ctx, cmd, ttl)
}

func (l *late) DoMultiCache(ctx context.Context, multi ...rueidis.CacheableTTL) []rueidis.RedisResult {
	for i := range multi {
		if client := l.built(rueidis.Completed(multi[i].Cmd)); client == nowhere {
			return client.DoMultiCache(ctx, multi...)
		}
	}
	return l.get().DoMultiCache(ctx, multi...)
}

func (l *late) DoStream(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResultStream {
	return l.built(cmd).DoStream(ctx, cmd)
}

func (l *late) DoMultiStream(ctx context.Context, multi ...rueidis.Completed) rueidis.MultiRedisResultStream {
	return l.built(multi...).DoMultiStream(ctx, multi...)
}

func (l *late) Dedicated(fn func(rueidis.DedicatedClient) error) error { return l.get().Dedicated(fn) }

func (l *late) Dedicate() (rueidis.DedicatedClient, func()) { return l.get().Dedicate() }

func (l *late) Nodes() map[string]rueidis.Client { return l.get().Nodes() }

func (l *late) Mode() rueidis.ClientMode { return l.get().Mode() }

// Close ends the connections; whoever asks afterwards is answered with an
// error.
func (l *late) Close() {
	if client := l.get(); client != nowhere {
		l.close.Do(client.Close)
	}
}
