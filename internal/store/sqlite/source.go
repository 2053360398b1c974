package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"tertulia/internal/store/dump"
)

// MovedError says that a store has been copied elsewhere, or is being copied,
// so that it must not grow here any more.
type MovedError struct {
	Dir string
	// To names the other store for people.
	To string
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("the data folder %s was moved to %s", e.Dir, e.To)
}

// What meta has of a store that was moved: the id of the other store, its name
// for people, and whether everything is there, so that it may be served there.
const (
	movedToKey    = "moved_to"
	movedNameKey  = "moved_name"
	movedWholeKey = "moved_whole"
)

// ErrNotMoved says that a store is at home, so that there is no way back.
var ErrNotMoved = errors.New("the data folder was not moved")

// Source is a store that nobody serves, to be copied elsewhere. It is used by
// one goroutine at a time.
type Source struct {
	dir  string
	lock *os.File
	db   *sql.DB
}

// OpenSource locks a data folder and opens its database, whose schema it
// brings up to date. The caller calls Close. Errors are [*NoStoreError] and
// those of [Open] but for [*MovedError].
func OpenSource(ctx context.Context, dir string) (_ *Source, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, &FolderError{Dir: dir, Err: err}
	}
	path := filepath.Join(dir, databaseName)
	if err := mustExist(path); err != nil {
		return nil, err
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Source{dir: dir, lock: lock}
	if err := migrate(ctx, migrationSource(path, "", writerPragmas), path); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if s.db, err = openFile(path, "", writerPragmas...); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.db.SetMaxOpenConns(2) // a name is asked for while rows are read
	return s, nil
}

// Close lets go of the folder.
func (s *Source) Close() error { return errors.Join(s.db.Close(), s.lock.Close()) }

// Origin is what the store remembers of itself.
func (s *Source) Origin(ctx context.Context) (o dump.Origin, err error) {
	row := s.db.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE key = 'store_id'), (SELECT value FROM meta WHERE key = 'epoch'),
		(SELECT value FROM meta WHERE key = 'next_id')`)
	if err := row.Scan(&o.StoreID, &o.Epoch, &o.NextID); err != nil {
		return dump.Origin{}, fmt.Errorf("read what %s remembers of itself: %w", s.dir, err)
	}
	return o, nil
}

// MayLeave is [*MovedError] if the store has arrived in another one than that
// with this id.
func (s *Source) MayLeave(ctx context.Context, storeID string) error {
	var to, name string
	err := s.db.QueryRowContext(ctx, `SELECT m.value, n.value FROM meta m, meta n, meta w WHERE m.key = ? AND n.key = ? AND w.key = ?`,
		movedToKey, movedNameKey, movedWholeKey).Scan(&to, &name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read where %s was moved to: %w", s.dir, err)
	}
	if to != "" && to != storeID {
		return &MovedError{Dir: s.dir, To: name}
	}
	return nil
}

// Leave notes that the store is being moved to another one, so that [Open]
// refuses it from now on. Errors are those of MayLeave.
func (s *Source) Leave(ctx context.Context, storeID, name string) error {
	if err := s.MayLeave(ctx, storeID); err != nil {
		return err
	}
	return s.note(ctx, `INSERT INTO meta (key, value) VALUES (?, ?), (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
		movedToKey, storeID, movedNameKey, name)
}

// Arrive notes that everything is in the other store. It comes before that one
// may be served.
func (s *Source) Arrive(ctx context.Context) error {
	return s.note(ctx, `INSERT INTO meta (key, value) VALUES (?, 1) ON CONFLICT DO NOTHING`, movedWholeKey)
}

func (s *Source) note(ctx context.Context, sql string, args ...any) error {
	if _, err := s.db.ExecContext(ctx, sql, args...); err != nil {
		return fmt.Errorf("note in %s where it is moved to: %w", s.dir, err)
	}
	return nil
}

// Return undoes Leave. After Arrive the other store may have grown meanwhile,
// and what is here begins another life: see [Restore]. Otherwise the logs go on
// as they are, and what is there of them is no part of this store any more. It is
// ErrNotMoved, and nothing is changed, if there is nothing to undo.
func (s *Source) Return(ctx context.Context) error {
	var moved, whole bool
	err := s.db.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE key = ?) > 0, count(*) FILTER (WHERE key = ?) > 0 FROM meta`, movedToKey, movedWholeKey).
		Scan(&moved, &whole)
	if err != nil {
		return fmt.Errorf("read where %s was moved to: %w", s.dir, err)
	}
	if !moved {
		return ErrNotMoved
	}
	changes := anotherName
	if whole {
		changes = anotherLife
	}
	if err := changeMeta(ctx, s.db, changes()); err != nil {
		return fmt.Errorf("take %s back: %w", s.dir, err)
	}
	return nil
}

// Name is what people call a room by its number; it is empty if there is none.
func (s *Source) Name(ctx context.Context, room int64) (id string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT id FROM rooms WHERE no = ?`, room).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// Count is how many rows a table has.
func (s *Source) Count(ctx context.Context, t *dump.Table) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT count(*) FROM `+t.Name).Scan(&n)
	return n, err
}

// Rows reads a table by rising keys from the row after a key on, or from its
// beginning if that is nil. A row is good until the next one.
func (s *Source) Rows(ctx context.Context, t *dump.Table, after []any) iter.Seq2[dump.Row, error] {
	return func(yield func(dump.Row, error) bool) {
		rows, err := s.db.QueryContext(ctx, selectRows(t, after != nil), after...)
		if err != nil {
			yield(nil, fmt.Errorf("read %s: %w", t.Name, err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			row, err := scanRow(rows, t)
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, fmt.Errorf("read %s: %w", t.Name, err))
		}
	}
}

// selectRows is the statement for a table's rows. Names and columns are the
// program's own.
func selectRows(t *dump.Table, after bool) string {
	names := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		names[i] = `"` + column.Name + `"`
	}
	key := strings.Join(names[:t.Key], ", ")
	where := ""
	if after {
		where = ` WHERE (` + key + `) > (` + strings.TrimSuffix(strings.Repeat("?, ", t.Key), ", ") + `)`
	}
	return `SELECT ` + strings.Join(names, ", ") + ` FROM ` + t.Name + where + ` ORDER BY ` + key
}

// scanRow reads a row; here truths are numbers, and NULL is false.
func scanRow(rows *sql.Rows, t *dump.Table) (dump.Row, error) {
	row := make(dump.Row, len(t.Columns))
	places := make([]any, len(row))
	for i := range row {
		places[i] = &row[i]
	}
	if err := rows.Scan(places...); err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	for i, column := range t.Columns {
		if column.Kind == dump.Bool {
			n, _ := row[i].(int64)
			row[i] = n != 0
		}
	}
	return row, nil
}
