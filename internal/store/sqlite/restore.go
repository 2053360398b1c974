package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// restoringName is the database while it is being restored.
const restoringName = databaseName + ".restoring"

// lostIDs is how far ids jump at a restore: the ids of messages that are
// newer than the backup come to stand for no other message, unless there were
// more of them than this.
const lostIDs = 1 << 32

// NotEmptyError says that a folder to be restored into holds something.
type NotEmptyError struct {
	Dir  string
	Name string // one of the files there
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("the data folder %s is not empty: it has %s", e.Dir, e.Name)
}

// UnfinishedError says that a restore into the folder has not come to its end.
type UnfinishedError struct{ Dir string }

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("a restore into the data folder %s was interrupted; run it again", e.Dir)
}

// Restore makes the data folder dir anew from a backup, which is checked
// before anything is touched. All logs begin a new epoch, so that clients that
// have seen more than the backup knows are told; ids go on far above those that
// were given. The folder must be absent, empty, or hold nothing but an
// interrupted restore. A crash leaves a folder that no server opens until the
// restore was run again.
//
// Errors are [*NotEmptyError], [*LockedError], [*FolderError], those of
// [Inspect], or from the file system.
func Restore(ctx context.Context, file, dir string) (c Contents, err error) {
	if c, err = Inspect(ctx, file); err != nil {
		return Contents{}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Contents{}, &FolderError{Dir: dir, Err: err}
	}
	if err := wantEmpty(dir); err != nil {
		return Contents{}, err
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return Contents{}, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := wantEmpty(dir); err != nil { // since it was locked
		return Contents{}, err
	}
	restoring := filepath.Join(dir, restoringName)
	if err := copyFile(ctx, file, restoring); err != nil {
		return Contents{}, fmt.Errorf("copy %s into %s: %w", file, dir, err)
	}
	if err := makeAnother(ctx, restoring); err != nil {
		return Contents{}, fmt.Errorf("begin a new epoch in %s: %w", restoring, err)
	}
	if err := syncFile(restoring); err != nil {
		return Contents{}, err
	}
	return c, rename(restoring, filepath.Join(dir, databaseName))
}

// SetAside gives a data folder that no server uses another name beside it,
// which it returns; "" if there is no folder. Errors are [*LockedError] and
// [*FolderError].
func SetAside(dir string) (aside string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", &FolderError{Dir: dir, Err: err}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	aside = dir + time.Now().UTC().Format(".20060102T150405Z")
	if err := rename(dir, aside); err != nil {
		return "", &FolderError{Dir: dir, Err: err}
	}
	return aside, nil
}

// wantEmpty returns an error if a folder holds what a restore must not touch.
// lost+found is there on a file system of its own.
func wantEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &FolderError{Dir: dir, Err: err}
	}
	for _, entry := range entries {
		if !slices.Contains([]string{lockName, restoringName, restoringName + "-journal", "lost+found"}, entry.Name()) {
			return &NotEmptyError{Dir: dir, Name: entry.Name()}
		}
	}
	return nil
}

// copyFile makes to a copy of from, for its owner alone. What there was is
// overwritten.
func copyFile(ctx context.Context, from, to string) (err error) {
	if err := removeIfThere(to + "-journal"); err != nil { // it belongs to what is overwritten
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	stop := context.AfterFunc(ctx, func() { in.Close() })
	defer stop()
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

// makeAnother begins another life in a file that nobody uses.
func makeAnother(ctx context.Context, path string) (err error) {
	db, err := openFile(path, "", "synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return beginLife(ctx, db)
}

// beginLife makes a database another one: with another name, a new epoch for
// all logs, and ids far above those that were given. It may grow here.
func beginLife(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	for _, change := range []struct {
		sql  string
		args []any
	}{
		{`UPDATE rooms SET epoch = NULL WHERE epoch IS NOT NULL`, nil},
		{`UPDATE meta SET value = ? WHERE key = 'epoch'`, []any{randomName(8)}},
		{`UPDATE meta SET value = ? WHERE key = 'store_id'`, []any{randomName(16)}},
		{`UPDATE meta SET value = value + ? WHERE key = 'next_id'`, []any{int64(lostIDs)}},
		{`DELETE FROM meta WHERE key IN (?, ?)`, []any{movedToKey, movedNameKey}},
	} {
		if _, err := tx.ExecContext(ctx, change.sql, change.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
