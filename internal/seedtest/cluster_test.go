package seedtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"tertulia/internal/oncluster"
	"tertulia/internal/services/servicetest"
)

// nodesOfCluster is how many nodes a server is that is a cluster.
const nodesOfCluster = 3

// clusters has the addresses of the nodes by the address that stands for any
// of them.
var (
	clusters sync.Map // string to *oncluster.Turn
	named    atomic.Int64
	starting sync.Mutex // held while a cluster starts
)

// node returns an address to connect to: the next node's for one that stands
// for any of a cluster, else what it is given.
func node(addr string) string {
	if turn, ok := clusters.Load(addr); ok {
		return turn.(*oncluster.Turn).Next()
	}
	return addr
}

// everyNode returns the addresses of all nodes.
func everyNode(addr string) []string {
	if turn, ok := clusters.Load(addr); ok {
		return turn.(*oncluster.Turn).Addrs
	}
	return []string{addr}
}

// knowing is node for who is about to enter a room: the node knows who is
// there already.
func knowing(t *testing.T, addr, room string) string {
	t.Helper()
	all := everyNode(addr)
	addr = node(addr)
	if oncluster.Now() {
		oncluster.Known(t, addr, all, room)
	}
	return addr
}

// startCluster starts nodes at once, as a deployment may, on a database and a
// prefix in Redis of their own.
func startCluster(t *testing.T, args ...string) (*server, error) {
	env := []string{
		"TERTULIA_DATABASE_URL=" + servicetest.Database(t),
		"TERTULIA_REDIS_URLS=redis://" + servicetest.Redis(t).Addr,
		"TERTULIA_REDIS_PREFIX=" + servicetest.Prefix(),
	}
	s := &server{addr: fmt.Sprintf("cluster-%d.invalid:8000", named.Add(1))}
	turn := new(oncluster.Turn)
	for range nodesOfCluster {
		addr := freeAddr()
		turn.Addrs = append(turn.Addrs, addr)
		s.nodes = append(s.nodes, &process{
			addr: addr, line: append([]string{"serve", "--listen", addr}, args...),
			dir: scratch, env: env, log: new(logBuffer),
		})
	}
	clusters.Store(s.addr, turn)
	starting.Lock() // all at once would make each other late
	defer starting.Unlock()
	errs := make([]error, len(s.nodes))
	var nodes sync.WaitGroup
	for i, p := range s.nodes {
		nodes.Go(func() { errs[i] = p.start() })
	}
	nodes.Wait()
	err := errors.Join(errs...)
	if err != nil {
		s.kill()
	}
	return s, err
}

// The tests hold in a cluster too, with each client on another node (S-121).
func TestOnCluster(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	oncluster.Run(t, oncluster.Excuses{
		"it holds documents against each other, and starts no server": {
			"TestEveryStatementIsTested", "TestErrorCodes", "TestCloseCodes", "TestLimits", "TestLimitsOfV1", "TestSectionsCited",
		},
		"whom a node lets in by origin and host it decides alone, from its configuration": {"TestOrigins"},
		"the document names one address; through one address a cluster is tried by package clustertest, in whose place nginx stands": {
			"TestAsDocumented",
		},
		"a full disk is that of the embedded store; what PostgreSQL cannot do is tried by package store/postgres": {"TestFullDisk"},
		"the limit on connections is each node's own":                                                             {"TestManyConnections"},
		"what a client sends that is wrong ends with its connection, and no other node hears of it; the memory that it must not take is one process's": {
			"TestBadInput",
		},
		"who takes nothing is held up and sent away by its own node alone, and 60 MB through three nodes would be most of the time of all": {
			"TestStalledReader",
		},
	}, binaryVariable+"="+path)
}
