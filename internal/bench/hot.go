//go:build linux

package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Hot is many senders in one room, which they do not read: the store's work
// where nothing can be done side by side. One more client reads the room, and
// holds that its seqs are consecutive.
type Hot struct {
	Senders  int
	Inflight int // messages of one sender not yet acknowledged, at most
	Size     int // bytes of a message's content
	Times    Times
}

// Run measures with all windows full.
func (s Hot) Run(ctx context.Context, target Target) (Report, error) {
	if err := checkLoad(s.Senders, s.Inflight, s.Size, 0); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	c := s.crowd(l)
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	p, err := c.measure(ctx, target, s.Times, load{window: s.Inflight, gate: gateAck})
	if err != nil {
		return nil, err
	}
	var report Report
	s.report(&report, p)
	return report, nil
}

func (s Hot) report(to *Report, p phase) {
	same := Ack{Senders: s.Senders, Inflight: s.Inflight, Size: s.Size}
	same.report(section{"hot room", same.closed(), to}, p)
}

// crowd adds the senders, who speak protocol.md Part 2, in which one need not
// be in a room to post to it, and the reader.
func (s Hot) crowd(l *loop) *crowd {
	names := newNames()
	path := names.room()
	posted := 0
	c := &crowd{loop: l, hot: true, frame: func() []byte {
		posted++
		return roomMessageFrame(strings.TrimPrefix(path, "/ws/"), posted, s.Size)
	}}
	for range s.Senders {
		r := new(room)
		sender := l.add("/ws"+names.user(), r)
		sender.v1 = true
		r.members = append(r.members, sender)
		c.rooms = append(c.rooms, r)
	}
	reader := l.add(path+names.user()+"&history=0", nil)
	l.onTick = c.keepPace
	l.onFrame = func(m *conn, k kind, event []byte, now time.Duration) {
		if m != reader {
			c.take(m, k, event, now)
		} else if k == kindMessage {
			c.follow(m, event)
		}
	}
	return c
}

// follow counts one delivery to a reader who does not know what was posted.
func (c *crowd) follow(m *conn, event []byte) {
	seq, ok := numberAfter(event, seqMember)
	if !ok || seq != m.seq+1 {
		c.loop.fail(m, fmt.Errorf("got seq %d after %d", seq, m.seq))
		return
	}
	m.seq = seq
	c.delivered++
}
