package cluster

import (
	"context"
	"sync"
	"time"

	"tertulia/internal/services"
)

// againAfter is how long a node rests that could not be started.
const againAfter = time.Second

// Keep starts nodes again whenever they have ended, and says so by tell, until
// ctx ends.
func (c *Cluster) Keep(ctx context.Context, tell func(format string, args ...any)) {
	var keeping sync.WaitGroup
	for i, node := range c.Nodes {
		keeping.Go(func() { keep(ctx, i+1, node, tell) })
	}
	keeping.Wait()
}

func keep(ctx context.Context, number int, node *services.Program, tell func(format string, args ...any)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-node.Done():
		}
		tell("Node %d      has ended, and is started again", number)
		err := node.Restart(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			tell("Node %d      http://%s (process %d)", number, node.Addr, node.PID())
			continue
		}
		tell("Node %d      %v", number, err)
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
}
