package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tertulia/internal/store/dump"
)

// ImportingError says that a store is being filled from another one, and must
// not be served before that has ended.
type ImportingError struct{ Schema string }

func (e *ImportingError) Error() string {
	return fmt.Sprintf("a migration into the schema %s has not ended; run it again to its end, or drop the schema", e.Schema)
}

// OccupiedError says that a store cannot be filled, because something is in
// it already or under way.
type OccupiedError struct {
	Schema string
	What   string
}

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("the schema %s is not free for this migration: %s", e.Schema, e.What)
}

// What meta has of a store that is being filled from another one, or was: the
// id of that one.
const (
	importingKey = "importing"
	importedKey  = "imported"
)

// importState is how far an import has come.
type importState int

const (
	importNew importState = iota
	importUnderWay
	importDone
)

// Import fills an empty schema with the rows of another store. It is used by
// one goroutine at a time.
type Import struct {
	schema  schema
	from    dump.Origin
	storeID string
	state   importState
}

// OpenImport makes the tables if there are none, and keeps a second import into
// them out. It writes nothing else. The caller calls Close. Errors are
// [*OccupiedError] if another import is running, or one from another store was
// begun, and those of [Open] but for [*ImportingError].
func OpenImport(ctx context.Context, c Config, from dump.Origin) (_ *Import, err error) {
	c = c.withDefaults()
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	if _, err := prepare(ctx, d); err != nil {
		return nil, err
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, &ConnectError{err}
	}
	im := &Import{schema: schema{conn: conn, name: c.Schema}, from: from}
	if err := errors.Join(im.lock(ctx), im.look(ctx)); err != nil {
		return nil, errors.Join(err, im.Close())
	}
	return im, nil
}

// Close lets go of the schema.
func (im *Import) Close() error { return im.schema.conn.Close(context.Background()) }

// Done reports whether the import had come to its end before.
func (im *Import) Done() bool { return im.state == importDone }

// StoreID is the id of the store that is filled.
func (im *Import) StoreID() string { return im.storeID }

// Name is what to call the store to people; it has no password.
func (im *Import) Name() string {
	c := im.schema.conn.Config()
	return fmt.Sprintf("PostgreSQL at %s:%d, database %s, schema %s", c.Host, c.Port, c.Database, im.schema.name)
}

// lock keeps a second import out for as long as the connection lives. An import
// that was killed a moment ago may hold it until the server notices. What is
// copied may take its time.
func (im *Import) lock(ctx context.Context) error {
	conn := im.schema.conn
	_, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', '20s', false)`)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended('tertulia import into ' || $1, 0))`, im.schema.name)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" {
		return &OccupiedError{Schema: im.schema.name, What: "another migration into it is running"}
	}
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT set_config(name, '0', false) FROM (VALUES ('lock_timeout'), ('statement_timeout')) s(name)`)
	}
	return wrap(err, "lock the schema "+im.schema.name)
}

// look reads how far an import has come.
func (im *Import) look(ctx context.Context) error {
	meta := im.schema.table("meta")
	var underWay, done string
	err := im.schema.conn.QueryRow(ctx, `SELECT (SELECT value FROM `+meta+` WHERE key = 'store_id'),
		coalesce((SELECT value FROM `+meta+` WHERE key = $1), ''), coalesce((SELECT value FROM `+meta+` WHERE key = $2), '')`, importingKey, importedKey).
		Scan(&im.storeID, &underWay, &done)
	if err != nil {
		return wrap(err, "read what the store remembers of itself")
	}
	switch {
	case done == im.from.StoreID:
		im.state = importDone
		return nil
	case underWay == im.from.StoreID:
		im.state = importUnderWay
		return nil
	case underWay != "":
		return &OccupiedError{Schema: im.schema.name, What: "a migration from another data folder was begun"}
	}
	return nil
}

// Begin notes that the import is under way, so that [Open] refuses the store
// until Finish, and takes over the other store's epoch. It is [*OccupiedError]
// if there are rows, or nodes that could make some.
//
// While it looks for nodes no other can connect, because each reads meta then:
// see [dialer.checkStore]. Later ones find that the import is under way.
func (im *Import) Begin(ctx context.Context) error {
	if im.state != importNew {
		return nil
	}
	meta := im.schema.table("meta")
	err := pgx.BeginFunc(ctx, im.schema.conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `LOCK TABLE `+meta)
		if err == nil {
			err = im.wantEmpty(ctx, tx)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE `+meta+` SET value = $1 WHERE key = 'epoch'`, im.from.Epoch)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO `+meta+` (key, value) VALUES ($1, $2)`, importingKey, im.from.StoreID)
		}
		return err
	})
	return wrap(err, "begin the import")
}

// wantEmpty returns an error if there are rows, or nodes that could make some.
func (im *Import) wantEmpty(ctx context.Context, tx pgx.Tx) error {
	for _, t := range dump.Tables {
		var rows bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+im.schema.table(t.Name)+`)`).Scan(&rows); err != nil {
			return wrap(err, "look whether "+t.Name+" is empty")
		}
		if rows {
			return &OccupiedError{Schema: im.schema.name, What: "its table " + t.Name + " is not empty"}
		}
	}
	var nodes int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()`).Scan(&nodes)
	if err == nil && nodes > 0 {
		return &OccupiedError{Schema: im.schema.name, What: "a node is connected to it"}
	}
	return wrap(err, "look for nodes")
}

