//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Roll is a rolling restart under load: each node in turn is asked to end, its
// clients go to the others with their cursors, and it is started again.
type Roll struct {
	Clients int // spread over rooms and nodes
	Rooms   int
	Rate    float64 // messages a second over all rooms, in each of which one member posts
	Size    int     // bytes of a message's content
	Times   Times   // before the first restart
	// Watch is for how long after the last restart has begun is looked at what
	// clients are told of those who moved; longer than the grace for broken
	// connections.
	Watch time.Duration
}

// restartTime bounds one restart.
const restartTime = 90 * time.Second

func (s Roll) check(target Target) error {
	if s.Rooms < 1 || s.Clients < s.Rooms || s.Clients%s.Rooms != 0 {
		return fmt.Errorf("%d clients do not divide into %d rooms", s.Clients, s.Rooms)
	}
	if s.Rate <= 0 {
		return fmt.Errorf("a rate of %v messages/s is no load", s.Rate)
	}
	if err := checkLoad(s.Clients, 1, s.Size, s.Rate); err != nil {
		return err
	}
	if len(target.spawned) < 2 {
		return errors.New("a rolling restart wants several servers of its own")
	}
	return nil
}

// Run restarts one node after the other.
func (s Roll) Run(ctx context.Context, target Target) (Report, error) {
	if err := s.check(target); err != nil {
		return nil, err
	}
	l, err := newLoop(target.addrs()...)
	if err != nil {
		return nil, err
	}
	defer l.close()
	following, cancel := context.WithCancel(ctx)
	reads, wait := followReads(following, target.addrs())
	defer wait()
	defer cancel()
	r := roll{Roll: s, target: target, herd: newHerd(l, s.Rooms, s.Clients/s.Rooms, s.Size), reads: reads}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	var report Report
	r.report(section{"rolling restart", s.load(), &report})
	return report, nil
}

func (s Roll) load() string {
	return fmt.Sprintf("%s clients in %s rooms, %s messages/s of %d B", count(s.Clients), count(s.Rooms), number(s.Rate), s.Size)
}

// roll is one run.
type roll struct {
	Roll
	target Target
	herd   *herd
	reads  *reads

	normal   outage // without one
	restarts []outage
	presence uint64 // what clients were told of those who moved
}

// outage is one restart.
type outage struct {
	moved     int
	lastIn    time.Duration // from the signal until the last client was elsewhere
	ready     time.Duration // from the signal until the node was back
	peak      int           // clients that one node took in a second
	readRate  float64       // of all nodes, statements a second
	histories float64       // reads of logs by one node, most
	store     float64       // cores that the database used
	latency   quantiles
}

func (r *roll) run(ctx context.Context) error {
	if err := r.herd.connect(ctx); err != nil {
		return err
	}
	if err := r.herd.begin(r.Rate); err != nil {
		return err
	}
	if err := r.runFor(ctx, r.Times.Warm); err != nil {
		return err
	}
	var err error
	if r.normal, err = r.measure(func() error { return r.runFor(ctx, r.Times.Measure) }); err != nil {
		return err
	}
	told := r.herd.presence
	began := time.Now()
	for node := range r.target.spawned {
		began = time.Now()
		if err := r.restart(ctx, node); err != nil {
			return fmt.Errorf("restart of node %d: %w", node+1, err)
		}
	}
	if err := r.runFor(ctx, r.Watch-time.Since(began)); err != nil {
		return err
	}
	r.presence = r.herd.presence - told
	ctx, cancel := context.WithTimeoutCause(ctx, drainTime, errors.New("posts are not acknowledged or not delivered after 30 s"))
	defer cancel()
	return r.herd.end(ctx)
}

func (r *roll) runFor(ctx context.Context, d time.Duration) error {
	end := r.herd.loop.now() + d
	return r.herd.loop.run(ctx, func() bool { return r.herd.loop.now() >= end })
}

