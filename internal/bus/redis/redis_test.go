package redis

import (
	"testing"

	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/redis"
	"tertulia/internal/services/servicetest"
)

var secret = []byte("of all nodes")

// open connects a node to a Redis.
func open(t testing.TB, cfg redis.Config) *Bus {
	t.Helper()
	c, err := redis.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := New(Config{Redis: c, Secret: secret})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	return b
}

// nodes connects n nodes of one deployment.
func nodes(t testing.TB, n int, cfg redis.Config) []*Bus {
	t.Helper()
	cfg.Prefix = servicetest.Prefix()
	var all []*Bus
	for range n {
		all = append(all, open(t, cfg))
	}
	return all
}

func shared(t testing.TB) redis.Config {
	return redis.Config{URLs: []string{"redis://" + servicetest.Redis(t).Addr}}
}

func conform(t *testing.T, cfg func(t testing.TB) redis.Config) {
	t.Helper()
	bustest.Run(t, func(t *testing.T) bus.Bus { return nodes(t, 1, cfg(t))[0] })
	bustest.RunNodes(t, func(t *testing.T, n int) (all []bus.Bus) {
		for _, b := range nodes(t, n, cfg(t)) {
			all = append(all, b)
		}
		return all
	})
}

func TestConformance(t *testing.T) { conform(t, shared) }
