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
type UnfinishedError struct {
	Dir string
	// Before is the database that was there before and still is; empty if
	// there is none.
	Before string
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("a restore into the data folder %s was interrupted; run it again", e.Dir)
}

// mustBeFinished returns an error if a restore into the folder was
// interrupted.
func mustBeFinished(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, restoringName)); err != nil {
		return nil
	}
	before := filepath.Join(dir, databaseName)
	if _, err := os.Lstat(before); err != nil {
		before = ""
	}
	return &UnfinishedError{Dir: dir, Before: before}
}

// Restore makes the database in the folder dir anew from a backup, which is
// checked before anything is touched. All logs begin a new epoch, so that
// clients that have seen more than the backup knows are told; ids go on far
// above those that were given.
//
// The folder must be absent, empty, or hold nothing but an interrupted
// restore, unless setAside allows that a database which is there gets another
// name, aside. That comes last: a crash leaves a folder that no server opens
// until the restore was run again, and in it what was there before, whole. After
// an error what was there is as it was, or, if aside is not empty, in that file:
// then the same call makes the rest good.
//
// Errors are [*NotEmptyError], [*LockedError], [*FolderError], those of
// [Inspect], or from the file system.
func Restore(ctx context.Context, file, dir string, setAside bool) (c Contents, aside string, err error) {
	if c, err = Inspect(ctx, file); err != nil {
		return Contents{}, "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Contents{}, "", &FolderError{Dir: dir, Err: err}
	}
	if !setAside {
		if err := wantEmpty(dir); err != nil {
			return Contents{}, "", err
		}
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return Contents{}, "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if !setAside {
		if err := wantEmpty(dir); err != nil { // since it was locked
			return Contents{}, "", err
		}
	}
	restoring := filepath.Join(dir, restoringName)
	if err = prepare(ctx, file, restoring, c.Bytes); err == nil {
		aside, err = putAside(ctx, filepath.Join(dir, databaseName))
	}
	if err != nil {
		return Contents{}, "", errors.Join(err, removeIfThere(restoring), removeIfThere(restoring+"-journal"))
	}
	return c, aside, rename(restoring, filepath.Join(dir, databaseName))
}

// prepare makes the first size bytes of a backup a database of its own.
func prepare(ctx context.Context, file, restoring string, size int64) error {
	if err := copyFile(ctx, file, restoring, size); err != nil {
		return fmt.Errorf("copy %s to %s: %w", file, restoring, err)
	}
	if err := makeAnother(ctx, restoring); err != nil {
		return fmt.Errorf("begin a new epoch in %s: %w", restoring, err)
	}
	return syncFile(restoring)
}

// putAside gives a database that nobody uses another name, with the time
// behind it, and returns that; it is empty if there is none.
func putAside(ctx context.Context, path string) (aside string, err error) {
	if err := foldLog(ctx, path); err != nil {
		return "", err
	}
	to := path + time.Now().UTC().Format(".20060102T150405.000Z")
	for _, beside := range []string{"-wal", "-shm", ""} {
		switch err := rename(path+beside, to+beside); {
		case err == nil:
			aside = to
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	return aside, nil
}

// foldLog moves what the write-ahead log has into the database, so that one
// file is all of it. A database that is too damaged for that keeps its log.
func foldLog(ctx context.Context, path string) error {
	db, err := openFile(path, "", writerPragmas...)
	if _, none := errors.AsType[*NoStoreError](err); none {
		return nil
	}
	if err != nil {
		return err
	}
	_, _ = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	_ = db.Close()
	return ctx.Err()
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

// copyFile makes to a copy of the first size bytes of from, for its owner
// alone. What there was is overwritten.
func copyFile(ctx context.Context, from, to string, size int64) (err error) {
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
	_, err = io.CopyN(out, interruptible{ctx, in}, size)
	return err
}

// makeAnother begins another life in a file that nobody uses.
func makeAnother(ctx context.Context, path string) (err error) {
	db, err := openFile(path, "", "synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return changeMeta(ctx, db, anotherLife())
}

// metaChange is a statement that changes what a database is.
type metaChange struct {
	sql  string
	args []any
}

// anotherName makes a database one that was not moved, and that nothing which
// was copied from it belongs to any more.
func anotherName() []metaChange {
	return []metaChange{
		{`UPDATE meta SET value = ? WHERE key = 'store_id'`, []any{randomName(16)}},
		{`DELETE FROM meta WHERE key IN (?, ?, ?)`, []any{movedToKey, movedNameKey, movedWholeKey}},
	}
}

// anotherLife also begins a new epoch for all logs, with ids far above those
// that were given.
func anotherLife() []metaChange {
	return append(anotherName(),
		metaChange{`UPDATE rooms SET epoch = NULL WHERE epoch IS NOT NULL`, nil},
		metaChange{`UPDATE meta SET value = ? WHERE key = 'epoch'`, []any{randomName(8)}},
		metaChange{`UPDATE meta SET value = value + ? WHERE key = 'next_id'`, []any{int64(lostIDs)}},
	)
}

// changeMeta makes all changes or, if there is an error, none.
func changeMeta(ctx context.Context, db *sql.DB, changes []metaChange) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	for _, c := range changes {
		if _, err := tx.ExecContext(ctx, c.sql, c.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