// restart ends one node and starts it again, while the load goes on.
func (r *roll) restart(ctx context.Context, node int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, restartTime, fmt.Errorf("it is not over after %v", restartTime))
	defer cancel()
	h := r.herd
	h.leave(node)
	moved, began := len(h.away), h.loop.now()
	back := make(chan error, 1)
	go func() { back <- r.target.spawned[node].restart(ctx) }() // joined below
	var lastIn, ready time.Duration
	var failed error
	o, err := r.measure(func() error {
		err := h.loop.run(ctx, func() bool {
			if lastIn == 0 && len(h.away) == 0 {
				lastIn = h.loop.now() - began
			}
			select {
			case failed = <-back:
				ready = h.loop.now() - began
			default:
			}
			return failed != nil || lastIn > 0 && ready > 0
		})
		if ready == 0 {
			cancel()
			<-back
		}
		return errors.Join(err, failed)
	})
	o.moved, o.lastIn, o.ready, o.peak = moved, lastIn, ready, h.peak()
	r.restarts = append(r.restarts, o)
	return err
}

// measure is what happens during work.
func (r *roll) measure(work func() error) (outage, error) {
	var latency histogram
	store, err := r.storeTime()
	if err != nil {
		return outage{}, err
	}
	began := time.Now()
	r.herd.latency = &latency
	if err := work(); err != nil {
		return outage{}, err
	}
	r.herd.latency = nil
	ended := time.Now()
	after, err := r.storeTime()
	_, rate := r.reads.between(began, ended)
	o := outage{readRate: rate, histories: r.reads.histories(began, ended), latency: quantilesOf(&latency), store: (after - store).Seconds() / ended.Sub(began).Seconds()}
	return o, err
}

// storeTime is the processor time that PostgreSQL has used.
func (r *roll) storeTime() (time.Duration, error) {
	for _, s := range r.target.Behind {
		if s.Name == "PostgreSQL" {
			return familyTime(s.PID)
		}
	}
	return 0, nil
}

// report gives the worst of the restarts.
func (r *roll) report(out section) {
	var worst outage
	for i, o := range r.restarts {
		out.addTime(fmt.Sprintf("node %d: from SIGTERM until ready again", i+1), o.ready)
		out.add(fmt.Sprintf("node %d: clients moved", i+1), float64(o.moved), "")
		out.add(fmt.Sprintf("node %d: %s", i+1, lastMoved), o.lastIn.Seconds(), "s")
		worst.lastIn = max(worst.lastIn, o.lastIn)
		worst.peak = max(worst.peak, o.peak)
		worst.readRate = max(worst.readRate, o.readRate)
		worst.histories = max(worst.histories, o.histories)
		worst.store = max(worst.store, o.store)
		worst.latency.p50 = max(worst.latency.p50, o.latency.p50)
		worst.latency.p99 = max(worst.latency.p99, o.latency.p99)
	}
	out.add(lastMoved+", worst", worst.lastIn.Seconds(), "s")
	out.add("clients that one node took in a second, most", float64(worst.peak), "")
	out.add("store reads before", r.normal.readRate, "/s")
	out.add("store reads during a restart, most", worst.readRate, "/s")
	out.add(readRatio, worst.readRate/max(r.normal.readRate, 1), "")
	out.add(historyReads, worst.histories/float64(r.Rooms), "")
	out.add("PostgreSQL before", r.normal.store, "cores")
	out.add("PostgreSQL during a restart, most", worst.store, "cores")
	out.addTime("delivery between clients that stay, p99, before", r.normal.latency.p99)
	out.addTime("delivery between clients that stay, p99, during a restart, worst", worst.latency.p99)
	out.add("acknowledged and delivered to all", float64(r.herd.posted), "messages")
	out.add("lost, doubled or out of order", 0, "") // or there would be no report
	out.add("posts refused with shutting_down and sent again", float64(r.herd.refused), "")
	out.add("connections refused because the store could not be read, and tried again", float64(r.herd.retried), "")
	out.add(toldOfMoved, float64(r.presence), "frames")
}
