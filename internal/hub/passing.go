package hub

import (
	"bytes"
	"slices"

	"tertulia/chat"
)

// maxPassing bounds the passing events that a feed keeps for readers that are
// behind. Half of it is kept whatever happens, which is more than presence
// publishes at once (four times its list of 200 users): a reader that is up to
// date never loses one.
const maxPassing = 2048

// passingEvent is an event that is not in the log, as it waits for its
// readers.
type passingEvent struct {
	n      uint64           // 1, 2, 3… within the feed
	head   uint64           // the feed's head when it came: it is written after that
	frames [profiles][]byte // nil for a profile that does not get it
	cause  chat.UserID      // who does not get it, "" if everyone does
	state  state
	// version is that of presence or of an inbox, 0 for other events.
	version uint64
}

// state is what a passing event is the newest word on: a newer event of the
// same state makes it needless.
type state struct {
	class class
	of    string
}

// class says what may be dropped when too much waits.
type class uint8

const (
	// typing and receipts go first, and in silence.
	typing class = iota
	receipt
	// presence and what follows may not be lost: a reader that has missed it is
	// sent away.
	presence
	crowd
	notice // notice+k is the notice of kind k
)

func (c class) needed() bool { return c >= presence }

// stateOf says what a room's passing event is about.
func stateOf(e *chat.Event) state {
	switch e.Kind {
	case chat.KindReceipt:
		return state{receipt, string(e.Subject)}
	case chat.KindUserJoined, chat.KindUserLeft:
		return state{presence, string(e.Actor.ID)}
	case chat.KindPresenceCount:
		return state{class: crowd}
	}
	return state{typing, string(e.Actor.ID)}
}

// encodePassing makes a room's passing event for those who will read it.
func (h *Hub) encodePassing(e *chat.Event) passingEvent {
	p := passingEvent{cause: e.Actor.ID, state: stateOf(e), version: e.Version}
	p.frames[Seed] = h.cfg.Encode.Passing(nil, e, Seed)
	p.frames[V1] = h.cfg.Encode.Passing(nil, e, V1)
	if bytes.Equal(p.frames[Seed], p.frames[V1]) {
		p.frames[V1] = p.frames[Seed]
	}
	return p
}

// encodeNotice makes an event of a user's topic. All connections of the user
// get it, also the one that caused it.
func (h *Hub) encodeNotice(e *chat.Event) passingEvent {
	p := passingEvent{state: state{notice + class(e.Kind), string(e.Room)}, version: e.Version}
	p.frames[V1] = h.cfg.Encode.Notice(nil, e)
	return p
}

// passing is what a feed keeps of passing events, oldest first. The slice is
// only appended to, or replaced; a copy of the struct stays good.
type passing struct {
	events []passingEvent
	last   uint64 // n of the newest ever
	// lost is the n of the newest event that was dropped and is needed: a
	// reader that has not passed it has missed something.
	lost uint64
}

func (p *passing) add(e passingEvent) {
	if len(p.events) >= maxPassing {
		p.compact()
	}
	p.last++
	e.n = p.last
	p.events = append(p.events, e)
}

// compact makes room. What a newer event of the same state has overtaken goes
// first, then typing and receipts, then the oldest.
func (p *passing) compact() {
	newest := make(map[state]uint64, len(p.events))
	for i := range p.events {
		newest[p.events[i].state] = p.events[i].n
	}
	kept := make([]passingEvent, 0, maxPassing)
	for _, e := range p.events {
		if newest[e.state] == e.n {
			kept = append(kept, e)
		}
	}
	excess := len(kept) - maxPassing/2
	kept = slices.DeleteFunc(kept, func(e passingEvent) bool {
		drop := excess > 0 && !e.state.class.needed()
		if drop {
			excess--
		}
		return drop
	})
	if excess > 0 {
		p.lost = kept[excess-1].n
		kept = kept[excess:]
	}
	p.events = kept
}

// release lets go of the events up to n, which everyone has passed.
func (p *passing) release(n uint64) {
	if kept := p.after(n); len(kept) < len(p.events) {
		p.events = slices.Clone(kept)
	}
}

// after returns the events with n > after.
func (p *passing) after(after uint64) []passingEvent {
	i := len(p.events)
	for i > 0 && p.events[i-1].n > after {
		i--
	}
	return p.events[i:]
}
