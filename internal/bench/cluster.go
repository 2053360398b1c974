//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tertulia/internal/services"
)

// Setup is how many nodes there are, and what they stand on.
type Setup struct {
	Nodes int
	Redis bool // beside PostgreSQL
}

func (s Setup) String() string {
	nodes := "1 node"
	if s.Nodes != 1 {
		nodes = fmt.Sprintf("%d nodes", s.Nodes)
	}
	if s.Redis {
		return nodes + ", PostgreSQL and Redis"
	}
	return nodes + ", PostgreSQL"
}

// Stage is a setup with the scenarios that are measured on it, each on
// servers of its own.
type Stage struct {
	Name string
	Setup
	Scenarios []Scenario
}

// Clustered are the stages that docs/performance.md has figures of. What Redis
// costs is the difference between the first two.
func Clustered() []Stage {
	times := Times{Warm: 2 * time.Second, Measure: 5 * time.Second}
	store := []Scenario{
		Ack{Senders: 100, Inflight: 16, Size: 64, Times: times},
		Hot{Senders: 100, Inflight: 16, Size: 64, Times: times},
	}
	return []Stage{
		{"postgres", Setup{Nodes: 1}, store},
		{"redis", Setup{Nodes: 1, Redis: true}, store},
		{"nodes", Setup{Nodes: 2, Redis: true}, []Scenario{
			Rooms{Rooms: 500, Members: 2, Rate: 2000, Size: 64, Times: times},
			Reconnect{Clients: 5000, Rooms: 500, History: 50, Size: 64},
		}},
		{"restart", Setup{Nodes: 3, Redis: true}, []Scenario{
			Roll{Clients: 4500, Rooms: 450, Rate: 450, Size: 64, Times: Times{Warm: 10 * time.Second, Measure: 20 * time.Second}, Watch: 15 * time.Second},
		}},
	}
}

// On returns the report as one that was measured on a setup.
func (r Report) On(s Setup) Report {
	for i := range r {
		f := &r[i]
		f.Load += "; " + s.String()
		f.Target = nil
		if g, ok := goals[[3]string{f.Scenario, f.Load, f.Name}]; ok {
			f.Target = &g
		}
	}
	return r
}

// Cluster is private servers on a private PostgreSQL, with fsync on, and Redis.
type Cluster struct {
	Target

	dir      string
	postgres *services.Postgres
	redis    *services.Redis // nil without
}

// SpawnCluster starts a setup of the server that program holds, and returns
// when all nodes are ready. The caller stops it. It does not outlive the
// process that called SpawnCluster.
func SpawnCluster(ctx context.Context, program string, s Setup) (*Cluster, error) {
	dir, err := os.MkdirTemp(diskFolder(), "tertulia-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	c := &Cluster{dir: dir}
	if err := c.launch(ctx, program, s); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) launch(ctx context.Context, program string, s Setup) error {
	if err := os.Chmod(c.dir, 0o711); err != nil { // PostgreSQL runs as another user
		return err
	}
	var err error
	if c.postgres, err = services.StartPostgres(ctx, filepath.Join(c.dir, "postgres")); err != nil {
		return err
	}
	url, err := c.postgres.CreateDatabase(ctx, "tertulia")
	if err != nil {
		return err
	}
	c.Behind = append(c.Behind, Service{"PostgreSQL", c.postgres.PID()})
	variables := []string{"TERTULIA_DATABASE_URL=" + url}
	if s.Redis {
		if c.redis, err = services.StartRedis(ctx, filepath.Join(c.dir, "redis")); err != nil {
			return err
		}
		c.Behind = append(c.Behind, Service{"Redis", c.redis.PID()})
		variables = append(variables, "TERTULIA_REDIS_URLS=redis://"+c.redis.Addr)
	}
	for range s.Nodes {
		node, err := Spawn(ctx, program, variables...)
		if err != nil {
			return err
		}
		c.spawned = append(c.spawned, node)
		if len(c.spawned) == 1 {
			c.Addr, c.PID = node.Addr, node.PID
		} else {
			c.Others = append(c.Others, Node{node.Addr, node.PID})
		}
	}
	return nil
}

// Stop ends everything and removes its folders.
func (c *Cluster) Stop() error {
	var errs []error
	for _, n := range c.spawned {
		errs = append(errs, n.Stop())
	}
	if c.redis != nil {
		c.redis.Close()
	}
	if c.postgres != nil {
		c.postgres.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}
