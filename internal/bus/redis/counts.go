package redis

import "tertulia/internal/count"

// Counts are what the bus has done since it began. Messages are those between
// nodes, each with one or more events of one topic, and heartbeats.
type Counts struct {
	// Published are the messages that Redis took, Failed those that it did not
	// or of which nobody knows, Dropped the calls of Publish that never became
	// one because too much was waiting or nothing was connected.
	Published, Failed, Dropped count.Counter
	// Pokes are the messages that say that there is something, and not what.
	Pokes count.Counter
	// Received are other nodes' messages about a topic.
	Received count.Counter
	// Overflowed are the messages thrown away because handlers were too slow.
	Overflowed count.Counter
	// Forged are the messages without a good seal, Unknown those that another
	// version must have made.
	Forged, Unknown count.Counter
	// Gaps are the losses found by numbers; Told is how often subscribers were
	// told of losses, of any kind.
	Gaps, Told count.Counter
	// Subscribed is how often it was subscribed, the first time included: one
	// for a single server, one for each shard of a Redis Cluster.
	Subscribed count.Counter
}

// Counts returns the bus's counts, which go on rising.
func (b *Bus) Counts() *Counts { return &b.counts }
