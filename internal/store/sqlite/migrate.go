package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

// SchemaVersion is the newest schema that this program knows.
const SchemaVersion = 2

// The migrations, in order; there is no way back. One that has been released
// is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// NewerSchemaError says that a newer program has changed the database.
type NewerSchemaError struct {
	Path        string
	Have, Known int // schema versions: the file's, and the newest known here
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("%s has schema %d, and this program knows none above %d; run the newer version that wrote it, or restore a copy from before",
		e.Path, e.Have, e.Known)
}

// migrate brings the file's schema up to date, and gives a new file its
// epoch. A file that is newer than the program is left as it is.
func migrate(ctx context.Context, source, path string) (err error) {
	connector, err := sqlite.NewConnector(source)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()

	if err := migrateSchema(ctx, db, path); err != nil {
		return err
	}
	return fillMeta(ctx, db)
}

func migrateSchema(ctx context.Context, db *sql.DB, path string) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	have, known, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version of %s: %w", path, err)
	}
	switch {
	case have > known:
		return &NewerSchemaError{Path: path, Have: int(have), Known: int(known)}
	case have == known:
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", path, err)
	}
	return nil
}

// fillMeta writes what a store remembers of itself, if it is not there yet.
func fillMeta(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('store_id', ?), ('epoch', ?), ('next_id', 1) ON CONFLICT DO NOTHING`,
		randomName(16), randomName(8))
	if err != nil {
		return fmt.Errorf("write what the store remembers of itself: %w", err)
	}
	return nil
}

// randomName returns n random characters of base 36. The epoch has 8, 41
// bits, so that two lives of one log do not share a name.
func randomName(n int) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	name := make([]byte, n)
	for i := range name {
		name[i] = digits[rand.IntN(len(digits))]
	}
	return string(name)
}
