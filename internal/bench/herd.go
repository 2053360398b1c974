//go:build linux

package bench

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// herd is a number of rooms with members at all nodes, who go to another node
// when theirs sends them away, and hold what they get there against what they
// had. The first member of each room posts.
type herd struct {
	loop    *loop
	size    int // bytes of a message's content
	rooms   []*talk
	members []*mover // by slot
	pace    *pace    // nil: nobody posts
	turn    int      // the room that posts next
	next    int      // spreads those who move over the other nodes

	leaving   int      // the node that has been asked to end; -1 is none
	away      []*mover // those of that node who have yet to come back
	entered   []entry  // those who have
	refused   uint64   // posts that a node which ends did not take
	retried   uint64   // connections that a node could not take at once
	presence  uint64   // what was told of others' coming and going
	posted    uint64
	delivered uint64
	latency   *histogram // of posts between clients that stay; nil measures none
}

// talk is one room. Post n has the seq base + 1 + n, because nobody else posts.
type talk struct {
	speaker *mover
	base    uint64 // the log's head at first
	acked   int
	posts   []spoken
}

// spoken is one post.
type spoken struct {
	at   time.Duration // when it was due
	away bool          // its author was between two nodes, or at one that ends
}

// mover is one client.
type mover struct {
	conn   *conn
	talk   *talk
	cursor string        // where it goes on, "" before it has been anywhere
	told   time.Duration // when to come back; 0 if it has not been told
	due    time.Duration // when it comes back; 0 while it is at a node
	moved  bool          // during the restart that is under way, or last was
	in     bool          // it is subscribed
}

// entry is a client that has come to another node.
type entry struct {
	at   time.Duration
	node int
}

func newHerd(l *loop, rooms, members, size int) *herd {
	h := &herd{loop: l, size: size, leaving: -1}
	names := newNames()
	for range rooms {
		t := new(talk)
		path := names.room()
		for i := range members {
			m := &mover{conn: l.add(path+names.user(), nil), talk: t}
			m.conn.v1 = true
			h.members = append(h.members, m)
			if i == 0 {
				t.speaker = m
			}
		}
		h.rooms = append(h.rooms, t)
	}
	l.onFrame, l.onTick, l.onRefusal, l.onEnd = h.take, h.tick, h.takeRefusal, h.takeEnd
	return h
}

