package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// writerPragmas and readerPragmas set a connection up. What matters:
//
//   - busy_timeout, ms: a person may hold the write lock for a moment with
//     the sqlite3 shell; longer than this and sends are refused.
//   - synchronous=FULL syncs the write-ahead log at each commit; fullfsync
//     makes that reach the disk on macOS too, where a sync does not.
//   - wal_autocheckpoint=0: the checkpointer does it, and sees its errors.
//   - cache_size, KiB: at 4 MiB the writer's CPU a row is the same as at
//     64 MiB, and a commit of one row is cheaper (SQLite walks part of the
//     cache's table at each commit).
//   - journal_size_limit, bytes: a write-ahead log that a slow reader kept
//     from being reused shrinks to this again.
var (
	writerPragmas = []string{
		"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "checkpoint_fullfsync(1)",
		"wal_autocheckpoint(0)", "cache_size(-4096)", "journal_size_limit(67108864)", "temp_store(MEMORY)",
	}
	readerPragmas = []string{"busy_timeout(2000)", "query_only(1)", "cache_size(-2048)", "temp_store(MEMORY)"}
)

// source returns what the driver opens: a file on one of SQLite's file
// systems ("" is the usual one), and how. Nothing that comes over such a
// connection can damage the file.
func source(path, vfs string, pragmas []string) string {
	return migrationSource(path, vfs, pragmas) + "&_defensive=1"
}

// migrationSource is a source that may write the definitions of tables too.
func migrationSource(path, vfs string, pragmas []string) string {
	query := url.Values{"_pragma": pragmas, "_dqs": {"0"}, "_error_rc": {"1"}}
	if vfs != "" {
		query.Set("vfs", vfs)
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// useFdatasync has SQLite sync files with fdatasync(2) where there is one, as
// its builds for these systems do: the same safety, half the time on ext4.
func useFdatasync() {
	// The one error is that the system has none, and then nothing changes.
	_, _ = sqlite.Fdatasync(true)
}

// conn is one SQLite connection, used by one goroutine at a time.
type conn struct {
	c driver.Conn
}

func connect(source string) (*conn, error) {
	connector, err := sqlite.NewConnector(source)
	if err != nil {
		return nil, err
	}
	c, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{c}, nil
}

// prepare compiles a statement, which lives as long as the connection.
func (c *conn) prepare(query string) (*stmt, error) {
	prepared, err := c.c.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	s, ok := prepared.(driverStmt)
	if !ok {
		return nil, fmt.Errorf("prepare %q: the driver's statement is a %T", query, prepared)
	}
	return &stmt{s: s}, nil
}

// prepareAll compiles several statements into the places given.
func (c *conn) prepareAll(stmts map[**stmt]string) error {
	for place, query := range stmts {
		s, err := c.prepare(query)
		if err != nil {
			return err
		}
		*place = s
	}
	return nil
}

func (c *conn) close() error { return c.c.Close() }

type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// stmt is a prepared statement of one connection.
type stmt struct {
	s    driverStmt
	args []driver.NamedValue // reused by every call
}

// bind puts values where the driver takes them from. They are int64, string,
// []byte or nil.
func (s *stmt) bind(values []driver.Value) []driver.NamedValue {
	for i := len(s.args); i < len(values); i++ {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1})
	}
	for i, v := range values {
		s.args[i].Value = v
	}
	return s.args[:len(values)]
}

// exec runs a statement without rows. It always runs to its end: a context
// that can be cancelled would cost a goroutine a call, 15 to 40 % of an
// insert, and an interrupted write would only have to be undone.
func (s *stmt) exec(values ...driver.Value) (driver.Result, error) {
	return s.s.ExecContext(context.Background(), s.bind(values))
}

// query begins a statement with rows. The caller closes them.
func (s *stmt) query(values ...driver.Value) (driver.Rows, error) {
	return s.s.QueryContext(context.Background(), s.bind(values))
}

// queryRow fills vals from the first row; ok is false if there is none.
func (s *stmt) queryRow(vals []driver.Value, values ...driver.Value) (ok bool, err error) {
	rows, err := s.query(values...)
	if err != nil {
		return false, err
	}
	err = rows.Next(vals)
	if errors.Is(err, io.EOF) {
		return false, rows.Close()
	}
	return err == nil, errors.Join(err, rows.Close())
}
