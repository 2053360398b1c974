// Package bustest holds the conformance suite of [bus.Bus], and a hostile bus
// for tests of what stands on it.
//
// [Run] has a named case for each sentence of the contract that one node can
// break; [RunNodes] has those that take several nodes. A bus may lose, so a
// case that only needs something to arrive publishes until it does; the cases
// on a node's own events are strict, as the contract is: they arrive before
// Publish returns, in order.
package bustest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
)

// patience is how long a case waits for what must happen in the end. It is
// spent only by a bus that fails.
const patience = 30 * time.Second

// again is how long a case waits before it publishes once more.
const again = 5 * time.Millisecond

// testCase is one sentence of the contract.
type testCase struct {
	name string
	run  func(t testing.TB, b bus.Bus)
}

// Run checks a bus against the contract. open returns a new bus each time,
// without subscribers and without events on their way; Run closes it. The
// cases named in except are left out: a bus that breaks a sentence on purpose
// says so there.
func Run(t *testing.T, open func(t *testing.T) bus.Bus, except ...string) {
	t.Helper()
	for _, name := range except {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name }) {
			t.Fatalf("bustest has no case %q to leave out", name)
		}
	}
	for _, c := range cases {
		if slices.Contains(except, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := closeOnce(open(t))
			defer closeBus(t, b)
			c.run(t, b)
		})
	}
}

// nodesCase is one sentence of the contract that takes several nodes.
type nodesCase struct {
	name string
	run  func(t testing.TB, nodes []bus.Bus)
}

// RunNodes checks what a bus promises between nodes. open returns n new buses
// that stand for as many nodes of one deployment; RunNodes closes them.
func RunNodes(t *testing.T, open func(t *testing.T, n int) []bus.Bus) {
	t.Helper()
	for _, c := range nodesCases {
		t.Run(c.name, func(t *testing.T) {
			nodes := open(t, 3)
			for i := range nodes {
				nodes[i] = closeOnce(nodes[i])
				defer closeBus(t, nodes[i])
			}
			c.run(t, nodes)
		})
	}
}

// onceClosed lets a case close its bus although the suite does so too: the
// contract does not say that a bus is closed twice.
type onceClosed struct {
	bus.Bus
	close func() error
}

func closeOnce(b bus.Bus) bus.Bus { return onceClosed{b, sync.OnceValue(b.Close)} }

func (b onceClosed) Close() error { return b.close() }

func closeBus(t testing.TB, b bus.Bus) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
}

// event returns an event that a case can tell from others by its ID, with
// every field set, so that a field lost on the way is seen.
func event(room chat.RoomID, id int64) chat.Event {
	return chat.Event{
		Room:    room,
		Kind:    chat.KindMessage,
		Actor:   chat.User{ID: "u-1", Name: "Inés ✨"},
		At:      time.Date(2026, 5, 4, 3, 2, 1, 987e6, time.UTC),
		Seq:     uint64(id),
		ID:      id,
		Epoch:   "e7",
		Tag:     0xfeedc0de,
		Nonce:   "n-1",
		Msgs:    uint64(id),
		Body:    chat.MessageBody("¿qué tal?"),
		Follows: 0xdeadbeef,
	}
}
