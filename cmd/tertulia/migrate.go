package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"tertulia/internal/migrate"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
)

// MigrateCmd moves an embedded installation into PostgreSQL.
type MigrateCmd struct {
	From string `required:"" placeholder:"DIR" help:"Data folder of the server, which must not run."`
	To   string `placeholder:"URL" env:"TERTULIA_DATABASE_URL" help:"Database to move to, postgres://user:password@host/database. Others on this machine can see it in the list of processes: better set the variable."`
	Undo bool   `help:"Move nothing, but let the data folder be served again, its rooms in a new epoch."`
}

func (MigrateCmd) Help() string {
	return `Copies everything in the data folder into an empty database, checks that the copy is the same, and has the data folder not served any more. Clients go on with their cursors. If it is interrupted, run it again: it goes on where it was. Until it has ended, neither the data folder nor the database is served.

Examples:

    TERTULIA_DATABASE_URL=postgres://... tertulia migrate --from /var/lib/tertulia
    tertulia migrate --from /var/lib/tertulia --undo`
}

// Validate is called by the parser.
func (c *MigrateCmd) Validate() error {
	if c.To == "" && !c.Undo {
		return errors.New("name the database by --to or TERTULIA_DATABASE_URL")
	}
	return nil
}

func (c *MigrateCmd) Run(ctx context.Context, io IO) error {
	if c.Undo {
		if err := migrate.Undo(ctx, c.From); err != nil {
			return migrateError(err, c.From)
		}
		_, err := fmt.Fprintf(io.Out, "%s may be served again\n", c.From)
		return err
	}
	show := progress{io: io}
	r, err := migrate.Run(ctx, migrate.Config{From: c.From, To: postgres.Config{URL: c.To}, Progress: show.show})
	switch {
	case err != nil:
		return migrateError(err, c.From)
	case r.Done:
		_, err = fmt.Fprintf(io.Out, "%s was moved before: %d rooms, %d events are in %s\n", c.From, r.Rooms, r.Events, r.Name)
	default:
		_, err = fmt.Fprintf(io.Out, "%d rooms, %d events moved to %s: copied %d rows in %.1f s, checked in %.1f s\n",
			r.Rooms, r.Events, r.Name, r.Copied, r.Copying.Seconds(), r.Verify.Seconds())
	}
	return err
}

// progress says on stderr how far a migration is: at the end of each table,
// and once a second.
type progress struct {
	io   IO
	said time.Time
}

func (p *progress) show(at migrate.Progress) {
	if at.Rows < at.Of && time.Since(p.said) < time.Second {
		return
	}
	p.said = time.Now()
	verb := "copied"
	if at.Verifying {
		verb = "checked"
	}
	fmt.Fprintf(p.io.Err, "%s %d of %d rows of %s\n", verb, at.Rows, at.Of, at.Table)
}

// migrateError says why a migration has failed, and what to do about it.
func migrateError(err error, dir string) error {
	if errors.Is(err, sqlite.ErrNotMoved) {
		return errorWithHint(exitFailure, "it is served as it is: tertulia serve --data-dir "+dir, "the data folder %s was not moved", dir)
	}
	if e, ok := errors.AsType[*postgres.OccupiedError](err); ok {
		return errorWithHint(exitFailure, "stop the nodes, or name an empty database; what an abandoned migration has left goes with: DROP SCHEMA "+e.Schema+" CASCADE", "%w", e)
	}
	if e, ok := errors.AsType[*migrate.MismatchError](err); ok {
		return errorWithHint(exitFailure, "was the database changed meanwhile? drop the schema and run this again: DROP SCHEMA tertulia CASCADE; or go back with: tertulia migrate --from "+dir+" --undo", "%w", e)
	}
	if e, ok := errors.AsType[*postgres.DurabilityError](err); ok {
		return errorWithHint(exitFailure, "change the settings of the database", "the database may lose what it has stored: %v", e.Weak)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return errorWithHint(exitUnreachable, "is the database running, and does the URL name it rightly?", "cannot reach the database: %w", e)
	}
	return offlineError(err)
}
