package hub

import (
	"slices"

	"tertulia/chat"
)

// maxPassing bounds the passing events that a feed keeps for readers that are
// behind. Half of it is kept whatever happens, which is more than presence
// publishes at once (four times its list of 200 users): a reader that is up to
// date never loses one.
const maxPassing = 2048

// passingEvent is a typing or presence event as it waits for its readers.
type passingEvent struct {
	n     uint64 // 1, 2, 3… within the feed
	head  uint64 // the feed's head when it came: it is written after that
	frame []byte
	actor chat.UserID
	// presence is the event's version, 0 for typing.
	presence uint64
}

// passing is what a feed keeps of passing events, oldest first. The slice is
// only appended to, or replaced; a copy of the struct stays good.
type passing struct {
	events []passingEvent
	last   uint64 // n of the newest ever
	// lost is the n of the newest presence event that was dropped: a reader
	// that has not passed it has missed something.
	lost uint64
	old  uint64 // n of the newest at the last release
}

func (p *passing) add(e passingEvent) {
	if len(p.events) >= maxPassing {
		p.compact()
	}
	p.last++
	e.n = p.last
	p.events = append(p.events, e)
}

// compact makes room. What a newer event of the same user has overtaken goes
// first: typing is a state, and so is being here. If that is not enough the
// older half goes.
func (p *passing) compact() {
	type key struct {
		user     chat.UserID
		presence bool
	}
	newest := make(map[key]uint64, len(p.events))
	for _, e := range p.events {
		newest[key{e.actor, e.presence > 0}] = e.n
	}
	kept := make([]passingEvent, 0, maxPassing)
	for _, e := range p.events {
		if newest[key{e.actor, e.presence > 0}] == e.n {
			kept = append(kept, e)
		}
	}
	if len(kept) > maxPassing/2 {
		kept = p.forget(kept, len(kept)-maxPassing/2)
	}
	p.events = kept
}

// forget returns events without the first n, and notes what they were.
func (p *passing) forget(events []passingEvent, n int) []passingEvent {
	for _, e := range events[:n] {
		if e.presence > 0 {
			p.lost = e.n
		}
	}
	return events[n:]
}

// release lets go of the events up to n, which everyone has passed, if they
// were there at the last call already: a reader that is just being attached
// counts as nobody yet.
func (p *passing) release(n uint64) {
	if kept := p.after(min(n, p.old)); len(kept) < len(p.events) {
		p.events = slices.Clone(kept)
	}
	p.old = p.last
}

// after returns the events with n > after.
func (p *passing) after(after uint64) []passingEvent {
	i := len(p.events)
	for i > 0 && p.events[i-1].n > after {
		i--
	}
	return p.events[i:]
}
