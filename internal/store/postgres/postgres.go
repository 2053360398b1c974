// Package postgres keeps the logs of all rooms in PostgreSQL, for any number of
// equal nodes; see internal/store for the contract.
//
// Everything that writes is one statement in autocommit: a call of a function
// in the schema that locks, looks and stores. No lock is ever held while the
// server waits for a node, so a node that is stopped, swapped out or cut off
// holds up nobody.
//
// A batch goes over one of a few lanes, each a connection of its own. Nothing
// is cancelled from this side: a statement that does not answer is left alone,
// its connection is closed, and the outcome is store.ErrUnknown. The caller
// then runs the batch again, and each row, which has a nonce, is stored once.
//
// The store owns the goroutines of a pool of connections for reading
// (pgxpool); Close ends and joins them.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"tertulia/internal/count"
	"tertulia/internal/store"
)

// The defaults of [Config].
const (
	defaultSchema      = "tertulia"
	defaultWriters     = 4
	defaultConnections = 8
)

// otherWriters is how many calls besides Append write at a time: marks, trims
// and accounts.
const otherWriters = 2

// Config says which database a store is in, and how it is used.
type Config struct {
	// URL is as libpq takes it: postgres://user:password@host:5432/database,
	// several hosts too. Of them the one is used that takes writes.
	URL string
	// Schema is the PostgreSQL schema that has the tables; empty is "tertulia".
	Schema string
	// Writers is how many batches are stored in parallel, each over its own
	// connection; 0 is 4.
	Writers int
	// Connections is how many reads run in parallel at most; 0 is 8.
	Connections int
	// AllowWeakDurability opens the store on a server that may lose what it has
	// acknowledged. The server's settings are then logged as a warning.
	AllowWeakDurability bool
	// Logger may be nil.
	Logger *slog.Logger
}

// withDefaults fills in what is left empty.
func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = defaultSchema
	}
	if c.Writers < 1 {
		c.Writers = defaultWriters
	}
	if c.Connections < 1 {
		c.Connections = defaultConnections
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is a [store.Store] in PostgreSQL. Other nodes may use the same schema.
type Store struct {
	// Fixed after Open.
	config  Config
	dialer  *dialer
	meta    meta
	sql     statements
	counts  *count.Store
	readers *pgxpool.Pool
	appends *lanes
	others  *lanes // whatever else writes
	pinged  pinged

	// calls is held for reading by every call, for writing by Close.
	calls  sync.RWMutex
	closed bool // guarded by calls
}

var _ store.Store = (*Store)(nil)

// Open opens the store, and makes or extends its tables if they are not as
// this program needs them. The caller calls Close. Errors are [*URLError],
// [*ConnectError], [*DurabilityError], [*SchemaError], [*NewerSchemaError],
// [*ImportingError], or say which step failed.
func Open(ctx context.Context, c Config) (_ *Store, err error) {
	c = c.withDefaults()
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	s := &Store{config: c, dialer: d, counts: count.NewStore(), sql: statementsIn(c.Schema)}
	if s.meta, err = prepare(ctx, d); err != nil {
		return nil, err
	}
	if s.meta.filled != "" {
		return nil, &ImportingError{Schema: c.Schema}
	}
	d.epoch = s.meta.epoch
	if s.readers, err = d.pool(ctx, c.Connections); err != nil {
		return nil, err
	}
	s.appends, s.others = newLanes(d, c.Writers), newLanes(d, otherWriters)
	return s, nil
}

// Epoch is the life of logs that do not exist yet.
func (s *Store) Epoch() string { return s.meta.epoch }

// Secret returns 32 random bytes that all nodes on the same schema have in
// common, and nobody else. The caller does not change them.
func (s *Store) Secret() []byte { return s.meta.secret }

// Writers is the number of lanes.
func (s *Store) Writers() int { return s.config.Writers }

// Counts returns the counts of this store.
func (s *Store) Counts() *count.Store { return s.counts }

// Close waits for calls under way and closes all connections. Closing again
// does nothing.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.appends.close()
	s.others.close()
	s.readers.Close()
	return nil
}

// enter begins a call, unless the store is closed. The caller calls leave if
// the error is nil.
func (s *Store) enter() error {
	s.calls.RLock()
	if s.closed {
		s.calls.RUnlock()
		return fmt.Errorf("%w: the store is closed", store.ErrUnavailable)
	}
	return nil
}

func (s *Store) leave() { s.calls.RUnlock() }
