package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tertulia/chat"
)

// Option changes a client or an [API] from its defaults.
type Option func(*options)

type options struct {
	servers  []*url.URL // scheme ws or wss
	extra    []string
	user     chat.User
	token    func(context.Context) (string, error)
	ticket   func(context.Context) (string, error)
	header   http.Header
	store    Store
	logger   *slog.Logger
	outbox   int
	postAge  time.Duration
	pipeline int

	backoffBase, backoffCap time.Duration
	random                  func(time.Duration) time.Duration

	tls   *tls.Config
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	trace func(dir Direction, frame []byte)
}

// WithServers adds servers of the same deployment. Each attempt tries the next
// one, beginning with that of Dial.
func WithServers(urls ...string) Option {
	return func(o *options) { o.extra = append(o.extra, urls...) }
}

// WithUser says who the client is, for servers in open mode.
func WithUser(u chat.User) Option { return func(o *options) { o.user = u } }

// WithToken asks source for a token before each connection, for servers in
// token mode, and again before that token expires: the new one replaces it on
// the connection, which goes on. A renewal that fails is tried again for as
// long as the old token is good; [Renewal] tells of each. One that the server
// finds expired at the beginning of a connection is asked for again, once in a
// row; then the client ends. An error of source counts as a failed attempt.
//
// A client calls source from a goroutine of its own, once at a time. source must
// return when its context ends, after 30 s at the latest. The time is that of this
// machine's clock: if it is wrong by more than a token's lifetime, the connection
// ends with the token and comes back with another.
func WithToken(source func(context.Context) (string, error)) Option {
	return func(o *options) { o.token = source }
}

// WithTicket asks source for a ticket before each connection (docs/protocol.md
// §2.6): a ticket is good for one.
func WithTicket(source func(context.Context) (string, error)) Option {
	return func(o *options) { o.ticket = source }
}

// WithHeader adds to the header of each request.
func WithHeader(h http.Header) Option { return func(o *options) { o.header = h } }

// WithStore keeps cursors and the outbox in s, so that another process goes on
// where this one ends. The client reads it once, at the beginning.
func WithStore(s Store) Option { return func(o *options) { o.store = s } }

// WithLogger has the client log why connections end, at level debug, and what
// its Store fails with. Without it nothing is logged.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithOutbox bounds what waits for an acknowledgement: at most posts, each for
// at most age. 0 is the default of 1,000 and 10 minutes; a negative age is for
// ever.
func WithOutbox(posts int, age time.Duration) Option {
	return func(o *options) { o.outbox, o.postAge = posts, age }
}

// WithPipeline lets n posts of a room be on their way at once; the default is
// 1, with which their order holds even if the server refuses one for the moment.
// With more, such a post may end up after those that were already on their way
// behind it.
func WithPipeline(n int) Option { return func(o *options) { o.pipeline = n } }

// WithBackoff changes how long to wait before coming back: a random time up to
// base·2ⁿ, at most most. The defaults are those of docs/protocol.md §6.4.
func WithBackoff(base, most time.Duration) Option {
	return func(o *options) { o.backoffBase, o.backoffCap = base, most }
}

// WithTLS configures wss and https.
func WithTLS(c *tls.Config) Option { return func(o *options) { o.tls = c } }

// WithDialer makes the network connections.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *options) { o.dial = dial }
}

// WithTrace is shown the payload of every text frame, in both directions, save
// those that hold a token. It may be called from two goroutines at once and must
// not keep the slice.
func WithTrace(f func(dir Direction, frame []byte)) Option { return func(o *options) { o.trace = f } }

// Direction says which way a traced frame went.
type Direction bool

// The directions.
const (
	Received Direction = false
	Posted   Direction = true
)

const (
	defaultOutbox   = 1000
	defaultPostAge  = 10 * time.Minute
	defaultPipeline = 1
)

// newOptions applies opts to the defaults and checks them.
func newOptions(server string, opts []Option) (*options, error) {
	o := &options{
		outbox: defaultOutbox, postAge: defaultPostAge, pipeline: defaultPipeline,
		backoffBase: backoffBase, backoffCap: backoffCap, random: uniform,
		dial: (&net.Dialer{}).DialContext, logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range opts {
		f(o)
	}
	for _, s := range append([]string{server}, o.extra...) {
		u, err := parseBase(s)
		if err != nil {
			return nil, err
		}
		o.servers = append(o.servers, u)
	}
	return o, o.check()
}

func (o *options) check() error {
	if o.outbox == 0 {
		o.outbox = defaultOutbox
	}
	if o.postAge == 0 {
		o.postAge = defaultPostAge
	}
	if o.dial == nil || o.logger == nil {
		return errors.New("a dialer and a logger cannot be nil")
	}
	if o.outbox < 0 || o.pipeline <= 0 || o.pipeline > maxInFlight {
		return fmt.Errorf("an outbox holds at least 1 post, and a pipeline 1 to %d", maxInFlight)
	}
	if o.backoffBase <= 0 || o.backoffCap < o.backoffBase {
		return errors.New("a backoff grows from a positive time")
	}
	if o.user != (chat.User{}) {
		if _, err := chat.ParseUser(string(o.user.ID), o.user.Name); err != nil {
			return err
		}
	}
	return nil
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("server address %q does not begin with ws://, wss://, http:// or https://", s)
	}
	switch {
	case u.Hostname() == "":
		return nil, fmt.Errorf("server address %q has no host", s)
	case u.User != nil:
		return nil, errors.New("server address holds a user name or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("server address %q goes on after its path", s)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// target returns where the connection with this number goes, and the header of
// its handshake, with a fresh credential.
func (o *options) target(ctx context.Context, number int) (*url.URL, http.Header, error) {
	u := *o.servers[number%len(o.servers)]
	u.Path += "/ws"
	q := url.Values{}
	if o.user.ID != "" {
		q.Set("user_id", string(o.user.ID))
		q.Set("username", o.user.Name)
	}
	if o.ticket != nil {
		ticket, err := askSource(ctx, "ticket", o.ticket)
		if err != nil {
			return nil, nil, err
		}
		q.Set("ticket", ticket)
	}
	u.RawQuery = q.Encode()
	header, err := o.authorized(ctx)
	return &u, header, err
}

// authorized returns the header of a request.
func (o *options) authorized(ctx context.Context) (http.Header, error) {
	header := o.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("User-Agent", "tertulia-client")
	if o.token == nil {
		return header, nil
	}
	token, err := askSource(ctx, "token", o.token)
	if err != nil {
		return nil, err
	}
	header.Set("Authorization", "Bearer "+token)
	return header, nil
}

// sourceTimeout bounds a call of a source of tokens or tickets.
const sourceTimeout = 30 * time.Second

var (
	errSlowSource = errors.New("the source did not answer in time")
	errNoToken    = errors.New("the source returned what cannot be one")
)

// askSource asks a source of tokens or tickets. What it returns may be no good,
// but it can be sent.
func askSource(ctx context.Context, what string, source func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sourceTimeout, errSlowSource)
	defer cancel()
	token, err := source(ctx)
	switch {
	case err != nil && errors.Is(err, ctx.Err()):
		err = context.Cause(ctx)
	case err == nil && (token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })):
		err = errNoToken
	}
	if err != nil {
		return "", fmt.Errorf("get a %s: %w", what, err)
	}
	return token, nil
}
