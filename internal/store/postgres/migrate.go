package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// SchemaVersion is the newest schema that this program knows.
const SchemaVersion = 3

// The migrations, in order; there is no way back. One that has been released
// is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the key of the advisory lock under which one node at a time
// changes a schema: "tertulia" in ASCII.
const migrationLock = 0x746572_74756c6961

// NewerSchemaError says that a newer program has changed the schema in a way
// that this one must not work with.
type NewerSchemaError struct {
	Schema      string
	Have, Known int // versions: the schema's, and the newest known here
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the schema %s has version %d, and this program knows none above %d; run the newer version that wrote it", e.Schema, e.Have, e.Known)
}

// SchemaError says that the schema must be changed and could not be.
type SchemaError struct {
	Schema       string
	Role         string
	Have, Needed int
	Err          error
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("the schema %s has version %d and this program needs %d, but the role %s could not change it: %v; "+
		"start this version once with a role that owns the schema (or may create it: GRANT CREATE ON DATABASE), then again with this one",
		e.Schema, e.Have, e.Needed, e.Role, e.Err)
}

func (e *SchemaError) Unwrap() error { return e.Err }

// meta is what the store remembers of itself.
type meta struct {
	epoch  string
	secret []byte
	filled string // the id of the store that this one is being filled from; usually empty
	oldest int    // the oldest program, by its newest schema, that may work here
}

// whole reports whether everything is there.
func (m *meta) whole() bool { return m.epoch != "" && len(m.secret) > 0 }

// prepare brings the schema to the version that this program needs, and
// returns what the store remembers. A schema that is at that version is only
// read.
func prepare(ctx context.Context, d *dialer) (meta, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return meta{}, &ConnectError{err}
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	s := schema{conn: conn, name: d.config.Schema}
	m, err := s.read(ctx)
	if err != nil {
		return meta{}, err
	}
	if s.version < SchemaVersion || !m.whole() {
		if m, err = s.bringUp(ctx, d.base); err != nil {
			return meta{}, err
		}
	}
	if s.version > SchemaVersion && m.oldest > SchemaVersion {
		return meta{}, &NewerSchemaError{Schema: s.name, Have: s.version, Known: SchemaVersion}
	}
	return m, nil
}

// schema is a PostgreSQL schema with the store's tables, or where they will be.
type schema struct {
	conn    *pgx.Conn
	name    string
	version int // as read last; 0: there are no tables
}

// table names a table in the schema.
func (s *schema) table(name string) string { return pgx.Identifier{s.name, name}.Sanitize() }

// read reads the version and the meta table.
func (s *schema) read(ctx context.Context) (m meta, err error) {
	var exists bool
	if err := s.conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, s.table(goose.DefaultTablename)).Scan(&exists); err != nil || !exists {
		return m, wrap(err, "look for the schema "+s.name)
	}
	err = s.conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0)::integer FROM `+s.table(goose.DefaultTablename)+` WHERE is_applied`).Scan(&s.version)
	if err != nil || s.version == 0 {
		return m, wrap(err, "read the version of the schema "+s.name)
	}
	rows, err := s.conn.Query(ctx, `SELECT key, value FROM `+s.table("meta"))
	if err != nil {
		return m, wrap(err, "read what the store remembers of itself")
	}
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() (err error) {
		switch key {
		case "epoch":
			m.epoch = value
		case "secret":
			m.secret, err = hex.DecodeString(value)
		case importingKey:
			m.filled = value
		case "compatible":
			m.oldest, err = strconv.Atoi(value)
		}
		return err
	})
	return m, wrap(err, "read what the store remembers of itself")
}

// wrap adds what failed to an error, if there is one.
func wrap(err error, step string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", step, err)
}

// bringUp runs the migrations that are missing. Nodes that start together do
// so one after another.
func (s *schema) bringUp(ctx context.Context, base *pgx.ConnConfig) (m meta, err error) {
	// The lock may be held for longer than a session's statements may wait.
	_, err = s.conn.Exec(ctx, `SELECT set_config(name, '0', false) FROM (VALUES ('lock_timeout'), ('statement_timeout')) s(name)`)
	if err == nil {
		_, err = s.conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock))
	}
	if err != nil {
		return m, wrap(err, "wait for the node that changes the schema")
	}
	defer func() {
		_, unlocked := s.conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
		err = errors.Join(err, unlocked)
	}()
	if m, err = s.read(ctx); err != nil {
		return m, err
	}
	if s.version < SchemaVersion {
		if err := s.migrate(ctx, base); err != nil {
			return m, s.explain(err, base.User)
		}
	}
	if err := s.remember(ctx); err != nil {
		return m, err
	}
	return s.read(ctx)
}

// explain tells the operator what to do about a role that may not change the
// schema (42501).
func (s *schema) explain(err error, role string) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42501" {
		return &SchemaError{Schema: s.name, Role: role, Have: s.version, Needed: SchemaVersion, Err: e}
	}
	return fmt.Errorf("bring the schema %s to version %d: %w", s.name, SchemaVersion, err)
}

// migrate runs goose in the schema, which is made if it is missing.
func (s *schema) migrate(ctx context.Context, base *pgx.ConnConfig) (err error) {
	var exists bool
	if err := s.conn.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, pgx.Identifier{s.name}.Sanitize()).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := s.conn.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{s.name}.Sanitize()); err != nil {
			return err
		}
	}
	c := base.Copy()
	c.RuntimeParams["search_path"] = pgx.Identifier{s.name}.Sanitize()
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	return up(ctx, db)
}

func up(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return err
}

// remember writes what a new store remembers of itself.
func (s *schema) remember(ctx context.Context) error {
	secret := make([]byte, 32)
	rand.Read(secret) //nolint // never fails
	_, err := s.conn.Exec(ctx, `INSERT INTO `+s.table("meta")+` (key, value) VALUES ('store_id', $1), ('epoch', $2), ('secret', $3) ON CONFLICT DO NOTHING`,
		randomName(16), randomName(8), hex.EncodeToString(secret))
	return wrap(err, "write what the store remembers of itself")
}

// randomName returns n random characters of base 36. The epoch has 8, 41
// bits, so that two lives of one log do not share a name.
func randomName(n int) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	name := make([]byte, n)
	for i := range name {
		name[i] = digits[mathrand.IntN(len(digits))]
	}
	return string(name)
}
