package inbox

import (
	"testing"

	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/oncluster"
)

// busesOf returns the bus of a node or, in a cluster, those of three, which
// carry what each publishes to the others. The real one between processes is
// not for a bubble, for time would stand still there; it keeps the same
// contract.
func busesOf(t *testing.T) []bus.Bus {
	open := func() bus.Bus { return local.New() }
	if !oncluster.Now() {
		return []bus.Bus{open()}
	}
	oncluster.Asked(t)
	return bustest.Cluster(open, 3, 1, bustest.Faults{})
}

// What a device is told beside one server it is told at any of several nodes,
// whichever of them others post, mark and manage rooms at.
func TestOnCluster(t *testing.T) {
	oncluster.Run(t, oncluster.Excuses{
		"it looks into one node": {"TestListeningEndsWithTheLastReader"},
		"its one device is at one node, and nobody does anything afterwards": {"TestManyRooms"},
		"it has two nodes of its own":                                        {"TestInboxBesideADeadBus"},
	})
}
