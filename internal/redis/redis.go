// Package redis connects a node to Redis: one server, one behind Sentinel, or a
// Redis Cluster, which of them the URLs and the servers say.
//
// Nothing here waits for Redis, and no fault of it is an error of ours: [Open]
// returns before anything is connected, commands fail within seconds while
// nobody answers, and what was lost is found again without a restart.
package redis

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// Times are short: everything in Redis is there to be quick, and whoever
// waits for it does better by asking the store.
const (
	// dialTimeout bounds connecting, TLS and log-in together.
	dialTimeout = time.Second
	// answerTimeout is after how long a connection that owes an answer is
	// given up. A connection that owes none is asked every pingEvery.
	answerTimeout = time.Second
	pingEvery     = 500 * time.Millisecond
	// checkEvery is the time between two looks at every server.
	checkEvery = time.Second
)

// bufferBytes is for reading and for writing, on each connection: rueidis's
// own 512 KiB are more than a batch ever has.
const bufferBytes = 64 << 10

// Config says where Redis is.
type Config struct {
	// URLs are redis://[user[:password]@]host[:port][/database], or rediss://
	// for TLS. Several are the nodes of one Redis Cluster, or, with
	// ?master_set=name, the Sentinels that watch over that name.
	URLs []string
	// SentinelUser and SentinelPassword let in at Sentinels that want them;
	// those in the URLs are for the servers that they watch over.
	SentinelUser, SentinelPassword string
	// Prefix begins every key and every channel, so that several deployments
	// can share a Redis.
	Prefix string
	// CAFile has the certificates, in PEM, of who may have signed the
	// server's; empty is the system's.
	CAFile string
	// Logger is told when Redis is lost and when it is back. Nil discards.
	Logger *slog.Logger
}

// Client is a node's connections to Redis. All methods may be called from any
// goroutine.
type Client struct {
	// Fixed after construction.
	prefix    string
	log       *slog.Logger
	option    rueidis.ClientOption
	commands  *late
	listening *late
	stop      context.CancelFunc
	running   sync.WaitGroup
	connected chan struct{} // closed when both clients are there
	tried     chan struct{} // closed when connecting was tried once

	mu    sync.Mutex
	err   error     // why Redis cannot be used; nil if it can
	since time.Time // of err, or of its end
}

// Open begins to connect. An error says what is wrong with the configuration,
// never that a server does not answer; it has no password in it.
func Open(cfg Config) (*Client, error) {
	option, err := optionOf(&cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		prefix:    cfg.Prefix,
		log:       cfg.Logger,
		option:    option,
		commands:  newLate(),
		listening: newLate(),
		stop:      stop,
		connected: make(chan struct{}),
		tried:     make(chan struct{}),
		err:       errNotConnected,
		since:     time.Now(),
	}
	c.running.Go(func() { c.run(ctx) })
	return c, nil
}

// Close ends all connections and joins what was started.
func (c *Client) Close() {
	c.stop()
	c.running.Wait()
	c.commands.Close()
	c.listening.Close()
}

// Prefix begins every key and every channel.
func (c *Client) Prefix() string { return c.prefix }

// Commands is the client for commands, which share one connection to each
// server and keep their order on it. It may be used from the beginning and for
// ever: before Redis is found, everything fails at once. A command is built
// with B right before it is sent.
func (c *Client) Commands() rueidis.Client { return c.commands }

// Listening is the client for subscriptions and for nothing else: whoever
// takes messages slowly delays only messages. Receive returns when its
// connection is lost.
func (c *Client) Listening() rueidis.Client { return c.listening }

// Connected is closed when Redis has been found for the first time; what
// Cluster says holds from then on.
func (c *Client) Connected() <-chan struct{} { return c.connected }

// Tried is closed when the first attempt to connect is over, however it went.
func (c *Client) Tried() <-chan struct{} { return c.tried }

// Cluster reports whether this is a Redis Cluster. It is false before
// Connected.
func (c *Client) Cluster() bool { return c.commands.Mode() == rueidis.ClientModeCluster }

// Up returns nil if every server answered a moment ago, else what is wrong, in
// words for an operator; and since when it has been so.
func (c *Client) Up() (since time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.err
}

// note keeps the result of a look at the servers, and tells the log of a
// change.
func (c *Client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.err == errNotConnected
	switch {
	case err != nil && (c.err == nil || first):
		c.log.Warn("Redis does not answer; messages go by the store until it does", "error", err)
	case err == nil && c.err != nil && !first:
		c.log.Info("Redis is back", "away_ms", time.Since(c.since).Milliseconds())
	}
	if (err == nil) != (c.err == nil) {
		c.since = time.Now()
	}
	c.err = err
}
