package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/store"
)

// ledger is the log of room 1 in memory, all others being empty. It takes events of
// all kinds, and shows messages in their current form, as a store does.
type ledger struct {
	mu     sync.Mutex
	events []chat.Event
	// slow, if not nil, is called by After and Before between reading and
	// returning.
	slow func()
}

const ledgerEpoch = "ledger"

func (l *ledger) Epoch() string { return ledgerEpoch }

func (l *ledger) room(id chat.RoomID) (chat.Room, []chat.Event) {
	var events []chat.Event
	if id == "1" {
		events = l.events
	}
	return chat.Room{ID: id, Exists: len(events) > 0, Epoch: ledgerEpoch, Head: uint64(len(events)), Floor: 1}, events
}

func (l *ledger) Room(_ context.Context, id chat.RoomID) (chat.Room, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room, _ := l.room(id)
	return room, nil
}

func (l *ledger) Heads(_ context.Context, ids []chat.RoomID) (heads []store.Head, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if room, events := l.room(id); room.Exists {
			heads = append(heads, store.Head{Room: room, Tag: events[len(events)-1].Tag})
		}
	}
	return heads, nil
}

func (l *ledger) After(_ context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	l.mu.Lock()
	room, events := l.room(id)
	from := min(after, room.Head)
	page := store.Page{Room: room, Events: slices.Clone(events[from:min(room.Head, from+uint64(limit.Events))])}
	slow := l.slow
	l.mu.Unlock()
	if slow != nil {
		slow()
	}
	return page, nil
}

func (l *ledger) Before(_ context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	l.mu.Lock()
	room, events := l.room(id)
	end := len(events)
	if before > 0 {
		end = min(end, int(before)-1)
	}
	kept := slices.Clone(events[:end])
	slow := l.slow
	l.mu.Unlock()
	if slow != nil {
		slow()
	}
	if limit.Only != 0 {
		kept = slices.DeleteFunc(kept, func(e chat.Event) bool { return e.Kind != limit.Only })
	}
	return store.Page{Room: room, Events: kept[max(0, len(kept)-limit.Events):]}, nil
}

// add stores an event, and returns it with its place and what it follows.
func (l *ledger) add(e chat.Event) chat.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Room, e.Epoch, e.Seq = "1", ledgerEpoch, uint64(len(l.events)+1)
	e.Tag = uint32(e.Seq)
	follows := uint32(0)
	if e.Seq > 1 {
		follows = l.events[e.Seq-2].Tag
	}
	if e.Body == nil {
		e.Body = fmt.Appendf(nil, "kind %d %s", e.Kind, e.Subject)
	}
	for i := range l.events {
		switch old := &l.events[i]; {
		case e.Kind == chat.KindMessageDeleted && old.Seq == e.Target, e.Kind == chat.KindMessagesErased && old.Actor.ID == e.Subject:
			old.Body = []byte("blank")
		case e.Kind == chat.KindMessageEdited && old.Seq == e.Target:
			old.Body = []byte("edited")
		}
	}
	l.events = append(l.events, e)
	e.Follows = follows
	return e
}

// rewrite puts another event in the place of seq.
func (l *ledger) rewrite(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &l.events[seq-1]
	e.Tag, e.Body = ^e.Tag, []byte("rewritten")
}

// newLedger is a world whose room 1 is a ledger.
func newLedger(t *testing.T, b bus.Bus, change func(*Config)) (*world, *ledger) {
	l := new(ledger)
	return newWorld(t, b, func(c *Config) {
		c.Log = l
		if change != nil {
			change(c)
		}
	}), l
}

// tell stores an event and publishes it.
func (w *world) tell(l *ledger, e chat.Event) chat.Event {
	e = l.add(e)
	w.bus.Publish(bus.RoomTopic("1"), []chat.Event{e})
	return e
}

func (w *world) say(l *ledger, text string) chat.Event {
	return w.tell(l, chat.Event{Kind: chat.KindMessage, Actor: chat.User{ID: "a"}, Body: []byte(text)})
}