// Count is how many rows a table has.
func (im *Import) Count(ctx context.Context, t *dump.Table) (n int64, err error) {
	err = im.schema.conn.QueryRow(ctx, `SELECT count(*) FROM `+im.schema.table(t.Name)).Scan(&n)
	return n, wrap(err, "count "+t.Name)
}

// Last is the greatest key of a table, where copying goes on; nil if it is
// empty.
func (im *Import) Last(ctx context.Context, t *dump.Table) (key []any, err error) {
	names := quotedNames(t)[:t.Key]
	rows, err := im.schema.conn.Query(ctx, `SELECT `+strings.Join(names, ", ")+` FROM `+im.schema.table(t.Name)+
		` ORDER BY `+strings.Join(names, " DESC, ")+` DESC LIMIT 1`)
	if err != nil {
		return nil, wrap(err, "look for the end of "+t.Name)
	}
	key, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return key, wrap(err, "look for the end of "+t.Name)
}

// Copy stores rows, all of them or, if there is an error, none. The rows are
// changed.
func (im *Import) Copy(ctx context.Context, t *dump.Table, rows []dump.Row) error {
	_, err := im.schema.conn.CopyFrom(ctx, pgx.Identifier{im.schema.name, t.Name}, columnNames(t),
		pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return imported(t, rows[i]), nil }))
	return wrap(err, "copy into "+t.Name)
}

// pageRows is how many rows one statement reads.
const pageRows = 5000

// Rows reads a table by rising keys.
func (im *Import) Rows(ctx context.Context, t *dump.Table) iter.Seq2[dump.Row, error] {
	return func(yield func(dump.Row, error) bool) {
		var after []any
		for {
			n := 0
			for row, err := range im.page(ctx, t, after) {
				if !yield(row, err) || err != nil {
					return
				}
				n++
				after = t.KeyOf(row)
			}
			if n < pageRows {
				return
			}
		}
	}
}

// page reads up to pageRows rows after a key.
func (im *Import) page(ctx context.Context, t *dump.Table, after []any) iter.Seq2[dump.Row, error] {
	key := strings.Join(quotedNames(t)[:t.Key], ", ")
	where := ""
	if after != nil {
		where = ` WHERE (` + key + `) > (` + strings.Join([]string{"$1", "$2"}[:t.Key], ", ") + `)`
	}
	query := `SELECT ` + strings.Join(exported(t), ", ") + ` FROM ` + im.schema.table(t.Name) + where + ` ORDER BY ` + key + ` LIMIT ` + strconv.Itoa(pageRows)
	return func(yield func(dump.Row, error) bool) {
		rows, err := im.schema.conn.Query(ctx, query, after...)
		if err != nil {
			yield(nil, wrap(err, "read "+t.Name))
			return
		}
		defer rows.Close()
		for rows.Next() {
			row, err := rows.Values()
			if !yield(row, wrap(err, "read "+t.Name)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, wrap(err, "read "+t.Name))
		}
	}
}

// Finish ends the import: numbers go on above those that were copied, and the
// store may be served.
func (im *Import) Finish(ctx context.Context) error {
	meta, rooms := im.schema.table("meta"), im.schema.table("rooms")
	err := pgx.BeginFunc(ctx, im.schema.conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT setval($1::regclass, $2, false)`, im.schema.table("event_ids"), im.from.NextID)
		if err == nil {
			_, err = tx.Exec(ctx, `SELECT setval(pg_get_serial_sequence($1, 'no'), (SELECT coalesce(max(no), 0) + 1 FROM `+rooms+`), false)`, rooms)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE `+meta+` SET key = $1 WHERE key = $2`, importedKey, importingKey)
		}
		return err
	})
	if err == nil {
		_, err = im.schema.conn.Exec(ctx, `ANALYZE `+rooms+`, `+im.schema.table("events")+`, `+im.schema.table("members")) // plans for what is there now
	}
	return wrap(err, "finish the import")
}

// columnNames are a table's columns.
func columnNames(t *dump.Table) []string {
	names := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		names[i] = column.Name
	}
	return names
}

// quotedNames are a table's columns as SQL writes them.
func quotedNames(t *dump.Table) []string {
	quoted := columnNames(t)
	for i := range quoted {
		quoted[i] = pgx.Identifier{quoted[i]}.Sanitize()
	}
	return quoted
}

// exported are a table's columns as package dump has them: here a tag is
// signed, and an event without a nonce has one that begins with a space.
func exported(t *dump.Table) []string {
	columns := quotedNames(t)
	for i, column := range t.Columns {
		switch column.Name {
		case "tag":
			columns[i] = `tag::bigint & 4294967295`
		case "members":
			columns[i] = `members::bigint`
		case "nonce", "digest":
			columns[i] = `CASE WHEN nonce NOT LIKE ' %' THEN ` + column.Name + ` END`
		}
	}
	return columns
}

// imported makes a row one of this store's.
func imported(t *dump.Table, row dump.Row) []any {
	if t != dump.Events {
		return row
	}
	for i, column := range t.Columns {
		switch {
		case column.Name == "tag":
			tag, _ := row[i].(int64)
			row[i] = int32(uint32(tag))
		case column.Name == "nonce" && row[i] == nil:
			row[i] = fmt.Sprintf(" m%d", row[2]) // by the id, which no other event has
		case column.Name == "digest" && row[i] == nil:
			row[i] = int64(0)
		}
	}
	return row
}
