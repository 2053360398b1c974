//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// crowd is a number of rooms with members in them. The first member of each
// room posts; all of them take what comes, and hold it against what was posted.
type crowd struct {
	loop  *loop
	rooms []*room
	frame func() []byte // the next post, masked
	// hot says that all rooms post to one and the same: acknowledgements come
	// in order without being consecutive, and nobody in rooms reads.
	hot bool

	// Under load, either window or pace is set; neither lets the crowd drain.
	window int   // posts of a room under way at most
	gate   gate  // what makes place in the window
	pace   *pace // when posts are due
	turn   int   // the room that posts next at a pace

	totals
	ackLatency  histogram // until message_sent
	readLatency histogram // until every member has the message
	// crossLatency is from message_sent until a member at another node than
	// the author's has the message; 0 if that came first.
	crossLatency histogram
}

// totals count since the crowd was made.
type totals struct {
	posted    uint64
	acked     uint64
	delivered uint64 // frames with a message, one for each member
	completed uint64 // messages that every member has
}

func (t totals) minus(u totals) totals {
	return totals{t.posted - u.posted, t.acked - u.acked, t.delivered - u.delivered, t.completed - u.completed}
}

// gate is what ends a post's stay in its room's window.
type gate uint8

const (
	gateAck  gate = iota // its acknowledgement
	gateRead             // the last member has it
)

// room is one room. Its posts are numbered from 0; post n has the seq
// base + 1 + n, because nobody else posts.
type room struct {
	members []*conn // the first one posts
	base    uint64  // the log's head when everybody had come
	acked   uint64  // posts acknowledged
	done    uint64  // posts that are acknowledged and read, and forgotten
	read    uint64  // posts that every member has
	open    []post  // posts from done on
}

type post struct {
	at      time.Duration // when it was due, or queued if nothing was due
	readers int           // members that have not got it
	acked   time.Duration // when message_sent came; 0 until then
}

// pace says when posts are due: at even intervals, whatever the server does.
type pace struct {
	interval time.Duration
	next     time.Duration
}

// newCrowd adds members to the loop: rooms × members connections.
func newCrowd(l *loop, rooms, members, size int, query string) *crowd {
	same := messageFrame(size)
	c := &crowd{loop: l, frame: func() []byte { return same }}
	names := newNames()
	for range rooms {
		r := new(room)
		path := names.room()
		for range members {
			r.members = append(r.members, l.add(path+names.user()+query, r))
		}
		c.rooms = append(c.rooms, r)
	}
	l.onFrame, l.onTick = c.take, c.keepPace
	return c
}

// names makes up rooms and users. Rooms differ from those of other runs on
// the same server.
type names struct {
	run   uint32
	rooms int
	users int
}

func newNames() *names { return &names{run: rand.Uint32()} }

// room begins the path of the next room, and user ends one.
func (n *names) room() string {
	n.rooms++
	return fmt.Sprintf("/ws/bench-%08x-%d", n.run, n.rooms)
}

func (n *names) user() string {
	n.users++
	return fmt.Sprintf("?user_id=%d&username=member%d", n.users, n.users)
}

