// Package redis carries between nodes what each of them says of who is here.
//
// # What lies in Redis
//
// A node has a lease, a key that ends by itself unless it is renewed; a hash of
// who is here by that node; and its name in the set of all nodes. That is all.
// No key outlives its node for long, and no two nodes write to one key. Values
// are sealed with the key of the deployment, for the node and the place where
// they stand: who writes to Redis without being a node makes nobody appear.
//
// Changes are written to the hash at most [flushEvery] after they were told,
// the newest of each user and room, and then announced on the bus. The writes
// of one node are counted. The number of the last one stands in the hash and
// in its announcement, so that whoever has heard n and hears n+1 need not read.
//
// # What is lost
//
// A node looks at all leases and numbers ten times in the life of a lease, and
// when the bus says that something was lost. Who has another number than it
// should is read, the whole hash, and compared with what was known of it, so
// that readers see the difference and nothing else. A node whose lease is gone
// is void: its users leave after a grace, unless it comes back.
//
// A node that finds its lease or its hash gone when it renews them, because
// Redis was emptied or the node has slept, writes everything again. That is
// sooner than the others' grace, so nobody sees anything.
//
// While Redis does not answer, what is known of others is kept, and the tracker
// is told that it is degraded. Only Redis's clock decides how long a lease
// lasts; no two clocks are compared.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"tertulia/internal/bus"
	"tertulia/internal/packed"
	"tertulia/internal/presence"
)

const (
	// DefaultLease is how long a node counts as alive that is not heard of.
	DefaultLease = 20 * time.Second
	// flushEvery is how long changes are collected.
	flushEvery = 20 * time.Millisecond
	// answerLimit bounds one exchange with Redis.
	answerLimit = 2 * time.Second
	// leavingLimit bounds what Close does if its context does not.
	leavingLimit = 2 * time.Second
)

// Topic is where nodes announce what they have written.
const Topic = bus.Topic("presence")

// Config is what a [Ledger] is made of.
type Config struct {
	// Client and Bus reach all nodes and stay the caller's.
	Client rueidis.Client
	Bus    bus.Bus
	// Prefix begins every key.
	Prefix string
	// Secret is known to the nodes of this deployment and to nobody else.
	Secret []byte
	// Node names this process and no other, before it or after it: a process
	// that starts anew takes a new name.
	Node string
	// Tracker is told what other nodes say and says what this one has to. It
	// has no users yet, and outlives the Ledger.
	Tracker *presence.Tracker
	// Lease is how long a node that has died is taken to be alive. Zero is
	// DefaultLease.
	Lease time.Duration
	// Grace is the tracker's: how long users of a node that stops stay. Those of
	// one that has died stay as long, but at least half a lease, which is what a
	// node needs to come back that was only lost. Zero is
	// presence.DefaultGrace, negative is none.
	Grace time.Duration
	// Logger is told when Redis is lost and when it is back. Nil discards.
	Logger *slog.Logger
}

// Ledger keeps a node's own page in Redis and reads those of the others.
type Ledger struct {
	// Fixed after construction.
	cfg    Config
	health *health
	teller *teller
	sub    bus.Subscription
	stop   context.CancelFunc
	counts Counts

	working sync.WaitGroup
	closed  sync.Once
}

// New reads what the other nodes say, says that this one is here, and keeps
// both up from then on. A Redis that does not answer is waited for until ctx
// ends, or two seconds, and is no error: the tracker is degraded then. Errors
// are those of the bus, and of a Config that has not all it needs.
func New(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.Node == "" {
		return nil, errors.New("presence: the node has no name")
	}
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Grace == 0 {
		cfg.Grace = presence.DefaultGrace
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{cfg: cfg}
	h := &health{tracker: cfg.Tracker, log: cfg.Logger, counts: &l.counts}
	s := &seals{key: packed.NewKey(cfg.Secret, "presence"), counts: &l.counts}
	l.health, l.teller = h, newTeller(cfg, h, s)
	cfg.Tracker.TellTo(l.teller.outbox.put)
	listener := newListener(cfg, h, s)
	sub, err := cfg.Bus.Subscribe(ctx, Topic, listener.inbox.put)
	if err != nil {
		return nil, fmt.Errorf("listen to what nodes announce: %w", err)
	}
	l.sub = sub
	listener.begin(ctx)
	l.teller.begin(ctx)
	h.begun(cfg.Lease / 10)
	running, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.working.Go(func() { l.teller.run(running) })
	l.working.Go(func() { listener.run(running) })
	return l, nil
}

// Up returns nil if what the other nodes say is known and what this one says
// is written, else why not, in words for an operator; and since when.
func (l *Ledger) Up() (since time.Time, err error) { return l.health.read() }

// Close leaves in an orderly way, within ctx and two seconds: what the node
// still had to say is said, and then its lease ends with the grace of its
// users, so that those who come back elsewhere were never away. It is called
// when no session is left, and before the tracker is closed; the tracker's own
// graces do not matter any more afterwards. It may be called again.
func (l *Ledger) Close(ctx context.Context) {
	l.closed.Do(func() {
		l.sub.Close()
		l.stop()
		l.working.Wait()
		ctx, cancel := context.WithTimeout(ctx, leavingLimit)
		defer cancel()
		l.teller.leave(ctx)
	})
}
