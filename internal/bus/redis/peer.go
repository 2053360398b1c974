package redis

import (
	"time"

	"tertulia/internal/packed"
)

// peer is another node, as it is heard in one group. Guarded by the group's
// mu.
type peer struct {
	numbers [shards]uint64 // the highest that came, or that a heartbeat told
	heard   time.Time
	silent  bool
	told    time.Time // when subscribers were told last that it is silent
}

// hear returns the peer, which has just been heard; nil for one more than are
// followed. The caller holds g.mu.
func (g *group) hear(id publisher) *peer {
	p := g.peers[id]
	if p == nil {
		if len(g.peers) >= maxPeers {
			return nil
		}
		p = new(peer)
		g.peers[id] = p
	}
	p.heard = time.Now()
	if p.silent {
		p.silent = false
		g.bus.lose(g.mask)
	}
	return p
}

// count takes the number of a message and reports whether the message is new.
// A publisher that is heard for the first time should begin with 1: what it
// sent before was lost, if it was sent since this node has subscribed, and
// otherwise the subscribers look at the store once more than they would have
// to.
func (g *group) count(id publisher, shard int, number uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.hear(id)
	if p == nil {
		return true
	}
	last := p.numbers[shard]
	if number > last+1 {
		g.bus.counts.Gaps.Inc()
		g.bus.lose(1 << shard)
	}
	p.numbers[shard] = max(last, number)
	return number > last
}

// takeHeartbeat compares what a publisher has sent with what has come. Nothing
// can be on its way still: messages and heartbeats of a group go one way.
func (g *group) takeHeartbeat(h header, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.hear(h.from)
	for p != nil && text != "" {
		shard := int(text[0])
		number, rest, ok := packed.Number(text[1:])
		if !ok || shard >= shards {
			g.unknown()
			break
		}
		if number > p.numbers[shard] {
			p.numbers[shard] = number
			g.bus.counts.Gaps.Inc()
			g.bus.lose(1 << shard)
		}
		text = rest
	}
	if h.typ == typeGoodbye {
		delete(g.peers, h.from)
	}
}
