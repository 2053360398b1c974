//go:build linux

package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
)

// cluster is three nodes on one PostgreSQL, with a synchronous standby, and one
// Redis.
type cluster struct {
	binary            string
	url               string             // of the database, on either server
	postgres, standby *services.Postgres // change places at a failover
	redis             *services.Redis
	nodes             [3]*node
}

// node is one server of a cluster, through all its lives.
type node struct {
	addr, dir string
	process   *process
}

const database = "tertulia"

func startCluster(t *testing.T) *cluster {
	t.Helper()
	ctx := t.Context()
	dir, c := servicetest.Folder(t), &cluster{binary: build(t)}
	c.startPostgres(t, dir, services.StandbyName)
	var err error
	if c.redis, err = services.StartRedis(ctx, filepath.Join(dir, "redis")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.redis.Close)
	for i := range c.nodes {
		c.nodes[i] = &node{addr: freeAddr(t), dir: filepath.Join(dir, fmt.Sprintf("node%d", i+1))}
		if err := os.Mkdir(c.nodes[i].dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.start(ctx, c.nodes[i]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.nodes[i].process.kill() })
	}
	return c
}

// startPostgres starts the primary with an empty database, and its standby.
// Commits wait for the one that synchronous names, of whichever is the primary,
// also while it has no standby.
func (c *cluster) startPostgres(t *testing.T, dir, synchronous string) {
	t.Helper()
	// A standby looks for its primary every 5 s by itself.
	p, err := services.StartPostgres(t.Context(), filepath.Join(dir, "postgres"), "wal_retrieve_retry_interval=100ms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if _, err := p.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(t.Context(), "synchronous_standby_names", synchronous); err != nil {
		t.Fatal(err)
	}
	s, err := services.StartStandby(t.Context(), p, filepath.Join(dir, "standby"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c.postgres, c.standby, c.url = p, s, p.URL(database, s)
}

// failOver kills the primary and has the standby take its place.
func (c *cluster) failOver(ctx context.Context) error {
	c.postgres.Kill()
	if err := c.standby.Promote(ctx); err != nil {
		return err
	}
	c.postgres, c.standby = c.standby, c.postgres
	return nil
}

// start begins a node's next life.
func (c *cluster) start(ctx context.Context, n *node) error {
	p, err := start(ctx, c.binary, n.dir, n.addr,
		"TERTULIA_DATABASE_URL="+c.url, "TERTULIA_REDIS_URLS=redis://"+c.redis.Addr, "TERTULIA_SHUTDOWN_DRAIN=2s")
	if err == nil {
		n.process = p
	}
	return err
}

// anyNode returns the address of a node, which may be down.
func (c *cluster) anyNode() string { return c.nodes[rand.IntN(len(c.nodes))].addr }

// logs returns the end of every node's log.
func (c *cluster) logs() string {
	var b strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&b, "--- %s\n%s\n", n.addr, n.process.log.String())
	}
	return b.String()
}

// terminate asks the process to end, and waits until it has.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(readyTime):
		return fmt.Errorf("the server does not end\n%s", p.log.String())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server ended with code %d\n%s", code, p.log.String())
	}
	return nil
}
