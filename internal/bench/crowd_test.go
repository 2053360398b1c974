//go:build linux

package bench

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// stillCrowd is a crowd without sockets: what it sends stays where it is, and
// the test says what comes.
func stillCrowd(rooms, members int) *crowd {
	l := &loop{start: time.Now(), addrs: make([]netip.AddrPort, 1)}
	c := newCrowd(l, rooms, members, 8, "")
	for _, m := range l.conns {
		m.state = stateOpen
	}
	return c
}

func (c *crowd) message(t *testing.T, m *conn, seq uint64, now time.Duration) {
	t.Helper()
	c.hand(t, m, fmt.Sprintf(`{"type":"message","room":"r","seq":%d,"data":{}}`, seq), now)
}

func (c *crowd) sent(t *testing.T, m *conn, seq uint64, now time.Duration) {
	t.Helper()
	c.hand(t, m, fmt.Sprintf(`{"type":"message_sent","room":"r","data":{"seq":%d}}`, seq), now)
}

func (c *crowd) hand(t *testing.T, m *conn, event string, now time.Duration) {
	t.Helper()
	if err := c.loop.event(m, []byte(event), now); err != nil {
		t.Fatal(err)
	}
	if c.loop.err != nil {
		t.Fatal(c.loop.err)
	}
}

// TestWindowOpensAtTheLastReader: a message leaves the window of gateRead when
// the slowest member has it, whatever is acknowledged.
func TestWindowOpensAtTheLastReader(t *testing.T) {
	c := stillCrowd(1, 3)
	c.window, c.gate = 2, gateRead
	r := c.rooms[0]
	c.fill(r, 0)
	want := func(when string, posted uint64) {
		t.Helper()
		if c.posted != posted {
			t.Fatalf("%s: %d posted, want %d", when, c.posted, posted)
		}
	}
	want("at first", 2)
	c.sent(t, r.members[0], 1, 1)
	c.sent(t, r.members[0], 2, 1)
	want("all acknowledged", 2)
	for _, m := range r.members[:2] {
		c.message(t, m, 1, 2)
		c.message(t, m, 2, 2)
	}
	want("two of three have both", 2)
	c.message(t, r.members[2], 1, 3)
	want("all have the first", 3)
	c.message(t, r.members[2], 2, 3)
	want("all have both", 4)
	if got := c.completed; got != 2 {
		t.Errorf("%d completed, want 2", got)
	}
}

// TestWindowOpensAtTheAcknowledgement is the same for gateAck.
func TestWindowOpensAtTheAcknowledgement(t *testing.T) {
	c := stillCrowd(1, 2)
	c.window, c.gate = 2, gateAck
	r := c.rooms[0]
	c.fill(r, 0)
	c.message(t, r.members[0], 1, 1)
	c.message(t, r.members[1], 1, 1)
	if c.posted != 2 {
		t.Fatalf("%d posted, everybody having one unacknowledged, want 2", c.posted)
	}
	c.sent(t, r.members[0], 1, 2)
	if c.posted != 3 {
		t.Fatalf("%d posted after one acknowledgement, want 3", c.posted)
	}
}

// TestLatencies checks from when to when a message counts.
func TestLatencies(t *testing.T) {
	c := stillCrowd(1, 2)
	r := c.rooms[0]
	c.post(r, 10*time.Millisecond)
	c.sent(t, r.members[0], 1, 13*time.Millisecond)
	c.message(t, r.members[0], 1, 14*time.Millisecond)
	c.message(t, r.members[1], 1, 17*time.Millisecond)
	if got, want := c.ackLatency.max, 3*time.Millisecond; got != want {
		t.Errorf("acknowledged after %v, want %v", got, want)
	}
	if got, want := c.readLatency.max, 7*time.Millisecond; got != want {
		t.Errorf("read by all after %v, want %v", got, want)
	}
	if len(r.open) != 0 || r.done != 1 {
		t.Errorf("%d posts kept after %d, want all forgotten", len(r.open), r.done)
	}
}

// TestPaceKeepsIntendedTimes: a generator that comes late posts what was due
// and counts latency from when it was due.
func TestPaceKeepsIntendedTimes(t *testing.T) {
	c := stillCrowd(2, 1)
	c.pace = &pace{interval: 10 * time.Millisecond}
	c.keepPace(35 * time.Millisecond)
	if c.posted != 4 {
		t.Fatalf("%d posted after 35 ms at one in 10 ms, want 4", c.posted)
	}
	var at []time.Duration
	for _, r := range c.rooms {
		for _, p := range r.open {
			at = append(at, p.at/time.Millisecond)
		}
	}
	if got, want := fmt.Sprintf("%d", at), "[0 20 10 30]"; got != want {
		t.Errorf("due at %s ms, want %s, rooms taking turns", got, want)
	}
}

// TestTotalsUnderAnyOrder drives many posts through members that read at
// different speeds, and wants every count to come out even.
func TestTotalsUnderAnyOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		const members, window = 5, 7
		c := stillCrowd(1, members)
		c.window, c.gate = window, gateRead
		r := c.rooms[0]
		c.fill(r, 0)
		acked := uint64(0)
		for range 1000 {
			i := rnd.IntN(members + 1)
			switch {
			case i == members && acked < c.posted:
				acked++
				c.sent(t, r.members[0], acked, 1)
			case i < members && r.members[i].seq < c.posted:
				c.message(t, r.members[i], r.members[i].seq+1, 1)
			}
			if under := c.posted - c.completed; under > window {
				t.Fatalf("%d messages under way, want at most %d", under, window)
			}
		}
		delivered, slowest := uint64(0), c.posted
		for _, m := range r.members {
			delivered += m.seq
			slowest = min(slowest, m.seq)
		}
		if c.delivered != delivered || c.completed != slowest || c.acked != acked {
			t.Fatalf("%+v, want %d delivered, %d completed, %d acked", c.totals, delivered, slowest, acked)
		}
	}
}
