package services

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Postgres is a PostgreSQL server with fsync on, as it comes.
type Postgres struct {
	Process
	bin      string
	dir      string
	as       account
	password string
	settings []string
}

// superuser is the name under which PostgreSQL lets in who made it.
const superuser = "tertulia"

// StartPostgres makes a cluster of databases in dir, which is empty or absent,
// and starts a server on it. PostgreSQL refuses to run as root, so for root it
// runs as the user postgres, else nobody, to whom dir is given then; all
// folders above it must let that user in. settings are lines of
// postgresql.conf such as "max_connections=300".
func StartPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	p, err := newPostgres(dir, rand.Text(), settings)
	if err != nil {
		return nil, err
	}
	if err := p.initialise(ctx); err != nil {
		return nil, err
	}
	return p, p.start(ctx)
}

// newPostgres makes dir, and returns a server that has no data yet.
func newPostgres(dir, password string, settings []string) (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), as.own(dir)); err != nil {
		return nil, err
	}
	p := &Postgres{bin: bin, dir: dir, as: as, password: password, settings: settings}
	_, port, _ := net.SplitHostPort(addr)
	args := []string{"-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + port, "-c", "unix_socket_directories="}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	p.Process = Process{
		Addr:    addr,
		command: func() *exec.Cmd { return p.command("postgres", args...) },
		ready: func(ctx context.Context) error {
			return exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", port).Run()
		},
	}
	return p, nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// command returns one of PostgreSQL's own programs, to run as the server does.
func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	return p.as.command(p.dir, filepath.Join(p.bin, program), args...)
}

// initialise makes the data folder, and a superuser with a password.
func (p *Postgres) initialise(ctx context.Context) error {
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(p.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := p.as.own(secret); err != nil {
		return err
	}
	cmd := p.command("initdb", "--no-sync", "--no-instructions", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
		"--username="+superuser, "--pwfile="+secret, "-D", p.data())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return ctx.Err()
}

// URL names a database of the server, and its superuser. Others are servers
// that stand in for it.
func (p *Postgres) URL(database string, others ...*Postgres) string {
	hosts := p.Addr
	for _, other := range others {
		hosts += "," + other.Addr
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, p.password), Host: hosts, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// CreateDatabase makes an empty database and returns its URL.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (string, error) {
	return p.URL(name), p.run(ctx, "createdb", name)
}

// Execute runs one statement of SQL in a database, as its superuser.
func (p *Postgres) Execute(ctx context.Context, database, statement string) error {
	return p.run(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, database)
}

// run runs one of PostgreSQL's own clients.
func (p *Postgres) run(ctx context.Context, program string, args ...string) error {
	host, port, _ := net.SplitHostPort(p.Addr)
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, program), append([]string{"-h", host, "-p", port, "-U", superuser}, args...)...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+p.password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// Close ends the server in an orderly way (a fast shutdown).
func (p *Postgres) Close() { p.end(syscall.SIGINT) }

// postgresBin returns the folder of PostgreSQL's programs: Debian's newest, or
// what the path has.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return versionOf(a) - versionOf(b) })
		return filepath.Dir(newest), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", missing("PostgreSQL", "postgresql")
}

// versionOf returns the 15 of /usr/lib/postgresql/15/bin/postgres.
func versionOf(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// account is a user of the system to run a program as; the zero value is the
// user who asks.
type account struct {
	other    bool
	uid, gid uint32
}

// unprivileged returns an account that is not root's.
func unprivileged() (account, error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		return account{other: true, uid: uint32(uid), gid: uint32(gid)}, errors.Join(uidErr, gidErr)
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// command returns a command that runs in dir as a.
func (a account) command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	if a.other {
		runAs(cmd, a.uid, a.gid)
	}
	return cmd
}
