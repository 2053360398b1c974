// Package server is the wiring of a node: what stands on what, in which order
// it starts and in which it stops.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/api"
	"tertulia/internal/auth"
	"tertulia/internal/config"
	"tertulia/internal/docs"
	"tertulia/internal/gateway"
	"tertulia/internal/hub"
	"tertulia/internal/inbox"
	"tertulia/internal/limit"
	"tertulia/internal/metrics"
	"tertulia/internal/observe"
	"tertulia/internal/peer"
	"tertulia/internal/presence"
	presenceredis "tertulia/internal/presence/redis"
	"tertulia/internal/room"
	"tertulia/internal/session"
	"tertulia/wire/schema"
)

// Server is one node. It is made by New and runs once.
type Server struct {
	cfg     config.Config
	log     *slog.Logger
	auth    auth.Open
	who     *auth.Authenticator
	tickets *auth.Tickets
	limits  *limit.Limiter

	// In the order in which they start; Run stops them in the reverse one.
	store    storage
	bus      links
	rooms    *room.Service
	hub      *hub.Hub
	inbox    *inbox.Service
	presence *presence.Tracker
	ledger   *presenceredis.Ledger // nil without Redis
	watch    *session.Watch        // nil in open mode
	gateway  *gateway.Gateway
	api      *api.API
	docs     http.Handler
	health   *observe.Health
	metrics  *metrics.Metrics
	http     *http.Server
	listener net.Listener

	broken chan error // one slot: why the store must not be used any more
}

// Limits on an HTTP request, docs/protocol.md §9; a slow or endless one ends
// before it costs anything.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
)

