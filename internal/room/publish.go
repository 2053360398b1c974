package room

import (
	"cmp"
	"slices"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// publisher hands stored events to the bus. It belongs to one lane's
// goroutine.
type publisher struct {
	bus bus.Bus
	// index and runs are empty between two batches, and keep their memory.
	index map[chat.RoomID]int // into runs
	runs  []run
}

// run is what one batch has for one room.
type run struct {
	room     chat.RoomID
	count    int
	repeated bool // some of events may not be the next in order
	events   []chat.Event
}

// publish publishes the events of a batch, once for each room.
//
// Duplicates are published too. In a batch that was run again they may be its
// own rows, stored by the first run and heard of by nobody. In any other they
// were published before, unless the node that stored them crashed just then:
// the author who repeats the post is the one who is watching, and need not
// wait for the check of heads. Who has the event already drops it by its seq.
func (p *publisher) publish(results []store.Result) {
	for i := range results {
		if r := &results[i]; r.Err == nil {
			p.count(r)
		}
	}
	for i := range results {
		if r := &results[i]; r.Err == nil {
			to := &p.runs[p.index[r.Event.Room]]
			if to.events == nil {
				// An array for each room: whoever keeps an event of a quiet
				// room must not keep the batch's.
				to.events = make([]chat.Event, 0, to.count)
			}
			to.events = append(to.events, r.Event)
		}
	}
	for i := range p.runs {
		events := p.runs[i].inOrder()
		p.bus.Publish(bus.RoomTopic(p.runs[i].room), events)
		p.tellSubjects(events)
		p.tellNodes(events)
	}
	clear(p.index)
	clear(p.runs)
	p.runs = p.runs[:0]
}

// tellSubjects publishes events about a user's standing to that user too, who
// may be in the room with no session.
func (p *publisher) tellSubjects(events []chat.Event) {
	for i := range events {
		if e := &events[i]; e.Kind.Membership() {
			p.bus.Publish(bus.UserTopic(e.Subject), alone(*e))
		}
	}
}

// tellNodes publishes to all nodes the events after which somebody may do less.
func (p *publisher) tellNodes(events []chat.Event) {
	for i := range events {
		if lessens(&events[i]) {
			p.bus.Publish(bus.RightsTopic, alone(events[i]))
		}
	}
}

// alone is an event outside of its log, where nothing comes before it.
func alone(e chat.Event) []chat.Event {
	e.Follows = 0
	return []chat.Event{e}
}

func (p *publisher) count(r *store.Result) {
	i, ok := p.index[r.Event.Room]
	if !ok {
		i = len(p.runs)
		p.index[r.Event.Room] = i
		p.runs = append(p.runs, run{room: r.Event.Room})
	}
	p.runs[i].count++
	p.runs[i].repeated = p.runs[i].repeated || r.Duplicate
}

// inOrder returns the events by rising seq, each once. New ones are so
// already; a duplicate may be older than what stands before it.
func (r *run) inOrder() []chat.Event {
	if !r.repeated {
		return r.events
	}
	slices.SortFunc(r.events, func(a, b chat.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return slices.CompactFunc(r.events, func(a, b chat.Event) bool { return a.Seq == b.Seq })
}
