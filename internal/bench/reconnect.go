//go:build linux

package bench

import (
	"context"
	"fmt"
	"time"
)

// Reconnect is what follows when a network comes back: all clients at once.
type Reconnect struct {
	Clients int
	Rooms   int
	History int // messages that each client reads on connecting
	Size    int // bytes of a message's content
}

func (s Reconnect) check() error {
	if s.Rooms < 1 || s.Clients < s.Rooms || s.Clients%s.Rooms != 0 {
		return fmt.Errorf("%d clients do not divide into %d rooms", s.Clients, s.Rooms)
	}
	// The history is posted in one go, and protocol.md §9 lets 64 commands
	// wait for their answers.
	return checkLoad(s.Clients, s.History, s.Size, 0)
}

// Run fills the rooms, drops all clients, and connects them again, up to
// maxDialing at a time.
func (s Reconnect) Run(ctx context.Context, target Target) (Report, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	c := newCrowd(l, s.Rooms, s.Clients/s.Rooms, s.Size, fmt.Sprintf("&history=%d", s.History))
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if err := c.begin(load{window: s.History}); err != nil {
		return nil, err
	}
	if err := c.drain(ctx); err != nil {
		return nil, err
	}
	if err := c.runFor(ctx, restTime); err != nil {
		return nil, err
	}

	l.drop()
	l.onFrame, l.onTick = s.take(l), nil
	read := newReads(target.addrs())
	defer read.close()
	read.ask(ctx)
	began := time.Now()
	p, err := metered(target, func() error { return l.connect(ctx) })
	if err != nil {
		return nil, fmt.Errorf("reconnect: %w", err)
	}
	read.ask(ctx)
	var report Report
	s.report(section{"reconnect", s.load(), &report}, p, read.histories(began, time.Now()))
	return report, nil
}

func (s Reconnect) report(out section, p phase, histories float64) {
	out.add(allBack, p.elapsed.Seconds(), "s")
	out.add(historyReads, histories/float64(s.Rooms), "")
	out.add("server CPU", p.serverCPU.Seconds(), "s")
	out.addPer("server CPU per client", p.serverCPU, uint64(s.Clients))
	out.addOwn(p)
}

func (s Reconnect) load() string {
	return fmt.Sprintf("%s clients in %s rooms, %d messages of %d B each", count(s.Clients), count(s.Rooms), s.History, s.Size)
}

// restTime lets the server finish what filling the rooms has left to do.
const restTime = time.Second

// take checks that each client gets its history whole.
func (s Reconnect) take(l *loop) func(*conn, kind, []byte, time.Duration) {
	return func(c *conn, k kind, event []byte, _ time.Duration) {
		if got := historyItems(event); k == kindConnected && got != s.History {
			l.fail(c, fmt.Errorf("got a history of %d messages, want %d", got, s.History))
		}
	}
}
