package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"tertulia/chat"
	"tertulia/internal/packed"
	"tertulia/internal/presence"
)

func newSeals(secret string) *seals {
	return &seals{key: packed.NewKey([]byte(secret), "presence"), counts: new(Counts)}
}

// What is sealed is good where it was sealed for, and nowhere else.
func TestSeal(t *testing.T) {
	s := newSeals("ours")
	written := s.seal("n1", "1\x002", "1 ana")
	for _, test := range []struct {
		name, node, place, written string
		ok                         bool
	}{
		{"as it is", "n1", "1\x002", written, true},
		{"at another node", "n2", "1\x002", written, false},
		{"of another user", "n1", "1\x003", written, false},
		{"with the border moved", "n11", "\x002", written, false},
		{"changed", "n1", "1\x002", "2" + written[1:], false},
		{"cut", "n1", "1\x002", written[1:], false},
		{"too short for a seal", "n1", "1\x002", "1 ana", false},
		{"empty", "n1", "1\x002", "", false},
		{"of another deployment", "n1", "1\x002", newSeals("theirs").seal("n1", "1\x002", "1 ana"), false},
	} {
		forged := s.counts.Forged.Value()
		value, ok := s.open(test.node, test.place, test.written)
		if ok != test.ok || ok && value != "1 ana" {
			t.Errorf("%s: open = %q, %v, want %v", test.name, value, ok, test.ok)
		}
		if counted := s.counts.Forged.Value() != forged; counted == test.ok {
			t.Errorf("%s: counted as forged is %v", test.name, counted)
		}
	}
}

// write changes Redis behind the nodes' backs.
func (c *cluster) write(n *node, command ...string) {
	c.t.Helper()
	if err := n.client.Do(c.t.Context(), n.client.B().Arbitrary(command...).Build()).Error(); err != nil {
		c.t.Fatalf("%.20q: %v", command, err)
	}
}

// read returns what a field of a page holds, empty if it is not there.
func (c *cluster) read(n *node, page, field string) string {
	c.t.Helper()
	written, err := n.client.Do(c.t.Context(), n.client.B().Hget().Key(page).Field(field).Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		c.t.Fatal(err)
	}
	return written
}

var alice = presence.Statement{Room: room1, User: chat.User{ID: "alice", Name: "alice"}, Sessions: 1, Here: true}

// Who can write to Redis and is no node makes nobody appear: neither by a word
// of his own, nor by what a node has said in another place.
func TestForgedPages(t *testing.T) {
	c := newCluster(t, 2*time.Second, time.Hour)
	a, b := c.start(), c.start()
	a.join("alice")
	b.want("alice")
	mallory := presence.Statement{Room: room1, Sessions: 1, Here: true}
	mallory.User.ID, mallory.User.Name = "mallory", "mallory"
	page := keysOf(c.prefix, "n1").page
	c.write(a, "HSET", page, fieldOf(&mallory), valueOf(&mallory))
	c.write(a, "HSET", page, fieldOf(&mallory), c.read(a, page, fieldOf(&alice)))
	other := keysOf(c.prefix, "n9") // a node that never was, with all that n1 has
	c.write(a, "COPY", page, other.page)
	c.write(a, "COPY", keysOf(c.prefix, "n1").lease, other.lease)
	c.write(a, "SADD", nodesKey(c.prefix), "n9")
	late := c.start()
	if got := late.here(); got != "alice" {
		t.Errorf("here are %q, want alice alone", got)
	}
	late.want("alice")
	if got := late.ledger.Counts().Forged.Value(); got < 2 {
		t.Errorf("%d forged, want mallory and the lease of n9 to be counted", got)
	}
	if got := late.Stats(presence.Cluster).Connections; got != 1 {
		t.Errorf("%d connections, want one", got)
	}
}

// What is broken of a page is noticed by whose it is, and made good.
func TestBrokenPagesAreWrittenAnew(t *testing.T) {
	const otherNodes = "another list of nodes" // which any node repairs
	for name, command := range map[string]string{
		"lease":                 "SET {lease} here PX 100000",
		"version":               "HSET {page} version 99",
		"mark that it is whole": "HSET {page} whole 1",
		"another kind of key":   "SET {page} x",
		"another kind of lease": "COPY {page} {lease} REPLACE",
		otherNodes:              "SET {nodes} x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2*time.Second, time.Hour)
			a := c.start()
			a.join("alice")
			eventually(t, func() error {
				if c.read(a, keysOf(c.prefix, "n1").page, fieldOf(&alice)) == "" {
					return errors.New("alice is not in the page")
				}
				return nil
			})
			restated := a.ledger.Counts().Restated.Value()
			k := keysOf(c.prefix, "n1")
			c.write(a, strings.Fields(strings.NewReplacer("{page}", k.page, "{lease}", k.lease, "{nodes}", nodesKey(c.prefix)).Replace(command))...)
			eventually(t, func() error {
				if name != otherNodes && a.ledger.Counts().Restated.Value() == restated {
					return fmt.Errorf("the page was not written anew")
				}
				nodes, err := a.client.Do(t.Context(), a.client.B().Smembers().Key(nodesKey(c.prefix)).Build()).AsStrSlice()
				if err == nil && !slices.Contains(nodes, "n1") {
					err = fmt.Errorf("the nodes are %q, want n1 among them", nodes)
				}
				return err
			})
			c.start().want("alice")
		})
	}
}

// Redis answers and takes nothing, as the master that was made a replica does:
// leases run out, and nobody is thought dead for it.
func TestRedisTakesNothing(t *testing.T) {
	c := newCluster(t, 4*time.Second, time.Second)
	c.ownRedis()
	a, b := c.start(), c.start()
	a.join("alice")
	b.join("bob")
	a.want("alice bob")
	b.want("alice bob")
	c.write(a, "REPLICAOF", "127.0.0.1", "1")
	a.wantDegraded(true)
	b.wantDegraded(true)
	if _, err := a.ledger.Up(); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("Up = %v, want what Redis says", err)
	}
	eventually(t, func() error {
		if lease, err := a.client.Do(t.Context(), a.client.B().Get().Key(keysOf(c.prefix, "n2").lease).Build()).ToString(); err == nil {
			return fmt.Errorf("the lease is still %q", lease)
		}
		return nil
	})
	time.Sleep(3 * time.Second) // the grace, half a lease, would be over
	c.write(a, "REPLICAOF", "NO", "ONE")
	a.wantDegraded(false)
	b.wantDegraded(false)
	a.join("carla")
	b.want("alice bob carla")
	for i, n := range []*node{a, b} {
		if got := n.told(); strings.Contains(got, "-") {
			t.Errorf("readers of node %d were told %q, want nobody's leaving", i, got)
		}
	}
	if a.ledger.Counts().Failed.Value() == 0 {
		t.Error("no failure was counted")
	}
}
