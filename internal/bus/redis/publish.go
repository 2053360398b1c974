package redis

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"tertulia/chat"
	"tertulia/internal/bus"
)

const (
	// outboxBytes bounds what waits for Redis in a group: at 20,000 messages a
	// second of 300 bytes, more than a second of them.
	outboxBytes = 8 << 20
	// publishTimeout bounds one batch.
	publishTimeout = time.Second
	// batchMessages bounds one batch too: from 2,000 on rueidis takes another
	// connection, and the order would be lost.
	batchMessages = 500
)

// publication is one call of Publish.
type publication struct {
	shard  int
	topic  bus.Topic
	events []chat.Event
	joined bool // events are of more than one call, in memory of their own
}

// join appends the events of another call.
func (p *publication) join(events []chat.Event) {
	if !p.joined {
		p.joined = true
		p.events = append(make([]chat.Event, 0, 4*len(p.events)), p.events...)
	}
	p.events = append(p.events, events...)
}

// outbox is what waits to be published.
type outbox struct {
	wake chan struct{} // one slot

	mu    sync.Mutex
	list  []publication
	bytes int
}

// add takes a publication unless too much waits.
func (o *outbox) add(p publication) bool {
	size := 0
	for i := range p.events {
		size += eventBytes(&p.events[i])
	}
	o.mu.Lock()
	if o.bytes > 0 && o.bytes+size > outboxBytes {
		o.mu.Unlock()
		return false
	}
	o.list = append(o.list, p)
	o.bytes += size
	o.mu.Unlock()
	wake(o.wake)
	return true
}

// take returns what waits. Publications to one topic follow each other as one;
// reuse is the memory of an earlier list.
func (o *outbox) take(reuse []publication) []publication {
	o.mu.Lock()
	list := o.list
	o.list, o.bytes = reuse[:0], 0
	o.mu.Unlock()
	return list
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish sends what waits, in batches, and heartbeats, until ctx ends; then
// what is left, and a goodbye.
func (g *group) publish(ctx context.Context) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	var list []publication
	for {
		due := byte(0)
		select {
		case <-g.out.wake:
		case <-beat.C:
			due = typeHeartbeat
		case <-ctx.Done():
			due = typeGoodbye
		}
		list = g.out.take(list)
		g.send(merged(list), due)
		clear(list)
		if due == typeGoodbye {
			return
		}
	}
}

// merged joins the publications to one topic, which keep their order, at the
// place of the first.
func merged(list []publication) []publication {
	if len(list) < 2 {
		return list
	}
	index := make(map[bus.Topic]int, len(list))
	kept := list[:0]
	for _, p := range list {
		if i, ok := index[p.topic]; ok {
			kept[i].join(p.events)
			continue
		}
		index[p.topic] = len(kept)
		kept = append(kept, p)
	}
	return kept
}

// batch is commands that go together.
type batch struct {
	group    *group
	client   rueidis.Client
	commands []rueidis.Completed
	ctx      context.Context
}

// send publishes a list, and a heartbeat or goodbye if one is due. It gives up
// after publishTimeout: what was not sent has its numbers.
func (g *group) send(list []publication, due byte) {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	b := batch{group: g, client: g.bus.redis.Commands(), ctx: ctx}
	for i := range list {
		p := &list[i]
		for events := p.events; len(events) > 0; {
			n := split(events)
			if n > 0 {
				b.about(p, events[:n])
			} else {
				b.about(p, insteadOf(&events[0]))
			}
			events = events[max(n, 1):]
		}
	}
	if due != 0 {
		b.add(g.shards[0], g.heartbeat(due))
	}
	b.flush()
}

// insteadOf returns what is said of an event that is too large for a message.
func insteadOf(e *chat.Event) []chat.Event {
	if e.Kind.Durable() {
		return []chat.Event{e.Stripped()}
	}
	return nil
}

// about adds a message with events, or a poke.
func (b *batch) about(p *publication, events []chat.Event) {
	bus := b.group.bus
	if isPoke(events) {
		bus.counts.Pokes.Inc()
	}
	size := headerBytes + 64 + len(p.topic)
	for i := range events {
		size += eventBytes(&events[i])
	}
	message := appendAbout(make([]byte, 0, size), bus.id, bus.numbers[p.shard].Add(1), p.topic, events)
	b.add(p.shard, message)
}

// add seals a message and has it sent with the others. The caller gives the
// message up.
func (b *batch) add(shard int, message []byte) {
	text := rueidis.BinaryString(b.group.bus.key.Seal(message))
	name := b.group.names[shard]
	if b.group.sharded {
		b.commands = append(b.commands, b.client.B().Spublish().Channel(name).Message(text).Build())
	} else {
		b.commands = append(b.commands, b.client.B().Publish().Channel(name).Message(text).Build())
	}
	if len(b.commands) == batchMessages {
		b.flush()
	}
}

func (b *batch) flush() {
	if len(b.commands) == 0 {
		return
	}
	counts := &b.group.bus.counts
	for _, r := range b.client.DoMulti(b.ctx, b.commands...) {
		if r.Error() == nil {
			counts.Published.Inc()
		} else {
			counts.Failed.Inc()
		}
	}
	b.commands = b.commands[:0]
}

// heartbeat makes a heartbeat or a goodbye, which stands behind every message
// that has a number by now.
func (g *group) heartbeat(typ byte) []byte {
	message := appendHeader(make([]byte, 0, 64+6*len(g.shards)), typ, g.bus.id)
	for _, s := range g.shards {
		message = binary.AppendUvarint(append(message, byte(s)), g.bus.numbers[s].Load())
	}
	return message
}
