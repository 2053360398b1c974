package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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
		return offlineError(err, "is there room for all of it on the disk of the new file? nothing is left of this attempt; mend that and run it again")
	}
	return writeContents(io, c.FileName, contents, time.Since(began))
}

// isIn reports whether a file would be made in the folder dir, or below it.
func isIn(file, dir string) bool {
	data, err := os.Stat(dir)
	if err != nil {
		return false // reading it says why
	}
	above, err := filepath.Abs(file)
	for err == nil && above != filepath.Dir(above) {
		above = filepath.Dir(above)
		folder, err := os.Stat(above)
		if err == nil && os.SameFile(folder, data) {
			return true
		}
	}
	return false
}

// writeContents says on stdout what a command has copied.
func writeContents(io IO, to string, c sqlite.Contents, took time.Duration) error {
	_, err := fmt.Fprintf(io.Out, "%s: %d rooms, %d events, %.1f MiB in %.1f s\n", to, c.Rooms, c.Events, float64(c.Bytes)/(1<<20), took.Seconds())
	return err
}
