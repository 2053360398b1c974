package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tertulia/internal/config"
	"tertulia/internal/store/sqlite"
)

// BackupCmd copies the database of a server that may be running.
type BackupCmd struct {
	FileName string `arg:"" name:"file" help:"The new file."`
	configFlags
}

func (BackupCmd) Help() string {
	return `Copies everything that the server keeps in its data folder into one file, also while the server runs. What was acknowledged before the command began is in it. The copy is checked and on disk before the command says so.

Examples:

    tertulia backup /backup/tertulia.db
    tertulia backup --data-dir /var/lib/tertulia /backup/tertulia.db`
}

func (c *BackupCmd) Run(ctx context.Context, io IO, others otherEnv) error {
	loaded, err := c.load(io, others)
	if err != nil {
		return err
	}
	if isIn(c.FileName, loaded.DataDir) {
		return errorWithHint(exitUsage, "write it to another disk, or another folder at least", "a backup in the data folder %s would be lost with it", loaded.DataDir)
	}
	began := time.Now()
	contents, err := sqlite.Backup(ctx, loaded.DataDir, c.FileName)
	if errors.Is(err, fs.ErrExist) {
		return errorWithHint(exitFailure, "give it a name of its own, such as one with the date", "%s exists, and is not overwritten", c.FileName)
	}
	if err != nil {
		return offlineError(err)
	}
	return writeContents(io, c.FileName, contents, time.Since(began))
}

// isIn reports whether a file would be made in the folder dir.
func isIn(file, dir string) bool {
	folder, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return false // making the file says why
	}
	data, err := os.Stat(dir)
	return err == nil && os.SameFile(folder, data)
}

// writeContents says on stdout what a command has copied.
func writeContents(io IO, to string, c sqlite.Contents, took time.Duration) error {
	_, err := fmt.Fprintf(io.Out, "%s: %d rooms, %d events, %.1f MiB in %.1f s\n", to, c.Rooms, c.Events, float64(c.Bytes)/(1<<20), took.Seconds())
	return err
}

// offlineError says why a command that works on a data folder, and not on a
// server, has failed, and what to do about it.
func offlineError(err error) error {
	if e, ok := errors.AsType[*sqlite.NoStoreError](err); ok {
		return errorWithHint(exitNotFound, "--data-dir names the folder of the server; tertulia config show says which one is taken", "%w", e)
	}
	if e, ok := errors.AsType[*sqlite.DamagedError](err); ok {
		return errorWithHint(exitFailure, "use another backup; of the server's own database, restore the last good one", "%w", e)
	}
	if e, ok := errors.AsType[*sqlite.UnsealedError](err); ok {
		return errorWithHint(exitFailure, "copy it again from where it was made; a database becomes a backup with: tertulia backup --data-dir DIR FILE", "%w", e)
	}
	if e, ok := errors.AsType[*sqlite.NotEmptyError](err); ok {
		return errorWithHint(exitFailure, "choose another folder with --data-dir, or have what is there renamed with --set-aside", "%w", e)
	}
	if e, ok := errors.AsType[*sqlite.LockedError](err); ok {
		return errorWithHint(exitFailure, "stop the server first; of two commands the second has to wait", "the data folder %s is in use by another process%s", e.Dir, process(e.PID))
	}
	return startError(err, new(config.Config))
}
