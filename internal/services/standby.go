package services

import (
	"context"
	"fmt"
	"net"
	"os"
)

// StandbyName is what every standby calls itself, for the primary's setting
// synchronous_standby_names.
const StandbyName = "standby"

// StartStandby starts a server in dir, as StartPostgres does, that has a copy
// of the primary's databases, users and settings and follows it (streaming
// replication). It takes no writes until it is promoted.
func StartStandby(ctx context.Context, primary *Postgres, dir string) (*Postgres, error) {
	p, err := newPostgres(dir, primary.password, primary.settings)
	if err != nil {
		return nil, err
	}
	return p, p.Follow(ctx, primary)
}

// Follow makes a server that has ended start again as a standby of primary. Of
// what it has had itself nothing is left.
func (p *Postgres) Follow(ctx context.Context, primary *Postgres) error {
	if err := os.RemoveAll(p.data()); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(primary.Addr)
	source := fmt.Sprintf("host=%s port=%s user=%s application_name=%s", host, port, superuser, StandbyName)
	cmd := p.command("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf", "-d", source, "-D", p.data())
	cmd.Env = append(os.Environ(), "PGPASSWORD="+p.password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return p.start(ctx)
}

// Promote makes a standby a primary, and returns when it takes writes. The
// server that was followed is not told.
func (p *Postgres) Promote(ctx context.Context) error {
	return p.Execute(ctx, "postgres", "DO $$ BEGIN IF NOT pg_promote() THEN RAISE 'the standby was not promoted'; END IF; END $$")
}

// Set changes a setting while the server runs, for good. Sessions that are open
// follow in a moment.
func (p *Postgres) Set(ctx context.Context, setting, value string) error {
	if err := p.Execute(ctx, "postgres", fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", setting, value)); err != nil {
		return err
	}
	return p.Execute(ctx, "postgres", "SELECT pg_reload_conf()")
}
