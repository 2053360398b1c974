//go:build linux

package bench

import (
	"context"
	"fmt"
)

// Rooms is many small rooms with steady talk in all of them.
type Rooms struct {
	Rooms   int
	Members int     // of each room
	Rate    float64 // messages a second over all rooms
	Size    int     // bytes of a message's content
	Times   Times
}

// Run measures at the rate.
func (s Rooms) Run(ctx context.Context, target Target) (Report, error) {
	if s.Rate <= 0 {
		return nil, fmt.Errorf("a rate of %v messages/s is no load", s.Rate)
	}
	if err := checkRooms(s.Rooms, s.Members); err != nil {
		return nil, err
	}
	if err := checkLoad(s.Rooms*s.Members, 1, s.Size, s.Rate); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	c := newCrowd(l, s.Rooms, s.Members, s.Size, "&history=0")
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	p, err := c.measure(ctx, target, s.Times, load{rate: s.Rate})
	if err != nil {
		return nil, err
	}

	var report Report
	s.report(section{"rooms", s.load(), &report}, p, len(target.Others) > 0)
	return report, nil
}

func (s Rooms) load() string {
	return fmt.Sprintf("%s rooms of %d, %s messages/s of %d B", count(s.Rooms), s.Members, number(s.Rate), s.Size)
}

func (s Rooms) report(out section, p phase, crossing bool) {
	out.add("read by all when measuring ended", 100*(1-min(per(float64(p.behind), p.posted), 1)), "%")
	out.addPer(cpuPerMessage, p.serverCPU, p.completed)
	out.addBehind(p, p.completed)
	out.addPer(cpuPerDelivery, p.serverCPU, p.delivered)
	out.addRead(p)
	out.addTime("until every member has it, p99.9", p.read.p999)
	out.addTime("until acknowledged, p99", p.ack.p99)
	if crossing {
		out.addTime("from acknowledged until at the other nodes, p50", p.crossing.p50)
		out.addTime(crossingP99, p.crossing.p99)
	}
	out.addOwn(p)
}
