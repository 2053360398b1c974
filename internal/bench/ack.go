//go:build linux

package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Ack is many senders, each in a room of its own: the store's work.
type Ack struct {
	Senders  int
	Inflight int // messages of one sender not yet acknowledged, at most
	Size     int // bytes of a message's content
	// Rate adds a second phase with so many messages a second over all
	// senders, 0 for none. Latency is counted from when a message was due, so
	// that a server that falls behind cannot hide it.
	Rate  float64
	Times Times
}

// Run measures with all windows full, then at the rate.
func (s Ack) Run(ctx context.Context, target Target) (Report, error) {
	if err := checkLoad(s.Senders, s.Inflight, s.Size, s.Rate); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	c := newCrowd(l, s.Senders, 1, s.Size, "&history=0")
	if err := c.connect(ctx); err != nil {
		return nil, err
	}

	var report Report
	p, err := c.measure(ctx, target, s.Times, load{window: s.Inflight, gate: gateAck})
	if err != nil {
		return nil, err
	}
	s.report(section{"ack", s.closed(), &report}, p)
	if s.Rate == 0 {
		return report, nil
	}
	if p, err = c.measure(ctx, target, s.Times, load{rate: s.Rate}); err != nil {
		return nil, err
	}
	s.report(section{"ack", s.open(), &report}, p)
	return report, nil
}

func (s Ack) closed() string {
	return fmt.Sprintf("%s senders, %d messages in flight each of %d B", count(s.Senders), s.Inflight, s.Size)
}

func (s Ack) open() string {
	return fmt.Sprintf("%s senders, %s messages/s of %d B", count(s.Senders), number(s.Rate), s.Size)
}

func (s Ack) report(out section, p phase) {
	out.add(ackedPerSecond, float64(p.acked)/p.elapsed.Seconds(), "/s")
	out.addPer(cpuPerMessage, p.serverCPU, p.acked)
	out.addBehind(p, p.acked)
	out.addTime("until acknowledged, p50", p.ack.p50)
	out.addTime("until acknowledged, p99", p.ack.p99)
	out.addTime("until acknowledged, p99.9", p.ack.p999)
	out.addOwn(p)
}

// addBehind adds what each message cost the services behind the server, and
// the sum of all.
func (s section) addBehind(p phase, messages uint64) {
	if len(p.behindCPU) == 0 {
		return
	}
	all := p.serverCPU
	for _, name := range slices.Sorted(maps.Keys(p.behindCPU)) {
		s.addPer(name+" CPU per message", p.behindCPU[name], messages)
		all += p.behindCPU[name]
	}
	s.addPer("CPU per message, all together", all, messages)
}
