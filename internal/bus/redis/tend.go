package redis

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"tertulia/internal/bus"
)

// tendEvery is how often losses are told: those of a tenth of a second as one.
const tendEvery = 100 * time.Millisecond

// tend tells subscribers of losses until ctx ends.
func (b *Bus) tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	var told time.Time // without any group
	var strange time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		mask := b.lost.Swap(0)
		if b.strange.Load() != 0 && now.Sub(strange) >= repeatEvery {
			b.sayStrange(now.Sub(strange))
			mask |= b.strange.Swap(0)
			strange = now
		}
		if groups := b.groups.Load(); groups != nil {
			mask |= b.check(*groups, now)
		} else if now.Sub(told) >= repeatEvery {
			told = now
			mask = 1<<shards - 1
		}
		if mask != 0 {
			b.counts.Told.Inc()
			b.local.LostAll(func(topic bus.Topic) bool { return mask>>shardOf(topic)&1 != 0 })
		}
	}
}

// newsAfter is after how long of quiet the log is told again of messages that
// cannot be read.
const newsAfter = time.Minute

func (b *Bus) sayStrange(quiet time.Duration) {
	if quiet > newsAfter {
		b.log.Warn("messages of other nodes cannot be read; rooms are looked at in the store once a second while they come",
			"without_our_seal", b.counts.Forged.Value(), "of_another_version", b.counts.Unknown.Value())
	}
}

// check looks at all groups, and tells the log when the node begins or ends to
// hear everything.
func (b *Bus) check(groups []*group, now time.Time) (mask uint32) {
	deaf := 0
	for _, g := range groups {
		mask |= g.check(now)
		if g.isDeaf() {
			deaf += bits.OnesCount32(g.mask)
		}
	}
	switch before := int(b.deaf.Swap(int32(deaf))); {
	case before == 0 && deaf > 0:
		b.log.Warn("other nodes are not heard; rooms are looked at in the store once a second", "shards", deaf, "of", shards)
	case before > 0 && deaf == 0:
		b.log.Info("other nodes are heard")
	}
	return mask
}

// Up returns nil if the node hears all that other nodes publish, else what it
// does not hear, in words for an operator.
func (b *Bus) Up() error {
	if deaf := b.deaf.Load(); deaf > 0 {
		return fmt.Errorf("redis bus: %d of %d shards are not heard", deaf, shards)
	}
	return nil
}
