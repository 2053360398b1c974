// Package servicetest gives the tests of a package one PostgreSQL and one
// Redis, started when the first test asks: a test has a database of its own,
// and keys and channels of its own by a prefix.
package servicetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"tertulia/internal/services"
)

// dir holds what the servers of this process write. It is in the system's
// folder for temporary files, into which the user of PostgreSQL may look.
var dir = sync.OnceValues(func() (string, error) {
	path, err := os.MkdirTemp("", "tertulia-services")
	if err == nil {
		err = os.Chmod(path, 0o711)
	}
	return path, err
})

var postgres = sync.OnceValues(func() (*services.Postgres, error) {
	path, err := dir()
	if err != nil {
		return nil, err
	}
	postgresUsed.Store(true)
	return services.StartPostgres(context.Background(), filepath.Join(path, "postgres"), "max_connections=300")
})

var redis = sync.OnceValues(func() (*services.Redis, error) {
	path, err := dir()
	if err != nil {
		return nil, err
	}
	redisUsed.Store(true)
	return services.StartRedis(context.Background(), filepath.Join(path, "redis"))
})

var (
	postgresUsed, redisUsed atomic.Bool
	names                   atomic.Int64
)

// M is a package's tests as goleak takes them: it looks for what is left over
// once the servers have ended.
type M struct{ *testing.M }

// Run runs them, then ends the servers: see [Run].
func (m M) Run() int { return Run(m.M) }

// Run runs the tests of a package, then ends what they have started, and
// returns the code to exit with. It is for TestMain.
func Run(m *testing.M) int {
	code := m.Run()
	if postgresUsed.Load() {
		if p, err := postgres(); err == nil {
			p.Close()
		}
	}
	if redisUsed.Load() {
		if r, err := redis(); err == nil {
			r.Close()
		}
	}
	if postgresUsed.Load() || redisUsed.Load() {
		if path, err := dir(); err == nil {
			_ = os.RemoveAll(path)
		}
	}
	return code
}

// Postgres returns the server that the package's tests share. Who kills it
// restarts it, and does not run beside other tests.
func Postgres(t testing.TB) *services.Postgres {
	t.Helper()
	p, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Database returns the URL of an empty database in the shared server.
func Database(t testing.TB) (url string) {
	t.Helper()
	url, err := Postgres(t).CreateDatabase(t.Context(), fmt.Sprintf("test%d", names.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Redis returns the server that the package's tests share.
func Redis(t testing.TB) *services.Redis {
	t.Helper()
	r, err := redis()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Folder returns a folder into which the user of PostgreSQL may look, for a
// server of the test's own. It is removed at the end of the test.
func Folder(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp("", "tertulia-services")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	if err := os.Chmod(path, 0o711); err != nil {
		t.Fatal(err)
	}
	return path
}

// Prefix returns a prefix for keys and channels that no other test has.
func Prefix() string { return fmt.Sprintf("test%d:", names.Add(1)) }
