package gateway

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/oncluster"
	"tertulia/internal/presence"
	"tertulia/internal/presence/circle"
	"tertulia/internal/store"
)

// cluster is the other nodes beside the first, in one bubble with it: on the
// same store, on buses that carry what each publishes to the others, with
// trackers that hear each other. The real ones between processes are not for
// a bubble, for time would stand still there; they keep the same contracts.
type cluster struct {
	others []*node
	here   *circle.Circle
}

// newCluster makes three nodes in a bubble, and returns the first, whose dial
// goes round all of them.
func newCluster(t testing.TB, st store.Store, l net.Listener, change []func(*Config)) *node {
	oncluster.Asked(t)
	var nodes []*node
	var trackers []*presence.Tracker
	for _, b := range bustest.Cluster(func() bus.Bus { return local.New() }, 3, 1, bustest.Faults{}) {
		n := serve(t, st, b, bustest.Local(b), l, change)
		nodes, trackers = append(nodes, n), append(trackers, n.cfg.Services.Presence)
		l = listenInMemory()
	}
	first := nodes[0]
	first.nodes = cluster{others: nodes[1:], here: circle.Join(trackers...)}
	var dials []func() (net.Conn, error)
	for _, n := range nodes {
		dials = append(dials, n.dial)
	}
	var came atomic.Int64
	first.dial = func() (net.Conn, error) { return dials[int(came.Add(1)-1)%len(dials)]() }
	return first
}

// settle returns when all nodes have heard of what has been done. Without a
// cluster there is nothing to wait for. It is for a bubble's first goroutine.
func (c *cluster) settle() {
	if c.others != nil {
		synctest.Wait()
	}
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

// What a client of either profile sees on a connection, a stream and polls
// beside one server it sees among several nodes, with each of its requests at
// another one.
func TestOnCluster(t *testing.T) {
	oncluster.Run(t, oncluster.Excuses{
		"it is about the writing end of one connection": {
			"TestTransportOverTCP", "TestTransportOverTLS", "TestTransportOverHTTP1", "TestTransportOverHTTP2", "TestTLS", "TestSlowReaderIsSentAway", "TestSlowReaderResumes", "TestSteadyLinkIsNotSlow",
			"TestPeerThatReadsNoRepliesIsNotReadFrom", "TestGoroutinesOfIdleConnections", "TestSteadyReaderOfAFullSocketIsNotSlow", "TestSlowStream",
		},
		"it is about the reading end of one connection": {
			"TestCloseIsAnsweredWithItsCode", "TestProtocolErrors", "TestProtocolErrorOfHalfClosedPeer", "TestUnfinishedFrame", "TestRefusedClientIsNotKept",
			"TestSilentPeerIsCutOff", "TestAnsweringPeerStays", "TestSpeakingPeerIsNotPinged", "TestIdleReaderHandsOver", "TestPanicEndsOneConnection", "TestPanicEndsOneStream",
			"TestTooManyErrors", "TestStreamExpires",
		},
		"a node drains by itself; package crashtest restarts them one after the other": {
			"TestDrainSendsEverybodyAway", "TestComeBackWithin", "TestDrainOfSilentClients", "TestDrainAnswersFirst", "TestCloseWaitsForNobody", "TestDrainingRefusesHandshakes", "TestReconnectBeforeDrain",
			"TestPollDrains", "TestStreamBeatsAndDrains",
		},
		"a node lets in or refuses by its configuration and what is asked, and asks nobody": {
			"TestHandshakeRefusals", "TestHello", "TestOrigins", "TestForwardedInOpenMode", "TestProfiles", "TestLateClientsThatAreRefused", "TestPollRefuses", "TestStreamRefuses", "TestStreamHead",
			"TestEveryCodeIsProduced",
		},
		"the limits are each node's own": {
			"TestMaxConnections", "TestHandshakesAreLimited", "TestConnectionsAreLimited", "TestCommandsAreLimited", "TestStreamTakesASeat",
		},
		"a node counts what happens at it, and whoever collects adds up": {"TestCounts", "TestPollsAreCounted", "TestTransports", "TestConnectionsAreTimedByTheMonotonicClock"},
		"the Go client's own tests are run on a cluster":                 {"TestClientKeepsItsOrderOverAStoreThatFails"},
	})
}