// New opens the store and the listener, and starts everything but serving.
// The caller calls Run. Errors are those of sqlite.Open, postgres.Open,
// redis.Open and net.Listen, a *CertificateError, and those of auth.New.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (*Server, error) {
	node := rand.Text() // of this process; it is another one after a restart
	if cfg.Database.Shared() {
		log = log.With("node", node)
	}
	st, err := openStore(ctx, &cfg, log)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, abandon(err, st)
	}
	secure, err := tlsOf(&cfg, log)
	if err != nil {
		return nil, abandon(err, listener, st)
	}
	tickets := auth.NewTickets(st.tickets)
	who, err := whoOf(&cfg, st, tickets, log)
	if err != nil {
		return nil, abandon(err, listener, st)
	}
	events, err := openBus(&cfg, st.secret, log)
	if err != nil {
		who.Close()
		return nil, abandon(err, listener, st)
	}
	st.cacheIn(events.redis, &cfg, log)
	here := presence.New(presence.Config{Bus: events.local, Grace: graceOf(&cfg)})
	ledger, err := openLedger(ctx, events, node, st.secret, here, &cfg, log)
	if err != nil {
		here.Close()
		who.Close()
		return nil, abandon(err, events, listener, st)
	}
	var tokens *auth.Authenticator // nil in open mode
	if cfg.Auth.Mode == config.AuthToken {
		tokens = who
	}
	s := &Server{cfg: cfg, log: log, who: who, tickets: tickets, store: st, bus: events, presence: here, ledger: ledger,
		listener: listener, broken: make(chan error, 1)}
	s.auth = auth.Open{Anywhere: cfg.Auth.AllowOpenOnAnyAddress || tokens != nil}
	build := observe.ReadBuild()
	s.limits = limit.New(policyOf(&cfg))
	s.rooms = room.New(room.Config{
		Store:      st,
		Bus:        s.bus,
		AutoCreate: cfg.Rooms.AutoCreate,
		Initial:    cfg.Rooms.Initial,
		Keep:       keepOf(&cfg),
		Log:        log,
		Fatal:      func(err error) { s.broken <- err },
	})
	s.hub = hub.New(hub.Config{
		Bus:    s.bus,
		Log:    s.rooms.Log(),
		Encode: gateway.Encoder,
		Logger: log,
	})
	s.inbox = inbox.New(inbox.Config{Rooms: s.rooms, Store: st, Bus: s.bus, Notify: s.hub.Notify, Logger: log})
	s.watch = watchOf(tokens, s.bus, log)
	s.gateway = gateway.New(gateway.Config{
		Services: &session.Services{
			Rooms:     s.rooms,
			Hub:       s.hub,
			Inbox:     s.inbox,
			Presence:  s.presence,
			Framing:   gateway.Framing,
			Log:       log,
			Server:    "tertulia/" + build.Version,
			Heartbeat: cfg.WS.PingInterval,
			Watch:     s.watch,
		},
		Auth:           s.auth,
		Tokens:         tokens,
		Proxies:        cfg.TrustedProxies,
		Origins:        peer.Origins{Any: cfg.Local(), Listed: cfg.Origins},
		Limits:         s.limits,
		MaxConnections: cfg.Limits.Connections,
		History:        cfg.History.OnConnect,
		PingInterval:   cfg.WS.PingInterval,
		IdleTimeout:    cfg.WS.IdleTimeout,
		WriteTimeout:   cfg.WS.WriteTimeout,
	})
	s.api = api.New(api.Config{
		Rooms:       s.rooms,
		Presence:    s.presence,
		Identify:    s.identify,
		Ticket:      s.ticket,
		Stream:      s.gateway.Stream,
		Poll:        s.gateway.Poll,
		Browser:     peer.Browser{Proxies: cfg.TrustedProxies, Listed: cfg.Origins},
		Limits:      s.limits,
		StatsForAll: cfg.Auth.Mode == config.AuthOpen, // there nobody is known better than anybody else
		Build:       build,
		Log:         log,
	})
	s.docs = docs.Handler(s.api.OpenAPI(), schema.AsyncAPI(build.Version))
	s.health = observe.NewHealth(build.Version, log)
	s.health.Add("store", st.Ping)
	if events.redis != nil {
		s.health.AddOptional("redis", events.redis.Ping)
		s.health.AddOptional("bus", events.busUp)
		s.health.AddOptional("presence", presenceCheck(ledger))
	}
	s.metrics = metrics.New(metrics.Sources{
		Build:            build,
		Gateway:          s.gateway,
		Rooms:            s.rooms,
		Hub:              s.hub,
		Presence:         s.presence,
		Who:              s.who,
		Limits:           s.limits,
		Store:            st.counts,
		StoreUp:          func() bool { return s.health.Passes(context.Background(), "store") },
		RedisUp:          events.redisUp,
		Bus:              events.counts,
		Cache:            st.cached,
		Ledger:           countsOf(ledger),
		BusUp:            func() bool { return events.busUp(context.Background()) == nil },
		PresenceDegraded: func() bool { return ledger != nil && presenceCheck(ledger)(context.Background()) != nil },
	})
	s.http = &http.Server{
		Handler:           peer.Headers{Secure: cfg.TLS.On() && !cfg.ListensOnLoopback()}.Handler(s.metrics.Watch(s.routes())),
		TLSConfig:         secure,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes - 4096, // net/http reads so much beyond it
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	level := slog.LevelDebug
	if cfg.Database.Shared() {
		level = slog.LevelInfo
	}
	log.Log(ctx, level, "store opened", "backend", st.counts.Backend, "epoch", st.Epoch(), "redis", events.redis != nil, "version", build.Version)
	return s, nil
}

// keepOf returns the server's retention; a fraction of a second keeps what is
// in it.
func keepOf(cfg *config.Config) chat.Retention {
	age := (cfg.History.KeepAge + time.Second - 1).Truncate(time.Second)
	return chat.Retention{Age: age, Events: int64(cfg.History.KeepEvents)}
}

// graceOf returns the grace as package presence has it, where zero would be
// its default.
func graceOf(cfg *config.Config) time.Duration {
	if cfg.Presence.Grace == 0 {
		return -1
	}
	return cfg.Presence.Grace
}