// connect brings everybody in.
func (h *herd) connect(ctx context.Context) error {
	if err := h.loop.connect(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return h.loop.run(ctx, func() bool {
		for _, m := range h.members {
			if !m.in {
				return false
			}
		}
		return true
	})
}

// begin has rate messages a second posted over all rooms.
func (h *herd) begin(rate float64) error {
	interval := time.Duration(float64(time.Second) / rate)
	h.pace = &pace{interval: interval, next: h.loop.now()}
	return h.loop.tick(interval)
}

// end posts no more and waits until everything is acknowledged and everywhere.
func (h *herd) end(ctx context.Context) error {
	h.pace = nil
	return h.loop.run(ctx, func() bool {
		for _, m := range h.members {
			if t := m.talk; t.acked < len(t.posts) || m.conn.seq < t.base+uint64(len(t.posts)) {
				return false
			}
		}
		return true
	})
}

// leave notes that a node has been asked to end.
func (h *herd) leave(node int) {
	h.leaving, h.away, h.entered = node, nil, nil
	for _, m := range h.members {
		if m.moved = m.conn.node == node; m.moved {
			h.away = append(h.away, m)
		}
	}
}

// tick posts what is due, and connects whose time has come.
func (h *herd) tick(now time.Duration) {
	for _, m := range h.away {
		if m.due > 0 && m.due <= now {
			m.due = 0
			m.conn.resume = "&after=" + m.cursor
			h.loop.dial(m.conn)
		}
	}
	for h.pace != nil && h.pace.next <= now {
		h.post(h.rooms[h.turn], h.pace.next)
		h.pace.next += h.pace.interval
		h.turn = (h.turn + 1) % len(h.rooms)
	}
}

func (h *herd) post(t *talk, at time.Duration) {
	m := t.speaker
	t.posts = append(t.posts, spoken{at: at, away: m.moved})
	h.posted++
	if m.in {
		h.loop.send(m.conn, noncedMessageFrame(uint64(len(t.posts)-1), h.size))
	}
}

// take is loop.onFrame.
func (h *herd) take(c *conn, k kind, event []byte, now time.Duration) {
	m := h.members[c.slot]
	var err error
	switch k {
	case kindSubscribed:
		err = h.enter(m, event)
	case kindCaughtUp:
		h.settle(m, now)
	case kindMessage:
		err = h.takeMessage(m, event, now)
	case kindSent:
		err = m.talk.takeSent(event)
	case kindReconnect:
		ms, _ := numberAfter(event, afterMember)
		m.told = time.Duration(ms) * time.Millisecond
	case kindPresence:
		h.presence++
	}
	if err != nil {
		h.loop.fail(c, err)
	}
}

// enter begins, or goes on with, a room. What was posted and not acknowledged
// is posted again.
func (h *herd) enter(m *mover, event []byte) error {
	head, ok := numberAfter(event, headMember)
	if !ok {
		return fmt.Errorf("no head in %.200s", event)
	}
	if m.cursor == "" {
		m.conn.seq, m.talk.base = head, head
		m.cursor = string(textAfter(event, cursorMember))
	} else if got := textAfter(event, cursorMember); string(got) != m.cursor {
		return fmt.Errorf("came back at %s and goes on at %s", m.cursor, got)
	}
	m.in = true
	if t := m.talk; t.speaker == m {
		for n := t.acked; n < len(t.posts); n++ {
			h.loop.send(m.conn, noncedMessageFrame(uint64(n), h.size))
		}
	}
	return nil
}

// settle notes that a client that moved has everything up to where it came in.
func (h *herd) settle(m *mover, now time.Duration) {
	for i := range h.away {
		if h.away[i] == m {
			h.away[i] = h.away[len(h.away)-1]
			h.away = h.away[:len(h.away)-1]
			h.entered = append(h.entered, entry{now, m.conn.node})
			return
		}
	}
}

// takeMessage counts one delivery. Seqs must follow one another for each
// client, wherever it is.
func (h *herd) takeMessage(m *mover, event []byte, now time.Duration) error {
	c, t := m.conn, m.talk
	seq, ok := numberAfter(event, seqMember)
	if !ok || seq != c.seq+1 {
		return fmt.Errorf("got seq %d after %d", seq, c.seq)
	}
	n := seq - t.base - 1
	if n >= uint64(len(t.posts)) {
		return fmt.Errorf("got seq %d, which was not posted", seq)
	}
	c.seq = seq
	m.cursor = fmt.Sprintf("%s:%d:%s", textAfter(event, epochMember), seq, textAfter(event, tagMember))
	h.delivered++
	if p := t.posts[n]; h.latency != nil && !p.away && !m.moved {
		h.latency.record(now - p.at)
	}
	return nil
}

// takeSent counts one acknowledgement. They come in the order of the posts.
func (t *talk) takeSent(event []byte) error {
	seq, ok := numberAfter(event, seqMember)
	if want := t.base + 1 + uint64(t.acked); !ok || seq != want || t.acked == len(t.posts) {
		return fmt.Errorf("got message_sent with seq %d, want %d of %d posts", seq, want, len(t.posts))
	}
	t.acked++
	return nil
}

var (
	shuttingDown = []byte(`"code":"shutting_down"`)
	retryable    = []byte(`"retryable":true`)
)

// takeRefusal is loop.onRefusal: a node that ends takes no posts, and one that
// cannot read the store at the moment has a client come back later.
func (h *herd) takeRefusal(c *conn, event []byte) error {
	m := h.members[c.slot]
	switch {
	case c.node == h.leaving && bytes.Contains(event, shuttingDown):
		h.refused++
	case m.moved && !m.in && bytes.Contains(event, retryable):
		ms, _ := numberAfter(event, retryMember)
		m.told = time.Duration(max(ms, 1)) * time.Millisecond
		h.retried++
	default:
		return fmt.Errorf("refused: %.300s", event)
	}
	return nil
}

// takeEnd is loop.onEnd: a client that was sent away comes back when it was
// told to, to one of the other nodes, as through a proxy that has noticed.
func (h *herd) takeEnd(c *conn, why error) error {
	m := h.members[c.slot]
	if m.told == 0 || !m.moved {
		return why
	}
	others := len(h.loop.addrs) - 1
	c.node = (h.leaving + 1 + h.next%others) % len(h.loop.addrs)
	h.next++
	m.in, m.due, m.told = false, h.loop.now()+m.told, 0
	return nil
}

// peak is the most clients that one node took within a second.
func (h *herd) peak() int {
	most := 0
	for node := range h.loop.addrs {
		var at []time.Duration // rising, as they came
		for _, e := range h.entered {
			if e.node == node {
				at = append(at, e.at)
			}
		}
		first := 0
		for i := range at {
			for at[i]-at[first] > time.Second {
				first++
			}
			most = max(most, i-first+1)
		}
	}
	return most
}
