package observe

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// check is one check and its latest result.
type check struct {
	name     string
	optional bool // without it the server does worse, but serves
	run      func(context.Context) error
	log      *slog.Logger

	mu      sync.Mutex
	running chan struct{} // closed when the run under way ends; nil if there is none
	began   time.Time     // when the latest run began
	ended   time.Time     // when the latest run ended; zero before the first
	err     error         // of the latest run that ended
	took    time.Duration // by that run
	since   time.Time     // when the check began to fail
}

// result is what a check says at one moment.
type result struct {
	name     string
	optional bool
	failing  bool
	took     time.Duration // by the run, if not failing
	since    time.Time     // when it began to fail
}

func (r result) status() string {
	switch {
	case r.failing && r.optional:
		return statusDegraded
	case r.failing:
		return statusFailing
	}
	return statusOK
}

func (r result) String() string {
	lasts := time.Since(r.since).Round(time.Second)
	switch {
	case r.failing && r.optional:
		return fmt.Sprintf("[~] %s degraded since %s, for %s", r.name, r.since.UTC().Format(time.RFC3339), lasts)
	case r.failing:
		return fmt.Sprintf("[-] %s failing, for %s", r.name, lasts)
	}
	return fmt.Sprintf("[+] %s ok, %.1f ms", r.name, float64(r.took)/float64(time.Millisecond))
}

// start begins a run unless one is under way, the latest result is still
// good, or stopped has ended.
func (c *check) start(stopped context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil || stopped.Err() != nil || !c.ended.IsZero() && time.Since(c.ended) < checkAge {
		return
	}
	c.running = make(chan struct{})
	c.began = time.Now()
	go c.once(stopped, c.running)
}

// once runs the check. Whoever ends stopped waits for it in join; what a
// check says that was ended so says nothing.
func (c *check) once(stopped context.Context, done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(stopped, checkTimeout)
	defer cancel()
	err := c.run(ctx)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = nil
	if stopped.Err() != nil {
		return
	}
	wasFailing := c.err != nil && c.began.Sub(c.ended) < checkMemory
	c.err, c.ended = err, time.Now()
	c.took = c.ended.Sub(c.began)
	switch {
	case err != nil && !wasFailing:
		c.since = c.ended
		c.log.Warn("health check fails", "check", c.name, "error", err)
	case err == nil && wasFailing:
		c.log.Info("health check works again", "check", c.name, "after", c.ended.Sub(c.since).Round(time.Millisecond))
	}
}

// wait returns the result of the run under way, or of the latest one. A run
// that has lasted checkTimeout counts as failing, whatever becomes of it.
func (c *check) wait(ctx context.Context) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done, began := c.running, c.began; done != nil {
		c.mu.Unlock()
		timer := time.NewTimer(time.Until(began.Add(checkTimeout)))
		select {
		case <-done:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		c.mu.Lock()
	}
	r := result{name: c.name, optional: c.optional, took: c.took, failing: c.ended.IsZero() || c.err != nil, since: c.since}
	if c.running != nil && !r.failing && time.Since(c.began) >= checkTimeout {
		r.failing, r.since = true, c.began
	}
	if c.ended.IsZero() {
		r.since = c.began
	}
	return r
}

// join waits for the run under way, after stopped has ended.
func (c *check) join() {
	c.mu.Lock()
	done := c.running
	c.mu.Unlock()
	if done != nil {
		<-done
	}
}
