package main

import (
	"context"
	"fmt"
	"time"

	"tertulia/internal/store/sqlite"
)

// RestoreCmd makes a data folder from a backup.
type RestoreCmd struct {
	Backup   string `arg:"" name:"file" help:"What tertulia backup has written."`
	SetAside bool   `help:"Give a data folder that exists another name first, with the time at its end."`
	configFlags
}

func (RestoreCmd) Help() string {
	return `Makes the data folder from a backup, which is checked first. The server must not run. A folder that is not empty is left alone, unless --set-aside renames it.

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
	if c.SetAside && isIn(c.Backup, loaded.DataDir) {
		return errorWithHint(exitUsage, "move the backup elsewhere first", "%s lies in the data folder that is to be set aside", c.Backup)
	}
	began := time.Now()
	if c.SetAside {
		if err := setAside(ctx, io, c.Backup, loaded.DataDir); err != nil {
			return offlineError(err)
		}
	}
	contents, err := sqlite.Restore(ctx, c.Backup, loaded.DataDir)
	if err != nil {
		return offlineError(err)
	}
	return writeContents(io, loaded.DataDir, contents, time.Since(began))
}

// setAside renames the data folder, once the backup has shown to be sound.
func setAside(ctx context.Context, io IO, backup, dir string) error {
	if _, err := sqlite.Inspect(ctx, backup); err != nil {
		return err
	}
	aside, err := sqlite.SetAside(dir)
	if err == nil && aside != "" {
		fmt.Fprintf(io.Err, "%s is now %s\n", dir, aside)
	}
	return err
}
