//go:build linux

package bench

import (
	"context"
	"os"
	"time"
)

// phase is what one time of steady load came to.
type phase struct {
	totals
	behind    uint64 // posts that not every member had at the end
	elapsed   time.Duration
	serverCPU time.Duration
	behindCPU map[string]time.Duration // of what the server stands on, by name
	ownCPU    time.Duration            // of the load generator
	ack       quantiles                // until message_sent
	read      quantiles                // until every member had the message
	crossing  quantiles                // from message_sent until the members at other nodes had it
}

type quantiles struct{ p50, p99, p999 time.Duration }

func quantilesOf(h *histogram) quantiles {
	return quantiles{h.quantile(0.5), h.quantile(0.99), h.quantile(0.999)}
}

// Times are how long a phase of load is.
type Times struct {
	// Warm is for caches, pools and queues to fill; nothing in it is measured.
	Warm time.Duration
	// Measure is what figures are taken over.
	Measure time.Duration
}

// measure puts load on the server and measures it between two instants while
// the load goes on. Latencies are of posts that ended between them.
func (c *crowd) measure(ctx context.Context, target Target, times Times, load load) (phase, error) {
	if err := c.begin(load); err != nil {
		return phase{}, err
	}
	if err := c.runFor(ctx, times.Warm); err != nil {
		return phase{}, err
	}
	before, err := readMeter(target)
	if err != nil {
		return phase{}, err
	}
	counted := c.totals
	c.ackLatency.reset()
	c.readLatency.reset()
	c.crossLatency.reset()
	if err := c.runFor(ctx, times.Measure); err != nil {
		return phase{}, err
	}
	after, err := readMeter(target)
	if err != nil {
		return phase{}, err
	}
	p := after.since(before)
	p.totals = c.totals.minus(counted)
	p.behind = c.posted - c.completed
	p.ack, p.read, p.crossing = quantilesOf(&c.ackLatency), quantilesOf(&c.readLatency), quantilesOf(&c.crossLatency)
	return p, c.drain(ctx)
}

func (c *crowd) runFor(ctx context.Context, d time.Duration) error {
	end := c.loop.now() + d
	return c.loop.run(ctx, func() bool { return c.loop.now() >= end })
}

// metered measures one piece of work from its beginning to its end.
func metered(target Target, work func() error) (phase, error) {
	before, err := readMeter(target)
	if err != nil {
		return phase{}, err
	}
	if err := work(); err != nil {
		return phase{}, err
	}
	after, err := readMeter(target)
	return after.since(before), err
}

// meter is a reading of the clocks.
type meter struct {
	at          time.Time
	server, own time.Duration
	behind      map[string]time.Duration
}

func readMeter(target Target) (meter, error) {
	server, err := target.cpuTime()
	if err != nil {
		return meter{}, err
	}
	own, err := cpuTime(os.Getpid())
	if err != nil {
		return meter{}, err
	}
	m := meter{at: time.Now(), server: server, own: own}
	for _, s := range target.Behind {
		if m.behind == nil {
			m.behind = make(map[string]time.Duration)
		}
		if m.behind[s.Name], err = familyTime(s.PID); err != nil {
			return meter{}, err
		}
	}
	return m, nil
}

// since is the phase between two readings, without its counts.
func (m meter) since(begin meter) phase {
	p := phase{
		elapsed:   m.at.Sub(begin.at),
		serverCPU: m.server - begin.server,
		ownCPU:    m.own - begin.own,
	}
	for name, total := range m.behind {
		if p.behindCPU == nil {
			p.behindCPU = make(map[string]time.Duration)
		}
		p.behindCPU[name] = total - begin.behind[name]
	}
	return p
}
