// Package cluster runs several nodes on one machine: a private PostgreSQL, a
// private Redis, nodes of the tertulia binary as processes of their own and,
// if wanted, an nginx before them that knows no stickiness. `make cluster` runs
// it for a person, and the tests of a cluster for themselves.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"tertulia/internal/services"
)

// Config says what a cluster is made of.
type Config struct {
	// Binary is the tertulia binary.
	Binary string
	// Dir is a folder for everything that is written. Other users must be let
	// into it and through all folders above, for PostgreSQL refuses root.
	Dir string
	// Nodes is how many there are.
	Nodes int
	// Proxy puts an nginx before the nodes, on this address; 127.0.0.1:0 is one
	// with a free port. The nodes then serve who comes through it, without limits on
	// single users and addresses: everybody comes from one. Empty is none.
	Proxy string
	// Env is for the nodes, beside what connects them.
	Env []string
	// Tell is called with a line for each thing that has started. It may be nil.
	Tell func(format string, args ...any)
}

// Cluster is running. Its methods may be called from any goroutine; who
// kills a part restarts it, or lets it be.
type Cluster struct {
	Postgres *services.Postgres
	Redis    *services.Redis
	Nodes    []*services.Program
	// Proxy is nil if there is none.
	Proxy *services.Program
}

// Start starts everything, and returns when all nodes are ready. The caller
// calls Close.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	if cfg.Tell == nil {
		cfg.Tell = func(string, ...any) {}
	}
	c := new(Cluster)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	database, err := c.startServices(ctx, cfg)
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "TERTULIA_DATABASE_URL="+database, "TERTULIA_REDIS_URLS=redis://"+c.Redis.Addr)
	if cfg.Proxy != "" {
		env = append(env, behindProxy...)
	}
	if err := c.startNodes(ctx, cfg, append(env, cfg.Env...)); err != nil {
		return nil, err
	}
	if cfg.Proxy == "" {
		return c, nil
	}
	return c, c.startProxy(ctx, cfg)
}

func (c *Cluster) startServices(ctx context.Context, cfg Config) (database string, err error) {
	if c.Postgres, err = services.StartPostgres(ctx, filepath.Join(cfg.Dir, "postgres"), "max_connections=200"); err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	if database, err = c.Postgres.CreateDatabase(ctx, "tertulia"); err != nil {
		return "", err
	}
	cfg.Tell("PostgreSQL  %s", database)
	if c.Redis, err = services.StartRedis(ctx, filepath.Join(cfg.Dir, "redis")); err != nil {
		return "", fmt.Errorf("start Redis: %w", err)
	}
	cfg.Tell("Redis       redis://%s", c.Redis.Addr)
	return database, nil
}

// startNodes starts the nodes at once, as a deployment may: the first one
// makes the tables, and the others wait for it.
func (c *Cluster) startNodes(ctx context.Context, cfg Config, env []string) error {
	c.Nodes = make([]*services.Program, cfg.Nodes)
	errs := make([]error, cfg.Nodes)
	var starting sync.WaitGroup
	for i := range c.Nodes {
		starting.Go(func() { c.Nodes[i], errs[i] = startNode(ctx, cfg, i+1, env) })
	}
	starting.Wait()
	for i, node := range c.Nodes {
		if errs[i] == nil {
			cfg.Tell("Node %d      http://%s (process %d)", i+1, node.Addr, node.PID())
		}
	}
	return errors.Join(errs...)
}

func startNode(ctx context.Context, cfg Config, number int, env []string) (*services.Program, error) {
	addr, err := services.FreeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cfg.Dir, fmt.Sprintf("node%d", number))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	node, err := services.StartProgram(ctx, addr, "/readyz", func() *exec.Cmd {
		cmd := exec.Command(cfg.Binary, "serve", "--listen", addr)
		cmd.Dir, cmd.Env = dir, env
		return cmd
	})
	if err != nil {
		return node, fmt.Errorf("start node %d: %w", number, err)
	}
	return node, nil
}

func (c *Cluster) startProxy(ctx context.Context, cfg Config) (err error) {
	addr := cfg.Proxy
	if addr == "127.0.0.1:0" {
		if addr, err = services.FreeAddr(); err != nil {
			return err
		}
	}
	var nodes []string
	for _, n := range c.Nodes {
		nodes = append(nodes, n.Addr)
	}
	if c.Proxy, err = services.StartNginx(ctx, filepath.Join(cfg.Dir, "nginx"), addr, "/readyz", proxyConfig(addr, nodes)); err != nil {
		return fmt.Errorf("start nginx: %w", err)
	}
	cfg.Tell("Proxy       http://%s", addr)
	return nil
}

// Close ends everything in order: who sends clients first, who keeps messages
// last.
func (c *Cluster) Close() {
	if c.Proxy != nil {
		c.Proxy.Close()
	}
	var ending sync.WaitGroup
	for _, n := range c.Nodes {
		if n != nil {
			ending.Go(n.Close)
		}
	}
	ending.Wait()
	if c.Redis != nil {
		c.Redis.Close()
	}
	if c.Postgres != nil {
		c.Postgres.Close()
	}
}