// policyOf returns the limits on single users, addresses and rooms. A server
// that is local has none.
func policyOf(cfg *config.Config) limit.Policy {
	if cfg.Local() {
		return limit.Policy{}
	}
	l := &cfg.Limits
	return limit.Policy{
		Handshakes: l.Handshakes,
		Commands:   l.Commands,
		Posts:      l.Posts,
		RoomPosts:  l.RoomPosts,
		RoomsMade:  l.RoomsMade,
		Requests:   l.Requests,
		Anonymous:  l.AnonymousRequests,
		UserConns:  l.ConnectionsPerUser,
		AddrConns:  l.ConnectionsPerAddress,
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	stats := s.guardStats(api.Stats(s.presence))
	mux.Handle("GET /ws", s.gateway)
	mux.HandleFunc("GET /ws/{room_id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("room_id") == "stats" && r.Header.Get("Upgrade") == "" {
			stats.ServeHTTP(w, r)
			return
		}
		s.gateway.ServeHTTP(w, r)
	})
	mux.Handle("/api/", s.api)
	mux.Handle("GET /problems/{code}", api.Problems())
	mux.Handle("GET /docs", s.docs)
	mux.Handle("GET /docs/", s.docs)
	mux.Handle("GET /{$}", http.RedirectHandler("/docs", http.StatusFound))
	s.health.Register(mux)
	mux.Handle("GET /metrics", s.metrics.Handler(s.cfg.Metrics))
	return mux
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then drains and stops. It returns nil after an
// orderly stop, also if some clients had to be cut off; otherwise the error
// that ended serving. A broken store ends it at once.
func (s *Server) Run(ctx context.Context) error {
	serving := make(chan error, 1)
	go func() { serving <- s.serve() }() // ended and joined by stop
	setGCPercent()
	tidying, endTidying := context.WithCancel(context.Background())
	var tidied sync.WaitGroup
	tidied.Go(func() { tidy(tidying) })
	defer tidied.Wait()
	defer endTidying()
	var err error
	select {
	case <-ctx.Done():
		s.drain()
	case err = <-s.broken:
		s.health.Drain()
		s.sendClientsAway(brokenDrain)
		err = fmt.Errorf("the store failed and must not be used again: %w", err)
	case err = <-serving:
		err = fmt.Errorf("serve: %w", err)
		serving <- err
	}
	return errors.Join(err, s.stop(serving))
}

// brokenDrain is how long the clients of a node with a broken store have to
// be told so. Nothing is acknowledged any more; what they posted is answered.
const brokenDrain = time.Second

// drain ends the conversation with every client in an orderly way: no new
// commands, then what was posted is stored and published, then replies are
// written and the connections closed with a code that says "come back".
func (s *Server) drain() {
	started := time.Now()
	s.health.Drain()
	s.gateway.Refuse()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Shutdown.Drain)
	defer cancel()
	if err := s.rooms.Drain(ctx); err != nil {
		s.log.Warn("posts were left unanswered", "error", err)
	}
	s.sendClientsAway(s.cfg.Shutdown.Drain - time.Since(started))
}

// sendClientsAway writes what is left to write and closes every connection,
// within the given time.
func (s *Server) sendClientsAway(within time.Duration) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	clients := s.gateway.Connections()
	if err := s.gateway.Drain(ctx); err != nil {
		s.log.Warn("clients were cut off", "error", err)
	}
	s.log.Info("drained", "connections", clients, "duration_ms", time.Since(started).Milliseconds())
}

// stop takes everything down, in the reverse order of New.
func (s *Server) stop(serving chan error) error {
	errs := []error{s.http.Close()}
	<-serving
	s.health.Close()
	s.gateway.Close()
	s.watch.Close()
	if s.ledger != nil {
		s.ledger.Close(context.Background()) // bounds itself
	}
	s.presence.Close()
	s.inbox.Close()
	s.hub.Close()
	s.who.Close()
	errs = append(errs, s.rooms.Close(), s.bus.Close(), s.store.Close())
	return errors.Join(errs...)
}
