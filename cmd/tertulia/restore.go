package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tertulia/internal/store/sqlite"
)

// RestoreCmd makes a data folder from a backup.
type RestoreCmd struct {
	Backup   string `arg:"" name:"file" help:"What tertulia backup has written."`
	SetAside bool   `help:"Give a database that is there another name first, with the time at its end."`
	configFlags
}

func (RestoreCmd) Help() string {
	return `Makes the data folder from a backup, which is checked first. The server must not run. A folder that is not empty is left alone, unless --set-aside renames the database in it.

Every room begins a new epoch: clients that saw messages which the backup does not have are told, and read the room anew.

Examples:

    tertulia restore /backup/tertulia.db
    tertulia restore --data-dir /var/lib/tertulia --set-aside /backup/tertulia.db`
}

func (c *RestoreCmd) Run(ctx context.Context, io IO, others otherEnv) error {
	loaded, err := c.load(io, others)
	if err != nil {
		return err
	}
	began := time.Now()
	contents, aside, err := sqlite.Restore(ctx, c.Backup, loaded.DataDir, c.SetAside)
	if e, ok := errors.AsType[*sqlite.NoStoreError](err); ok {
		return errorWithHint(exitNotFound, "name a file that tertulia backup has written", "there is no backup %s", e.Path)
	}
	if err != nil {
		return offlineError(err, "run it again; if it fails again, look whether the disks of the backup and of the data folder are sound")
	}
	if aside != "" {
		fmt.Fprintf(io.Err, "what was there is now %s\n", aside)
	}
	return writeContents(io, loaded.DataDir, contents, time.Since(began))
}
