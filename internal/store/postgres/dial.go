package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectLimit is how long one host may take to let us in, unless the URL
	// says otherwise by connect_timeout.
	connectLimit = 5 * time.Second
	// userTimeout is how long what we have sent may stay without the other
	// system's acknowledgement until the connection is dead.
	userTimeout = 20 * time.Second
)

// keepAlive finds a server that has vanished while we wait for its answer.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// errNoCancel refuses the connection over which pgx would have a statement
// cancelled: a commit that waits for a synchronous standby would then succeed
// without it.
var errNoCancel = errors.New("statements that write are not cancelled")

// dialer opens connections and checks each of them.
type dialer struct {
	config Config
	base   *pgx.ConnConfig
	epoch  string // of the store that each connection must find; empty: of any. Set before a second goroutine dials.

	mu     sync.Mutex
	server server // guarded by mu: the one seen last, on its highest timeline
}

// URLError says that the database's URL cannot be used as it is.
type URLError struct{ Err error }

func (e *URLError) Error() string { return "read the database's URL: " + e.Err.Error() }

func (e *URLError) Unwrap() error { return e.Err }

// ConnectError says that there is no database where the URL says, or that it
// does not let us in.
type ConnectError struct{ Err error }

func (e *ConnectError) Error() string { return "connect to the database: " + e.Err.Error() }

func (e *ConnectError) Unwrap() error { return e.Err }

func newDialer(c Config) (*dialer, error) {
	base, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, &URLError{err} // pgx leaves the password out
	}
	if path := base.RuntimeParams["search_path"]; path != "" && path != c.Schema {
		return nil, fmt.Errorf("the database's URL has search_path=%s, and the tables are in the schema %s: name it by database.schema, and leave search_path out", path, c.Schema)
	}
	if base.ConnectTimeout == 0 {
		base.ConnectTimeout = connectLimit
	}
	if base.ValidateConnect == nil {
		base.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if base.RuntimeParams["application_name"] == "" {
		base.RuntimeParams["application_name"] = "tertulia"
	}
	base.DialFunc = dial
	return &dialer{config: c, base: base}, nil
}

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive, Control: setUserTimeout}
	return d.DialContext(ctx, network, addr)
}

// connect opens one connection.
func (d *dialer) connect(ctx context.Context) (*pgx.Conn, error) {
	return d.connectAs(ctx, d.base.Copy())
}

// connectAs opens a connection by a configuration that is its own.
func (d *dialer) connectAs(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	c.ValidateConnect = d.check
	return pgx.ConnectConfig(ctx, c)
}

// writer opens a connection that never cancels. warn hears the server's
// warnings, in the goroutine that runs a statement.
func (d *dialer) writer(ctx context.Context, warn func(*pgconn.Notice)) (*pgx.Conn, net.Conn, error) {
	c := d.base.Copy()
	var opened atomic.Bool
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if opened.Load() {
			return nil, errNoCancel
		}
		return dial(ctx, network, addr)
	}
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			warn(n)
		}
	}
	conn, err := d.connectAs(ctx, c)
	opened.Store(true)
	if err != nil {
		return nil, nil, err
	}
	return conn, wireOf(conn), nil
}

// wireOf returns what lies under a connection and its TLS. It is not caught
// when it is dialled: of an attempt that is cut off pgx has the server told
// over a connection of its own, in the background, and so may dial after the
// one that counts.
func wireOf(conn *pgx.Conn) net.Conn {
	nc := conn.PgConn().Conn()
	if secure, ok := nc.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return nc
}

// pool opens the connections for reading.
func (d *dialer) pool(ctx context.Context, size int) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(d.config.URL)
	if err != nil {
		return nil, &URLError{err}
	}
	c.ConnConfig = d.base.Copy()
	c.ConnConfig.ValidateConnect = d.check
	c.MaxConns = int32(size)
	c.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return d.isCurrent(conn), nil }
	return pgxpool.NewWithConfig(ctx, c)
}
