package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// Contents says how much is in a database.
type Contents struct {
	Rooms, Events int64
	// Bytes is the size of the database.
	Bytes int64
}

// DamagedError says that a file is no sound database of ours.
type DamagedError struct {
	Path string
	What string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged, or no database of Tertulia: %s", e.Path, e.What)
}

// NoStoreError says that there is no database where one is to be read.
type NoStoreError struct{ Path string }

func (e *NoStoreError) Error() string { return fmt.Sprintf("there is no database %s", e.Path) }

// openFile opens a database for a few statements, with one connection. The
// query is added to the source's: mode=ro writes nothing to the database.
func openFile(path, query string, pragmas ...string) (*sql.DB, error) {
	if err := mustExist(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	connector, err := sqlite.NewConnector(source(absolute, "", pragmas) + query)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

func mustExist(path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &NoStoreError{path}
	}
	return err
}

// Inspect checks a backup as a whole, and says what is in it. It leaves
// nothing beside the file. Errors are [*NoStoreError], [*UnsealedError] for a
// file that is no backup or was cut short, [*DamagedError],
// [*NewerSchemaError], or from the file system.
func Inspect(ctx context.Context, path string) (c Contents, err error) {
	if err := mustExist(path); err != nil {
		return Contents{}, err
	}
	if c.Bytes, err = unseal(ctx, path); err != nil {
		return Contents{}, err
	}
	c.Rooms, c.Events, err = inspect(ctx, path)
	return c, err
}

// inspect checks a database that nobody writes to, sealed or not.
func inspect(ctx context.Context, path string) (rooms, events int64, err error) {
	db, err := openFile(path, "&mode=ro&immutable=1")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkSchema(ctx, db, path); err != nil {
		return 0, 0, err
	}
	if err := checkIntegrity(ctx, db, path); err != nil {
		return 0, 0, err
	}
	return countLogs(ctx, db, path)
}

// checkSchema wants a schema that this program knows.
func checkSchema(ctx context.Context, db *sql.DB, path string) error {
	var have sql.NullInt64
	err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&have)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &DamagedError{path, err.Error()}
	case have.Int64 > SchemaVersion:
		return &NewerSchemaError{Path: path, Have: int(have.Int64), Known: SchemaVersion}
	case have.Int64 == 0:
		return &DamagedError{path, "it has no schema"}
	}
	return nil
}

func checkIntegrity(ctx context.Context, db *sql.DB, path string) error {
	var said string
	err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&said)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &DamagedError{path, err.Error()}
	case said != "ok":
		return &DamagedError{path, said}
	}
	return nil
}

// countLogs counts, and wants in each room the events floor..head without a
// hole.
func countLogs(ctx context.Context, db *sql.DB, path string) (rooms, events int64, err error) {
	rows, err := db.QueryContext(ctx, `SELECT id, head, floor, coalesce(n, 0), coalesce(low, floor), coalesce(high, head)
		FROM rooms LEFT JOIN (SELECT room_no, count(*) AS n, min(seq) AS low, max(seq) AS high FROM events GROUP BY room_no) ON room_no = no`)
	if err != nil {
		return 0, 0, fmt.Errorf("count the events of %s: %w", path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var head, floor, n, low, high int64
		if err := rows.Scan(&id, &head, &floor, &n, &low, &high); err != nil {
			return 0, 0, &DamagedError{path, err.Error()}
		}
		if n != head-floor+1 || low != floor || high != head {
			return 0, 0, &DamagedError{path, fmt.Sprintf("room %s shall have the events %d to %d, and has %d from %d to %d", id, floor, head, n, low, high)}
		}
		rooms, events = rooms+1, events+n
	}
	return rooms, events, rows.Err()
}
