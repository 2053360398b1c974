package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// minServer is the oldest server whose SQL the migrations speak.
const minServer = 14

// settings are given to each session. A statement waits for locks for as long as
// a batch or two take, and no longer than the room's callers; one whose node has
// gone ends with it.
var settings = [][2]string{
	{"lock_timeout", "5s"},
	{"statement_timeout", "20s"},
	{"idle_in_transaction_session_timeout", "10s"},
	{"tcp_keepalives_idle", "10"},
	{"tcp_keepalives_interval", "5"},
	{"tcp_keepalives_count", "3"},
	{"client_connection_check_interval", "5s"},
}

// server is what a session finds.
type server struct {
	fsync, fullPages, commit, standbys string

	version  int // 150013
	encoding string
	recovers bool
	timeline string // eight hexadecimal digits; empty while it recovers
	system   string // its identifier; empty if the role may not know
}

// DurabilityError says by which of its settings a server may lose what it has
// acknowledged.
type DurabilityError struct{ Weak []string }

func (e *DurabilityError) Error() string {
	return "the database may lose messages that it has acknowledged: " + strings.Join(e.Weak, ", ") +
		"; change its settings, or allow weak durability (AllowWeakDurability) if losing messages is all right"
}

// check gives a new session its settings and refuses one that must not be
// used. It is called while pgx connects, which then tries the next host.
func (d *dialer) check(ctx context.Context, conn *pgconn.PgConn) error {
	if err := d.base.ValidateConnect(ctx, conn); err != nil {
		return err
	}
	var s server
	if err := set(ctx, conn); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	if err := s.look(ctx, conn); err != nil {
		return fmt.Errorf("look at the server: %w", err)
	}
	switch {
	case s.version/10000 < minServer:
		return fmt.Errorf("the database is PostgreSQL %d; this program needs %d or newer", s.version/10000, minServer)
	case s.encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s; make one with UTF8", s.encoding)
	case s.recovers:
		return errors.New("the server is a standby and takes no writes")
	}
	if weak := s.weak(); len(weak) > 0 && !d.config.AllowWeakDurability {
		return &DurabilityError{Weak: weak}
	}
	conn.CustomData()[timelineKey] = s.timeline
	if err := d.follow(s); err != nil || d.epoch == "" {
		return err
	}
	return d.checkStore(ctx, conn)
}

// checkStore refuses a store that is being filled from another one, and one
// that was since this node has opened it: what the node knows is of a store that
// is no more.
func (d *dialer) checkStore(ctx context.Context, conn *pgconn.PgConn) error {
	row, err := ask(ctx, conn, `SELECT coalesce(max(value) FILTER (WHERE key = 'epoch'), ''), count(*) FILTER (WHERE key = '`+importingKey+`')
		FROM `+pgx.Identifier{d.config.Schema, "meta"}.Sanitize())
	switch {
	case err != nil:
		return fmt.Errorf("look whether the store is still the one that was opened: %w", err)
	case row[1] != "0":
		return &ImportingError{Schema: d.config.Schema}
	case row[0] != d.epoch:
		return fmt.Errorf("the store in the schema %s is another one than when this node was started; restart the node", d.config.Schema)
	}
	return nil
}

// timelineKey is where a connection keeps the timeline that its server was on.
const timelineKey = "timeline"

// isCurrent reports whether a connection may still be used: no other server
// has taken the place of its own since, and its own has not said that it takes
// no writes any more.
func (d *dialer) isCurrent(conn *pgx.Conn) bool {
	for _, says := range []string{"default_transaction_read_only", "in_hot_standby"} {
		if conn.PgConn().ParameterStatus(says) == "on" {
			return false
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return conn.PgConn().CustomData()[timelineKey] == d.server.timeline
}

func set(ctx context.Context, conn *pgconn.PgConn) error {
	var b strings.Builder
	for i, s := range settings {
		if i > 0 {
			b.WriteString("), (")
		}
		fmt.Fprintf(&b, "'%s', '%s'", s[0], s[1])
	}
	// A server that cannot watch its clients says so if it is asked to.
	_, err := ask(ctx, conn, `SELECT set_config(name, value, false) FROM (VALUES (`+b.String()+`)) s(name, value)
		WHERE name <> 'client_connection_check_interval' OR version() ~ 'linux|darwin|bsd'`)
	return err
}

// ask returns the first row of what a query selects, as text.
func ask(ctx context.Context, conn *pgconn.PgConn, query string) (row []string, err error) {
	results, err := conn.Exec(ctx, query).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, value := range results[0].Rows[0] {
		row = append(row, string(value))
	}
	return row, nil
}

func (s *server) look(ctx context.Context, conn *pgconn.PgConn) error {
	row, err := ask(ctx, conn, `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
			current_setting('synchronous_standby_names'), current_setting('server_version_num'), current_setting('server_encoding'),
			pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
			has_function_privilege('pg_control_system()', 'execute')`)
	if err != nil {
		return err
	}
	s.fsync, s.fullPages, s.commit, s.standbys, s.encoding, s.recovers, s.timeline = row[0], row[1], row[2], row[3], row[5], row[6] == "t", row[7]
	if s.version, err = strconv.Atoi(row[4]); err != nil || row[8] != "t" {
		return err
	}
	row, err = ask(ctx, conn, `SELECT system_identifier FROM pg_control_system()`)
	if err != nil {
		return err
	}
	s.system = row[0]
	return nil
}

// weak lists the settings by which a commit may be lost.
func (s *server) weak() (weak []string) {
	if s.fsync != "on" {
		weak = append(weak, "fsync = "+s.fsync)
	}
	if s.fullPages != "on" {
		weak = append(weak, "full_page_writes = "+s.fullPages)
	}
	if s.commit == "off" || s.commit == "local" && s.standbys != "" {
		weak = append(weak, "synchronous_commit = "+s.commit)
	}
	return weak
}

// follow refuses a server that another one has replaced, and one that is
// none of the same: with either, the logs would fork.
func (d *dialer) follow(s server) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := &d.server
	switch {
	case s.timeline < last.timeline:
		return fmt.Errorf("the server is on timeline %s, and this node has seen %s: it is a primary that was replaced; stop it", s.timeline, last.timeline)
	case s.system != "" && last.system != "" && s.system != last.system:
		return fmt.Errorf("the server has the system identifier %s, and this node began with %s: it is another cluster; restart the node if that is meant", s.system, last.system)
	}
	if weak := s.weak(); len(weak) > 0 && last.version == 0 {
		d.config.Logger.Warn("the database may lose messages that it has acknowledged", "settings", strings.Join(weak, ", "))
	}
	if s.system == "" && last.version == 0 {
		d.config.Logger.Warn("the role may not know the server's system identifier; grant it pg_control_system() to have every connection compared")
	}
	if last.version != 0 && s.timeline > last.timeline {
		d.config.Logger.Warn("a standby has become the primary; unless it was a synchronous one, the newest messages are lost", "timeline", s.timeline, "before", last.timeline)
	}
	if s.system == "" {
		s.system = last.system
	}
	*last = s
	return nil
}
