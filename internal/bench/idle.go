//go:build linux

package bench

import (
	"context"
	"fmt"
	"time"
)

// Idle connects many clients that do nothing, and looks at what they cost.
type Idle struct {
	Connections int
	RoomsOf     int // members of each room
	// Settle is how long the server is left alone before its memory is read,
	// so that it can give back what connecting took.
	Settle time.Duration
}

func (s Idle) check() error {
	if s.Connections < 1 || s.RoomsOf < 1 || s.Connections%s.RoomsOf != 0 {
		return fmt.Errorf("%d connections do not divide into rooms of %d", s.Connections, s.RoomsOf)
	}
	return checkConnections(s.Connections)
}

// Run connects, settles and reads; then every client posts once, as memory
// that a connection takes when it is first used is not given back.
func (s Idle) Run(ctx context.Context, target Target) (Report, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	empty, err := memoryOf(target.PID)
	if err != nil {
		return nil, err
	}
	c := newCrowd(l, s.Connections/s.RoomsOf, s.RoomsOf, 64, "&history=0")

	var report Report
	out := section{"idle", s.load(), &report}
	connecting, err := metered(target, func() error { return c.connect(ctx) })
	if err != nil {
		return nil, err
	}
	out.add("connects", float64(s.Connections)/connecting.elapsed.Seconds(), "/s")
	out.addPer("server CPU per connect", connecting.serverCPU, uint64(s.Connections))
	if err := s.memory(out, target, empty, ", at once"); err != nil {
		return nil, err
	}
	idle, err := metered(target, func() error { return c.runFor(ctx, s.Settle) })
	if err != nil {
		return nil, err
	}
	if err := s.memory(out, target, empty, ""); err != nil {
		return nil, err
	}
	out.add("server CPU while idle", idle.serverCPU.Seconds()*1e3/idle.elapsed.Seconds(), "ms/s")

	if err := c.speakInTurn(ctx); err != nil {
		return nil, err
	}
	if err := c.runFor(ctx, s.Settle); err != nil {
		return nil, err
	}
	return report, s.memory(out, target, empty, ", after a post by each")
}

func (s Idle) load() string {
	return fmt.Sprintf("%s connections in rooms of %d", count(s.Connections), s.RoomsOf)
}

// memory adds what the server has grown by since it was empty.
func (s Idle) memory(out section, target Target, empty memory, when string) error {
	m, err := memoryOf(target.PID)
	if err != nil {
		return err
	}
	n := float64(s.Connections) * 1024
	out.add(rssPerConnection+when, float64(m.rss-empty.rss)/n, "KiB")
	out.add("server PSS per connection"+when, float64(m.pss-empty.pss)/n, "KiB")
	return nil
}

// speakInTurn has every member post once, one in each room at a time.
func (c *crowd) speakInTurn(ctx context.Context) error {
	for range c.rooms[0].members {
		if err := c.begin(load{window: 1}); err != nil {
			return err
		}
		if err := c.drain(ctx); err != nil {
			return err
		}
		for _, r := range c.rooms {
			r.members = append(r.members[1:], r.members[0])
		}
	}
	return nil
}
