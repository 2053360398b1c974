package redis

import (
	"fmt"

	"github.com/redis/rueidis"

	"tertulia/internal/bus"
)

// shards is how many channels there are. It is part of what nodes agree on. A
// loss makes a node look at the rooms of one shard, a thirty-second of them; in
// a Redis Cluster each shard costs a heartbeat of each node, twice a second, so
// ten nodes send 640 a second, and up to 32 masters share the work.
const shards = 32

// clusterSlots is the number of hash slots of every Redis Cluster.
const clusterSlots = 16384

// shardOf returns a topic's shard: FNV-1a, which is the same on every node.
func shardOf(topic bus.Topic) int {
	h := uint32(2166136261)
	for i := range len(topic) {
		h = (h ^ uint32(topic[i])) * 16777619
	}
	return int(h>>16^h) % shards
}

// channels returns the names of the shards' channels. The part in braces alone
// decides about the slot in a Redis Cluster; it is chosen such that shard i is
// in the i-th of 32 equal parts of the slots, which are what masters have.
func channels(client rueidis.Client, prefix string) (names [shards]string) {
	for i := range names {
		for n := 0; ; n++ {
			names[i] = fmt.Sprintf("%sbus:{%d.%d}", prefix, i, n)
			if slotOf(client, names[i])/(clusterSlots/shards) == i {
				break
			}
		}
	}
	return names
}

// slotOf returns a channel's slot, with a bit more for a single server.
func slotOf(client rueidis.Client, channel string) int {
	cmd := client.B().Spublish().Channel(channel).Message("").Build()
	return int(cmd.Slot()) % clusterSlots
}
