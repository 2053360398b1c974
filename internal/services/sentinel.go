package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// MasterSet is the name by which the Sentinels of this package know the master
// that they watch over.
const MasterSet = "tertulia"

// Watched is a Redis with replicas, and the Sentinels that make one of these
// the master when it dies.
type Watched struct {
	// Servers are the master, as it was at the start, and its replica.
	Servers []*Redis
	// Sentinels decide by one vote, so that all but one may die.
	Sentinels []*Redis
}

// StartWatched starts a master, a replica and two Sentinels, which take the
// master for dead after half a second, and waits until a failover would
// succeed. The servers need no password; settings are theirs.
func StartWatched(ctx context.Context, dir string, settings ...string) (*Watched, error) {
	return startWatched(ctx, dir, settings, nil)
}

// StartGuarded is StartWatched with servers that need one password, and
// Sentinels that need another; settings are lines of sentinel.conf.
func StartGuarded(ctx context.Context, dir, password, sentinelPassword string, settings ...string) (*Watched, error) {
	return startWatched(ctx, dir, []string{"requirepass " + password, "masterauth " + password},
		append([]string{"requirepass " + sentinelPassword, "sentinel auth-pass " + MasterSet + " " + password}, settings...))
}

func startWatched(ctx context.Context, dir string, settings, sentinel []string) (*Watched, error) {
	w := new(Watched)
	stop := func(err error) (*Watched, error) {
		w.Close()
		return nil, err
	}
	start := func(list *[]*Redis, r *Redis, err error) error {
		if err == nil {
			*list = append(*list, r)
		}
		return err
	}
	settings = append([]string{"repl-diskless-sync-delay 0"}, settings...)
	r, err := StartRedis(ctx, filepath.Join(dir, "master"), settings...)
	if err := start(&w.Servers, r, err); err != nil {
		return stop(err)
	}
	host, port, _ := net.SplitHostPort(r.Addr)
	r, err = StartRedis(ctx, filepath.Join(dir, "replica"), append(settings, "replicaof "+host+" "+port)...)
	if err := start(&w.Servers, r, err); err != nil {
		return stop(err)
	}
	if err := r.await(ctx, "INFO replication", "master_link_status:up"); err != nil {
		return stop(err)
	}
	for i := range 2 {
		r, err := startSentinel(ctx, filepath.Join(dir, fmt.Sprint("sentinel", i)), host+" "+port, sentinel)
		if err := start(&w.Sentinels, r, err); err != nil {
			return stop(err)
		}
	}
	for _, s := range w.Sentinels {
		if err := s.await(ctx, "INFO sentinel", "status=ok", "slaves=1,sentinels=2"); err != nil {
			return stop(err)
		}
	}
	return w, nil
}

func startSentinel(ctx context.Context, dir, master string, settings []string) (*Redis, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	return startRedis(ctx, dir, addr, append([]string{
		"port " + port,
		"sentinel monitor " + MasterSet + " " + master + " 1",
		"sentinel down-after-milliseconds " + MasterSet + " 500",
		"sentinel failover-timeout " + MasterSet + " 3000",
	}, settings...), "--sentinel")
}

// Close ends all of them.
func (w *Watched) Close() {
	for _, r := range append(w.Sentinels, w.Servers...) {
		r.Close()
	}
}

// await waits until the answer to a command has these texts in it.
func (r *Redis) await(ctx context.Context, command string, texts ...string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		answer, err := r.Command(ctx, command)
		missing := ""
		for _, text := range texts {
			if !strings.Contains(answer, text) {
				missing = text
			}
		}
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s of %s has no %q: %s", command, r.Addr, missing, answer), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
