package seedtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tertulia/internal/cluster"
)

// clusterVariable tells a test process that the server of most tests is a
// cluster, over whose nodes clients are spread.
const clusterVariable = "SEEDTEST_CLUSTER"

var onCluster = os.Getenv(clusterVariable) != ""

// everywhere stands for the address of some node, each time another.
const everywhere = "everywhere.invalid:8000"

var (
	nodes = sync.OnceValues(func() (*cluster.Cluster, error) {
		path, err := binary()
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(scratch, 0o711); err != nil { // PostgreSQL's user must be let in
			return nil, err
		}
		return cluster.Start(context.Background(), cluster.Config{Binary: path, Dir: scratch, Nodes: 3})
	})
	nodesUsed atomic.Bool
	turn      atomic.Int64
)

// node returns an address to connect to: the next node's for everywhere, else
// what it is given.
func node(addr string) string {
	if addr != everywhere {
		return addr
	}
	c, err := nodes()
	if err != nil {
		panic(err) // anyServer has looked
	}
	return c.Nodes[int(turn.Add(1))%len(c.Nodes)].Addr
}

func startNodes(t *testing.T) {
	t.Helper()
	nodesUsed.Store(true)
	if _, err := nodes(); err != nil {
		t.Fatalf("start the cluster: %v", err)
	}
}

// stopNodes ends the cluster, and says if a node had a data race.
func stopNodes() error {
	if !nodesUsed.Load() {
		return nil
	}
	c, err := nodes()
	if err != nil {
		return nil // said already
	}
	c.Close()
	for i, n := range c.Nodes {
		if log := n.Log(); strings.Contains(log, "DATA RACE") {
			return fmt.Errorf("node %d has a data race:\n%s", i+1, log)
		}
	}
	return nil
}

// attendance counts the clients that a test process has in each room.
var attendance = struct {
	sync.Mutex
	rooms map[string]int
}{rooms: make(map[string]int)}

// settleTime is how long the nodes may take to agree. Clients that a test
// process does not count make them never agree with it.
const settleTime = 500 * time.Millisecond

// attends notes that a client has come (1) or gone (-1), and waits until all
// nodes know. Tests are written for one server, where what one client does is
// known when the next one does something.
func (c *client) attends(room string, change int) {
	if !onCluster || room == "" {
		return
	}
	attendance.Lock()
	attendance.rooms[room] += change
	want := attendance.rooms[room]
	attendance.Unlock()
	c.room = room
	if change < 0 {
		c.room = ""
	}
	all, err := nodes()
	if err != nil {
		return
	}
	for end := time.Now().Add(settleTime); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		agreed := true
		for _, n := range all.Nodes {
			agreed = agreed && getStats(c.t, n.Addr).Rooms[room].Connections == want
		}
		if agreed {
			return
		}
	}
}

// The tests of the prototype's protocol that ask a server of nobody's own hold
// in a cluster too, with each client on another node (S-121).
func TestOnCluster(t *testing.T) {
	if onCluster {
		return // this is the process that is started below
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const tests = "^(TestConnecting|TestRFC6455|TestEvents|TestPromises|TestFlows|TestFrames|TestCommands|TestTerminalClient)$"
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run="+tests, "-test.v", "-test.timeout=290s")
	cmd.Env = append(os.Environ(), clusterVariable+"=1", binaryVariable+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); failed || testing.Verbose() {
		t.Logf("%s", out)
	}
	if err != nil {
		t.Fatalf("on a cluster: %v", err)
	}
	if passed := strings.Count(string(out), "--- PASS: "); passed < 100 {
		t.Errorf("%d tests passed on a cluster, want those of this package", passed)
	}
}
