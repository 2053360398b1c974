package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
)

// folderError says why a data folder cannot be opened, and what to do about it;
// nil if err is about something else.
func folderError(err error) error {
	if e, ok := errors.AsType[*sqlite.LockedError](err); ok {
		return errorWithHint(exitFailure, "stop the other server, or give this one a folder of its own with --data-dir",
			"the data folder %s is in use by another server%s", e.Dir, process(e.PID))
	}
	if e, ok := errors.AsType[*sqlite.NewerSchemaError](err); ok {
		return errorWithHint(exitFailure, "run the newer version that wrote it, or choose another folder with --data-dir",
			"%s has schema %d, and this program knows none above %d", e.Path, e.Have, e.Known)
	}
	if e, ok := errors.AsType[*sqlite.UnfinishedError](err); ok {
		hint := "run tertulia restore again"
		if e.Before != "" {
			hint += ", or delete tertulia.db.restoring there to go on with what was there before"
		}
		return errorWithHint(exitFailure, hint, "a restore into the data folder %s was interrupted", e.Dir)
	}
	if e, ok := errors.AsType[*sqlite.MovedError](err); ok {
		return errorWithHint(exitFailure, "serve that one, or take the folder back with: tertulia migrate --from "+e.Dir+" --undo",
			"the data folder %s was moved to %s, or is being moved there", e.Dir, e.To)
	}
	if e, ok := errors.AsType[*sqlite.FolderError](err); ok {
		return errorWithHint(exitFailure, "make the folder writable for this user, or choose another with --data-dir",
			"cannot use the data folder %s: %w", e.Dir, e.Err)
	}
	return nil
}

// databaseError says why a database cannot be opened, and what to do about it;
// nil if err is about something else.
func databaseError(err error) error {
	if e, ok := errors.AsType[*postgres.URLError](err); ok {
		return errorWithHint(exitFailure, "it is written as postgres://user:password@host:5432/database", "%w", e)
	}
	if e, ok := errors.AsType[*postgres.ImportingError](err); ok {
		return errorWithHint(exitFailure, "run tertulia migrate again to its end, or give it up with: DROP SCHEMA "+e.Schema+" CASCADE",
			"a migration into the schema %s has not ended", e.Schema)
	}
	if e, ok := errors.AsType[*postgres.DurabilityError](err); ok {
		return errorWithHint(exitFailure, "change the database's settings, or give --"+allowWeak+" if losing messages is all right",
			"the database may lose messages that it has acknowledged: %s", strings.Join(e.Weak, ", "))
	}
	if e, ok := errors.AsType[*postgres.NewerSchemaError](err); ok {
		return errorWithHint(exitFailure, "run the newer version that wrote it, or choose another schema with --database-schema",
			"the database's schema %s has version %d, and this program knows none above %d", e.Schema, e.Have, e.Known)
	}
	if e, ok := errors.AsType[*postgres.SchemaError](err); ok {
		return errorWithHint(exitFailure, "run this version once with a role that owns the schema, or may create it: GRANT CREATE ON DATABASE",
			"the schema %s has version %d and this program needs %d, but the role %s could not change it: %w", e.Schema, e.Have, e.Needed, e.Role, e.Err)
	}
	if e, ok := errors.AsType[*postgres.ConnectError](err); ok { // after what keeps a connection from being used
		return errorWithHint(exitFailure, "the URL must name a database that is running: check its host, port, user, password, database and sslmode", "%w", e)
	}
	return nil
}

const allowWeak = "database-allow-weak-durability"

// process names a process in brackets, or not at all if it is unknown.
func process(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// offlineError says why a command that works on a data folder, and not on a
// server, has failed, and what to do about it: otherwise, if nothing better is
// known.
func offlineError(err error, otherwise string) error {
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
	if said := cmp.Or(folderError(err), databaseError(err)); said != nil {
		return said
	}
	return errorWithHint(exitFailure, cmp.Or(fileHint(err), otherwise), "%w", err)
}

// fileHint is what to do about an error of the file system, empty if that is
// not known.
func fileHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run it as a user who may, such as the one who runs the server"
	case errors.Is(err, fs.ErrNotExist):
		return "make the folder first, or name another"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on that disk, and run it again"
	}
	return ""
}
