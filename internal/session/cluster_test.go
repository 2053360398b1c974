package session

import (
	"testing"
	"testing/synctest"

	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/oncluster"
	"tertulia/internal/presence"
	"tertulia/internal/presence/circle"
	"tertulia/internal/room"
)

// cluster is the other nodes beside the first, in one bubble with it: on the
// same store, on buses that carry what each publishes to the others, with
// trackers that hear each other. The real ones between processes are not for
// a bubble, for time would stand still there; they keep the same contracts.
type cluster struct {
	others []*node
	here   *circle.Circle
	came   int // clients so far
}

// newCluster makes three nodes, and returns the first.
func newCluster(t *testing.T, st *shelf, change []func(*room.Config)) *node {
	oncluster.Asked(t)
	var nodes []*node
	var trackers []*presence.Tracker
	for _, b := range bustest.Cluster(func() bus.Bus { return local.New() }, 3, 1, bustest.Faults{}) {
		n := newNode(t, st, b, bustest.Local(b), change)
		nodes, trackers = append(nodes, n), append(trackers, n.Presence)
	}
	first := nodes[0]
	first.nodes = cluster{others: nodes[1:], here: circle.Join(trackers...)}
	return first
}

// next returns the node that the next client comes to. It knows by then who is
// at the others, as oncluster.Known says of those with sockets.
func (c *cluster) next(first *node) *Services {
	if c.others == nil {
		return &first.Services
	}
	synctest.Wait()
	i := c.came % (1 + len(c.others))
	c.came++
	if i == 0 {
		return &first.Services
	}
	return &c.others[i-1].Services
}

func (c *cluster) close() {
	if c.others == nil {
		return
	}
	c.here.Close()
	for _, n := range c.others {
		n.stop()
	}
}

// What a session promises beside one server it does among several nodes, with
// each client at another one.
func TestOnCluster(t *testing.T) {
	oncluster.Run(t, oncluster.Excuses{
		"it has no node": {
			"TestByeOfEveryReason", "TestCredentialsAreLookedAtInBatches", "TestDoubtsAreSettledInBatches", "TestCredentialsOverASlowStore",
		},
		"its one client is at one node, and nobody is at another": {
			"TestInboxIsAFeature", "TestLongInbox", "TestInboxWithoutStore", "TestRepliesKeepTheOrderOfCommands", "TestReadingStopsAtSixtyFourInFlight",
			"TestErrorsThatAreForgiven", "TestServerFaultsDoNotCount", "TestOrderOverAStoreThatFails", "TestStoreThatFails", "TestFarewell",
			"TestV1Hello", "TestV1Limit", "TestV1StoreFails",
		},
		"it breaks off one node between two steps of itself, and another hears of who is there soon, not in between": {"TestJoiningWhileConnecting"},
		"what a node looks at again is its own sessions; revocation at another node is tried by package authtest":    {"TestRevocation"},
		"the limit is each connection's own, and 1,000 rooms at three nodes would be most of the time of all":        {"TestV1ManyRooms"},
	})
}
