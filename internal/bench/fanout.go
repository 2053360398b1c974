//go:build linux

package bench

import (
	"context"
	"fmt"
)

// Fanout is one large room in which one member speaks.
type Fanout struct {
	Members  int
	Inflight int // messages that not every member has yet, at most
	Size     int // bytes of a message's content
	// Rate adds a second phase with so many messages a second, 0 for none. It
	// shows what a delivery costs where there is nothing to write together.
	Rate  float64
	Times Times
}

// Run measures with the window full, then at the rate.
func (s Fanout) Run(ctx context.Context, target Target) (Report, error) {
	if err := checkLoad(s.Members, s.Inflight, s.Size, s.Rate); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	c := newCrowd(l, 1, s.Members, s.Size, "&history=0")
	if err := c.connect(ctx); err != nil {
		return nil, err
	}

	var report Report
	p, err := c.measure(ctx, target, s.Times, load{window: s.Inflight, gate: gateRead})
	if err != nil {
		return nil, err
	}
	s.report(section{"fanout", s.closed(), &report}, p)
	if s.Rate == 0 {
		return report, nil
	}
	if p, err = c.measure(ctx, target, s.Times, load{rate: s.Rate}); err != nil {
		return nil, err
	}
	s.report(section{"fanout", s.open(), &report}, p)
	return report, nil
}

func (s Fanout) closed() string {
	return fmt.Sprintf("%s members, %d messages in flight of %d B", count(s.Members), s.Inflight, s.Size)
}

func (s Fanout) open() string {
	return fmt.Sprintf("%s members, %s messages/s of %d B", count(s.Members), number(s.Rate), s.Size)
}

func (s Fanout) report(out section, p phase) {
	out.add("deliveries", float64(p.delivered)/p.elapsed.Seconds(), "/s")
	out.addPer(cpuPerDelivery, p.serverCPU, p.delivered)
	out.addRead(p)
	out.addOwn(p)
}

// addRead adds how long it took until every member had a message.
func (s section) addRead(p phase) {
	s.addTime("until every member has it, p50", p.read.p50)
	s.addTime("until every member has it, p99", p.read.p99)
}

// addOwn adds what the generator took of the machine: near 1 it, and not the
// server, was the limit.
func (s section) addOwn(p phase) {
	s.add("cores used by the generator", p.ownCPU.Seconds()/p.elapsed.Seconds(), "")
}
