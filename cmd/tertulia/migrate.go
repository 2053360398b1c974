package main

import (
	"cmp"
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
	To   string `placeholder:"URL" help:"The same as --database-url. Others on this machine can see it in the list of processes: better set the variable or a file."`
	Undo bool   `help:"Move nothing, but let the data folder be served again; if it had been moved to the end, its rooms in a new epoch."`
	configFlags
}

func (MigrateCmd) Help() string {
	return `Copies everything in the data folder into an empty database, checks that the copy is the same, and has the data folder not served any more. Clients go on with their cursors. If it is interrupted, run it again: it goes on where it was. Until it has ended, neither the data folder nor the database is served. The database and its schema are named as for serve.

Examples:

    TERTULIA_DATABASE_URL=postgres://... tertulia migrate --from /var/lib/tertulia
    tertulia migrate --from /var/lib/tertulia --config /etc/tertulia/tertulia.toml
    tertulia migrate --from /var/lib/tertulia --undo`
}

func (c *MigrateCmd) Run(ctx context.Context, io IO, others otherEnv) error {
	if c.Undo {
		if err := migrate.Undo(ctx, c.From); err != nil {
			return c.explain(err)
		}
		_, err := fmt.Fprintf(io.Out, "%s may be served again\n", c.From)
		return err
	}
	loaded, err := c.load(io, others)
	if err != nil {
		return err
	}
	to := postgres.Config{URL: cmp.Or(c.To, string(loaded.Database.URL)), Schema: loaded.Database.Schema, AllowWeakDurability: loaded.Database.AllowWeakDurability}
	if to.URL == "" {
		return errorWithHint(exitUsage, "see tertulia migrate --help", "name the database by --to or TERTULIA_DATABASE_URL")
	}
	return c.move(ctx, io, to)
}

func (c *MigrateCmd) move(ctx context.Context, io IO, to postgres.Config) error {
	show := progress{io: io}
	r, err := migrate.Run(ctx, migrate.Config{From: c.From, To: to, Progress: show.show})
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(io.Err, "interrupted; run it again to go on where it was, or go back with --undo")
		return err
	case err != nil:
		return c.explain(err)
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

// explain says why a migration has failed, and what to do about it.
func (c *MigrateCmd) explain(err error) error {
	if errors.Is(err, sqlite.ErrNotMoved) {
		return errorWithHint(exitFailure, "it is served as it is: tertulia serve --data-dir "+c.From, "the data folder %s was not moved", c.From)
	}
	if e, ok := errors.AsType[*postgres.OccupiedError](err); ok {
		return errorWithHint(exitFailure, "stop the nodes, or name an empty database; what an abandoned migration has left goes with: DROP SCHEMA "+e.Schema+" CASCADE", "%w", e)
	}
	if e, ok := errors.AsType[*migrate.MismatchError](err); ok {
		return errorWithHint(exitFailure, "was the database changed meanwhile? drop its schema and run this again, or go back with: tertulia migrate --from "+c.From+" --undo", "%w", e)
	}
	if e, ok := errors.AsType[*sqlite.NoStoreError](err); ok {
		return errorWithHint(exitNotFound, "--from names the data folder of a server that keeps its messages there", "%w", e)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return errorWithHint(exitUnreachable, "is the database running, and does the URL name it rightly?", "cannot reach the database: %w", e)
	}
	return offlineError(err, "mend that and run it again: it goes on where it was")
}