// connect brings everybody in.
func (c *crowd) connect(ctx context.Context) error {
	if err := c.loop.connect(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	for _, r := range c.rooms {
		r.base = r.members[0].seq
	}
	return nil
}

// load is how much the crowd posts: a full window, or a rate.
type load struct {
	window int     // posts of a room under way, 0 at a rate
	gate   gate    // of the window
	rate   float64 // posts a second over all rooms, 0 with a window
}

// begin starts posting.
func (c *crowd) begin(load load) error {
	c.window, c.gate, c.pace = load.window, load.gate, nil
	if load.rate > 0 {
		interval := time.Duration(float64(time.Second) / load.rate)
		c.pace = &pace{interval: interval, next: c.loop.now()}
		return c.loop.tick(interval)
	}
	for _, r := range c.rooms {
		c.fill(r, c.loop.now())
	}
	c.loop.flushDirty()
	return c.loop.tick(tickInterval)
}

// drain posts no more and waits until everything posted is acknowledged and
// everywhere.
func (c *crowd) drain(ctx context.Context) error {
	c.window, c.pace = 0, nil
	ctx, cancel := context.WithTimeoutCause(ctx, drainTime, errors.New("posts are not acknowledged or not delivered after 30 s"))
	defer cancel()
	return c.loop.run(ctx, func() bool { return c.completed == c.posted && c.acked == c.posted })
}

// drainTime is far above the backlog that an overloaded server may have after
// a phase of load.
const drainTime = 30 * time.Second

// keepPace posts what is due.
func (c *crowd) keepPace(now time.Duration) {
	for c.pace != nil && c.pace.next <= now {
		c.post(c.rooms[c.turn], c.pace.next)
		c.pace.next += c.pace.interval
		c.turn = (c.turn + 1) % len(c.rooms)
	}
}

// fill posts as much as the window of a room has place for.
func (c *crowd) fill(r *room, now time.Duration) {
	for range c.window - r.underWay(c.gate) {
		c.post(r, now)
	}
}

func (c *crowd) post(r *room, at time.Duration) {
	readers := len(r.members)
	if c.hot {
		readers = 0
	}
	r.open = append(r.open, post{at: at, readers: readers})
	c.posted++
	c.loop.send(r.members[0], c.frame())
}

func (r *room) posted() uint64 { return r.done + uint64(len(r.open)) }

// underWay is the number of posts that count against the window.
func (r *room) underWay(g gate) int {
	if g == gateAck {
		return int(r.posted() - r.acked)
	}
	return int(r.posted() - r.read)
}

// take is loop.onFrame.
func (c *crowd) take(m *conn, k kind, event []byte, now time.Duration) {
	var err error
	switch k {
	case kindMessage:
		err = c.takeMessage(m, event, now)
	case kindSent:
		err = c.takeSent(m, event, now)
	default:
		return
	}
	if err != nil {
		c.loop.fail(m, err)
		return
	}
	m.room.forget()
	c.fill(m.room, now)
}

// takeMessage counts one delivery. Seqs must follow one another on each
// connection (protocol.md §6.2).
func (c *crowd) takeMessage(m *conn, event []byte, now time.Duration) error {
	r := m.room
	seq, ok := numberAfter(event, seqMember)
	if !ok || seq != m.seq+1 {
		return fmt.Errorf("got seq %d after %d", seq, m.seq)
	}
	m.seq = seq
	n := seq - r.base - 1
	if n < r.done || n >= r.posted() {
		return fmt.Errorf("got seq %d, which was not posted", seq)
	}
	c.delivered++
	p := &r.open[n-r.done]
	if m.node != r.members[0].node {
		late := time.Duration(0)
		if p.acked > 0 {
			late = now - p.acked
		}
		c.crossLatency.record(late)
	}
	if p.readers--; p.readers == 0 {
		r.read++
		c.completed++
		c.readLatency.record(now - p.at)
	}
	return nil
}

// takeSent counts one acknowledgement. They come in the order of the posts.
func (c *crowd) takeSent(m *conn, event []byte, now time.Duration) error {
	r := m.room
	seq, ok := numberAfter(event, seqMember)
	want := r.base + 1 + r.acked
	if c.hot && seq > m.seq {
		want, m.seq = seq, seq
	}
	if !ok || seq != want || r.acked == r.posted() {
		return fmt.Errorf("got message_sent with seq %d, want %d of %d posts", seq, want, r.posted())
	}
	p := &r.open[r.acked-r.done]
	p.acked = now
	c.ackLatency.record(now - p.at)
	r.acked++
	c.acked++
	if c.hot {
		r.read++
		c.completed++
	}
	return nil
}

// forget lets go of the oldest posts that are acknowledged and read.
func (r *room) forget() {
	n := min(r.acked, r.read) - r.done
	if n == 0 {
		return
	}
	r.done += n
	r.open = r.open[:copy(r.open, r.open[n:])]
}
