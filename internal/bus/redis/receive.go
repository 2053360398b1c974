package redis

import (
	"context"
	"sync"
	"time"

	"tertulia/internal/bus"
	"tertulia/internal/packed"
)

// inboxBytes bounds what was received in a group and not yet handed on. Beyond
// it messages are thrown away, as Redis would do with its own 32 MiB.
const inboxBytes = 8 << 20

// maxPeers bounds the publishers that are followed in a group. The messages of
// others are taken, without their numbers.
const maxPeers = 1024

// inbox is what was received. Nothing is done with it but to keep it: while it
// is added to, nothing else comes over the connection.
type inbox struct {
	wake chan struct{} // one slot

	mu    sync.Mutex
	list  []string
	bytes int
	full  bool // something was thrown away
}

// add reports whether there was room for a message.
func (i *inbox) add(message string) bool {
	i.mu.Lock()
	fits := i.bytes+len(message) <= inboxBytes
	if fits {
		i.list = append(i.list, message)
		i.bytes += len(message)
	} else {
		i.full = true
	}
	i.mu.Unlock()
	wake(i.wake)
	return fits
}

func (i *inbox) take(reuse []string) (list []string, full bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	list, full = i.list, i.full
	i.list, i.bytes, i.full = reuse[:0], 0, false
	return list, full
}

// receive keeps a message for work, unless it is the own node's: that has been
// handed on when it was published.
func (g *group) receive(message string) {
	h, _, ok := parseHeader(message)
	switch {
	case !ok || len(message) > maxMessageBytes+1<<10:
		g.forged()
	case h.from == g.bus.id && h.typ != typeHeartbeat:
	case !g.in.add(message):
		g.bus.counts.Overflowed.Inc()
	}
}

// work hands on what was received until ctx ends.
func (g *group) work(ctx context.Context) {
	var list []string
	for {
		select {
		case <-g.in.wake:
		case <-ctx.Done():
			return
		}
		var full bool
		if list, full = g.in.take(list); full {
			g.bus.lose(g.mask)
		}
		for _, message := range list {
			g.take(message)
		}
		clear(list)
	}
}

// lose has the subscribers of some shards told soon of a loss: together with
// what else is lost until then.
func (b *Bus) lose(mask uint32) { b.lost.Or(mask) }

// forged counts a message without a good seal. It may come from a node whose
// key is another, so it is as good as a poke.
func (g *group) forged() {
	g.bus.counts.Forged.Inc()
	g.bus.strange.Or(g.mask)
}

// unknown counts a message of another version, which is as good as a poke.
func (g *group) unknown() {
	g.bus.counts.Unknown.Inc()
	g.bus.strange.Or(g.mask)
}

// take takes one message. The header was looked at by inbox.add.
func (g *group) take(message string) {
	data, ok := g.bus.key.Open(message)
	if !ok {
		g.forged()
		return
	}
	h := header{version: data[0], typ: data[1]}
	copy(h.from[:], data[2:headerBytes])
	rest := data[headerBytes:]
	switch {
	case h.version != version:
		g.unknown()
	case h.typ == typeHeartbeat && h.from == g.bus.id:
		g.mu.Lock()
		if g.subscribed {
			g.heard = time.Now()
		}
		g.mu.Unlock()
	case h.typ == typeHeartbeat || h.typ == typeGoodbye:
		g.takeHeartbeat(h, rest)
	case h.typ == typeEvents || h.typ == typePoke:
		g.takeAbout(h, rest)
	default:
		g.unknown()
	}
}

// takeAbout takes a message about a topic.
func (g *group) takeAbout(h header, text string) {
	number, topic, events, ok := parseAbout(text)
	if !ok {
		g.unknown()
		return
	}
	g.bus.counts.Received.Inc()
	if !g.count(h.from, shardOf(topic), number) || !g.bus.local.Subscribed(topic) {
		return
	}
	if events == "" { // a poke
		g.bus.local.Lost(topic)
		return
	}
	g.deliver(topic, events)
}

func (g *group) deliver(topic bus.Topic, text string) {
	events, err := packed.Parse(text)
	if err != nil {
		g.bus.counts.Unknown.Inc()
		g.bus.local.Lost(topic)
		return
	}
	g.bus.local.Publish(topic, events)
}
