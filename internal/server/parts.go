package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tertulia/internal/auth"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	busredis "tertulia/internal/bus/redis"
	"tertulia/internal/cache"
	"tertulia/internal/config"
	"tertulia/internal/metrics"
	"tertulia/internal/presence"
	presenceredis "tertulia/internal/presence/redis"
	"tertulia/internal/redis"
	"tertulia/internal/store"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
)

// storage is the node's store, and what else lies where that is.
type storage struct {
	store.Store
	counts  metrics.StoreCounts
	cached  *cache.Counts // of the cache in Redis; zero without it
	tickets auth.TicketKeeper
	// secret is known to all nodes on the same store; nil if there is one node.
	secret []byte
}

// openStore opens the store that the configuration names. Errors are those of
// sqlite.Open and postgres.Open.
func openStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (storage, error) {
	if !cfg.Database.Shared() {
		st, err := sqlite.Open(ctx, sqlite.Config{Dir: cfg.DataDir})
		if err != nil {
			return storage{}, err
		}
		counts := metrics.StoreCounts{Backend: "sqlite", Store: st.Counts()}
		return storage{Store: st, counts: counts, tickets: auth.NewTicketMemory()}, nil
	}
	st, err := postgres.Open(ctx, postgres.Config{
		URL:                 string(cfg.Database.URL),
		Schema:              cfg.Database.Schema,
		Writers:             cfg.Database.Writers,
		Connections:         cfg.Database.Connections,
		AllowWeakDurability: cfg.Database.AllowWeakDurability,
		Logger:              log,
	})
	if err != nil {
		return storage{}, err
	}
	counts := metrics.StoreCounts{Backend: "postgres", Store: st.Counts()}
	return storage{Store: st, counts: counts, tickets: st, secret: st.Secret()}, nil
}

// cacheIn has the newest events of rooms kept in Redis too, if there is one and
// it may have them.
func (s *storage) cacheIn(client *redis.Client, cfg *config.Config, log *slog.Logger) {
	s.cached = new(cache.Counts)
	if client != nil && cfg.Redis.Content {
		cached := cache.New(cache.Config{Store: s.Store, Redis: client, Secret: s.secret, Logger: log})
		s.Store, s.cached = cached, cached.Counts()
	}
}

// links are how a node hears of the others. Without Redis it hears of nobody.
type links struct {
	bus.Bus
	local  *local.Bus       // the part that stays in the node
	redis  *redis.Client    // nil if there is none
	nodes  *busredis.Bus    // the same Bus; nil without Redis
	counts *busredis.Counts // zero without Redis
}

// openBus opens the bus that the configuration names. An error says what is
// wrong with the configuration; a Redis that does not answer is none.
func openBus(cfg *config.Config, secret []byte, log *slog.Logger) (links, error) {
	if len(cfg.Redis.URLs) == 0 {
		b := local.New()
		return links{Bus: b, local: b, counts: new(busredis.Counts)}, nil
	}
	urls := make([]string, len(cfg.Redis.URLs))
	for i, u := range cfg.Redis.URLs {
		urls[i] = string(u)
	}
	client, err := redis.Open(redis.Config{
		URLs: urls, SentinelUser: cfg.Redis.SentinelUser, SentinelPassword: string(cfg.Redis.SentinelPassword),
		Prefix: cfg.Redis.Prefix, CAFile: cfg.Redis.CAFile, Logger: log,
	})
	if err != nil {
		return links{}, err
	}
	b := busredis.New(busredis.Config{Redis: client, Secret: secret, Bare: !cfg.Redis.Content, Logger: log})
	return links{Bus: b, local: b.Local(), redis: client, nodes: b, counts: b.Counts()}, nil
}

// Close ends the bus, and then the connections under it.
func (l links) Close() error {
	err := l.Bus.Close()
	if l.redis != nil {
		l.redis.Close()
	}
	return err
}

// redisUp reports whether Redis answers. Where there is none, nothing is
// missing.
func (l links) redisUp() bool {
	if l.redis == nil {
		return true
	}
	_, err := l.redis.Up()
	return err == nil
}

// busUp says why not all is heard that other nodes publish; nil where there is
// none. It asks nobody.
func (l links) busUp(context.Context) error {
	if l.nodes == nil {
		return nil
	}
	return l.nodes.Up()
}

// openLedger has the node tell the others who is here, and hear it from them;
// nil without Redis.
func openLedger(ctx context.Context, l links, node string, secret []byte, here *presence.Tracker, cfg *config.Config, log *slog.Logger) (*presenceredis.Ledger, error) {
	if l.redis == nil {
		return nil, nil
	}
	return presenceredis.New(ctx, presenceredis.Config{
		Client:  l.redis.Commands(),
		Bus:     l.Bus,
		Prefix:  cfg.Redis.Prefix,
		Secret:  secret,
		Node:    node,
		Tracker: here,
		Grace:   graceOf(cfg),
		Logger:  log,
	})
}

// countsOf returns what a ledger counts; zero without Redis.
func countsOf(ledger *presenceredis.Ledger) *presenceredis.Counts {
	if ledger == nil {
		return new(presenceredis.Counts)
	}
	return ledger.Counts()
}

// presenceCheck says what is wrong while the node does not know who is at the
// other nodes, or they not who is here. It asks nobody.
func presenceCheck(ledger *presenceredis.Ledger) func(context.Context) error {
	return func(context.Context) error {
		if since, err := ledger.Up(); err != nil {
			return fmt.Errorf("not known to be right since %s: %w", since.UTC().Format(time.RFC3339), err)
		}
		return nil
	}
}

// abandon takes down what New has made when something after it failed. Parts
// that are not there yet are nil.
func abandon(err error, made ...interface{ Close() error }) error {
	for _, part := range made {
		err = errors.Join(err, part.Close())
	}
	return err
}
