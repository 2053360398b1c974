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
	l, err := newLoop(target.Addr)
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
	out := section{"rooms", fmt.Sprintf("%s rooms of %d, %s messages/s of %d B", count(s.Rooms), s.Members, number(s.Rate), s.Size), &report}
	out.add("read by all when measuring ended", 100*(1-min(per(float64(p.behind), p.posted), 1)), "%")
	out.addPer(cpuPerMessage, p.serverCPU, p.completed)
	out.addPer(cpuPerDelivery, p.serverCPU, p.delivered)
	out.addRead(p)
	out.addTime("until every member has it, p99.9", p.read.p999)
	out.addTime("until acknowledged, p99", p.ack.p99)
	out.addOwn(p)
	return report, nil
}
