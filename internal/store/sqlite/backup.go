package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup copies the database in the data folder dir into a new file, also
// while a server uses it. The copy is one instant of the store: everything
// that was acknowledged before the call is in it, and every log is whole up
// to its head. It is checked, sealed, and on stable storage, before the call returns,
// and has its name from then on only; an attempt that was killed leaves a file
// with .partial at its end.
//
// The server goes on storing meanwhile. Its write-ahead log grows by what it
// stores, because the copy is still read from what was there before.
//
// Errors are [*NoStoreError] if there is nothing to copy, one that wraps
// [fs.ErrExist] if the file exists, those of the file system, and
// [*DamagedError] if the copy is not sound, which then is not kept.
func Backup(ctx context.Context, dir, file string) (c Contents, err error) {
	if _, err := os.Lstat(file); err == nil {
		return Contents{}, &fs.PathError{Op: "create", Path: file, Err: fs.ErrExist}
	}
	db, err := openFile(filepath.Join(dir, databaseName), "&mode=ro", "busy_timeout(2000)")
	if err != nil {
		return Contents{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	partial, err := emptyFile(file)
	if err != nil {
		return Contents{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeIfThere(partial))
		}
	}()
	// SQLite reads all of it in one transaction, and leaves out the pages in
	// which what was deleted may still be read.
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, partial); err != nil {
		return Contents{}, fmt.Errorf("copy %s to %s: %w", dir, partial, err)
	}
	if c, err = finish(ctx, partial); err != nil {
		return Contents{}, err
	}
	return c, rename(partial, file)
}

// finish checks a copy and makes it a backup.
func finish(ctx context.Context, path string) (c Contents, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return Contents{}, err
	}
	c.Bytes = info.Size()
	if c.Rooms, c.Events, err = inspect(ctx, path); err != nil {
		return Contents{}, err
	}
	return c, seal(ctx, path)
}

// emptyFile makes an empty file beside the one that it will become, for its
// owner alone.
func emptyFile(file string) (path string, err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.partial")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// syncFile makes what is in a file durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// rename gives a file its name for good.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
