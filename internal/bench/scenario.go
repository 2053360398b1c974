//go:build linux

package bench

import (
	"context"
	"time"
)

// Scenario is one kind of load.
type Scenario interface {
	// Run puts the load on target and returns what it came to. It ends by
	// itself, at the latest when ctx does, and leaves no connection. Any
	// message that is lost, doubled, out of order or refused, and any
	// connection that ends, is an error.
	Run(ctx context.Context, target Target) (Report, error)
}

// Published are the scenarios that docs/performance.md has figures of, as
// they are measured there. Each is meant for a server of its own.
func Published() []Scenario {
	times := Times{Warm: time.Second, Measure: 3 * time.Second}
	return []Scenario{
		Idle{Connections: 10_000, RoomsOf: 10, Settle: 10 * time.Second},
		Fanout{Members: 1000, Inflight: 32, Size: 64, Rate: 20, Times: times},
		Ack{Senders: 100, Inflight: 16, Size: 64, Rate: 5000, Times: times},
		Rooms{Rooms: 500, Members: 10, Rate: 2000, Size: 64, Times: times},
		Reconnect{Clients: 5000, Rooms: 500, History: 50, Size: 64},
	}
}
