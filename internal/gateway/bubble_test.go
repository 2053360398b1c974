package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"tertulia/internal/oncluster"
	"tertulia/internal/websocket"
)

// inMemory runs f with a node and its clients in a bubble, where time passes
// only while nothing else can happen.
func inMemory(t *testing.T, f func(t *testing.T, n *node), change ...func(*Config)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, listenInMemory(), change...)
		defer n.close()
		f(t, n)
		synctest.Wait()
	})
}

// onNodes runs f with a node on loopback or, in a cluster, with its nodes in a
// bubble: there it is known when all have heard what one has done.
func onNodes(t *testing.T, f func(t *testing.T, n *node), change ...func(*Config)) {
	t.Helper()
	if oncluster.Now() {
		inMemory(t, f, change...)
		return
	}
	f(t, newTCPNode(t, change...))
}

// wantPing takes the next message, a ping, and wants it to come after wait.
func (c *client) wantPing(wait time.Duration) {
	c.t.Helper()
	from := time.Now()
	c.in.SetIdle(2 * wait)
	defer c.in.SetIdle(patience)
	m, err := c.in.Next()
	if took := time.Since(from); err != nil || m.Op != websocket.Ping || took != wait {
		c.t.Fatalf("got %s, %v after %v, want a ping after %v", describe(m), err, took, wait)
	}
}
