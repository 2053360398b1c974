package services

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is one into which the user of PostgreSQL may look.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tertulia-services")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPostgresIsKilledAndComesBack(t *testing.T) {
	p, err := StartPostgres(t.Context(), filepath.Join(folder(t), "pg"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.CreateDatabase(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), "one", "create table t (n int)"); err != nil {
		t.Error(err)
	}
	if err := p.Execute(t.Context(), "one", "select nothing"); err == nil {
		t.Error("a wrong statement was executed, want an error")
	}
	p.Kill()
	if _, err := p.CreateDatabase(t.Context(), "two"); err == nil {
		t.Error("a database was made by a server that was killed")
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.CreateDatabase(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the database made before the kill: %v, want that it exists", err)
	}
	if url := p.URL("one"); !strings.HasPrefix(url, "postgres://tertulia:") || !strings.Contains(url, p.Addr+"/one") {
		t.Errorf("URL = %s", url)
	}
}

// A standby has what its primary has, is promoted when that is gone, and has
// it come back as its own standby.
func TestStandbyTakesOver(t *testing.T) {
	dir := folder(t)
	one, err := StartPostgres(t.Context(), filepath.Join(dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := StartStandby(t.Context(), one, filepath.Join(dir, "two"))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	if err := one.Set(t.Context(), "synchronous_standby_names", StandbyName); err != nil {
		t.Fatal(err)
	}
	if _, err := one.CreateDatabase(t.Context(), "seen"); err != nil { // waits for the standby
		t.Fatal(err)
	}
	if _, err := two.CreateDatabase(t.Context(), "refused"); err == nil {
		t.Error("a standby made a database")
	}
	one.Kill()
	if err := two.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.Execute(t.Context(), "seen", "CREATE TABLE t (n int)"); err != nil {
		t.Error(err)
	}
	if err := one.Follow(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	two.Kill()
	if err := one.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := one.Execute(t.Context(), "seen", "SELECT FROM t"); err != nil {
		t.Error(err)
	}
}

func TestRedisIsFrozenKilledAndComesBack(t *testing.T) {
	r, err := StartRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := r.Command(t.Context(), "SET a 1"); err != nil || got != "+OK\r\n" {
		t.Errorf("SET = %q, %v, want OK", got, err)
	}
	r.Stop()
	answered := make(chan error, 1)
	go func() { _, err := r.Command(t.Context(), "PING"); answered <- err }()
	select {
	case err := <-answered:
		t.Errorf("a frozen server answers: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	r.Continue()
	if err := <-answered; err != nil {
		t.Errorf("after Continue: %v", err)
	}
	r.Kill()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Command(t.Context(), "GET a"); err != nil || got != "$-1\r\n" {
		t.Errorf("GET = %q, %v, want nothing: it keeps nothing on disk", got, err)
	}
}

func TestRedisCluster(t *testing.T) {
	nodes, err := StartRedisCluster(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		defer n.Close()
	}
	moved := 0
	for _, n := range nodes {
		switch _, err := n.Command(t.Context(), "SET a 1"); {
		case err == nil:
		case strings.Contains(err.Error(), "MOVED"):
			moved++
		default:
			t.Error(err)
		}
	}
	if moved != len(nodes)-1 {
		t.Errorf("%d of %d masters do not have the key, want all but one", moved, len(nodes))
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	if _, err := StartRedis(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "apt-get install -y --no-install-recommends redis-server") {
		t.Errorf("StartRedis = %v, want the command that installs it", err)
	}
}

// A program that is killed says so, and comes back on its address; nginx is
// one.
func TestNginxIsKilledAndComesBack(t *testing.T) {
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	n, err := StartNginx(t.Context(), filepath.Join(t.TempDir(), "nginx"), addr, "/", "server { listen "+addr+"; return 204; }")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	first := n.PID()
	n.Kill()
	<-n.Done()
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.PID() == first || n.Addr != addr {
		t.Errorf("the same process %d at %s, want another one at %s", first, n.Addr, addr)
	}
}
