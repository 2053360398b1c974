package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// crowd is many clients with one source of randomness and one clock, all of
// them online and stable since.
func crowd(t *testing.T, n int) (clients []*bench, random func(time.Duration) time.Duration) {
	source := rand.New(rand.NewPCG(1, 2))
	random = func(d time.Duration) time.Duration { return time.Duration(source.Int64N(int64(d))) }
	for range n {
		b := newBench(t)
		b.p.random = random
		b.online()
		b.now = b.now.Add(time.Minute)
		clients = append(clients, b)
	}
	return clients, random
}

// The wait after the n-th failure in a row is uniform from 0 to
// min(0.5 s · 2ⁿ, 20 s): nobody leaves the bounds, and every tenth of them
// gets its share of the crowd.
func TestFullJitter(t *testing.T) {
	const n, parts = 1000, 10
	clients, _ := crowd(t, n)
	for failure, bound := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 20000, 20000} {
		bound *= time.Millisecond
		var share [parts]int
		for _, c := range clients {
			lostAt := c.now
			c.p.lost(c.now, errBroken)
			wait := c.p.status.RetryAt.Sub(lostAt)
			if wait < 0 || wait >= bound {
				t.Fatalf("failure %d: a client waits for %v, want less than %v", failure+1, wait, bound)
			}
			share[wait*parts/bound]++
			c.now = c.p.status.RetryAt
			c.p.tick(c.now)
		}
		for i, got := range share {
			// 4.2 standard deviations of a fair tenth of 1,000.
			if got < n/parts-40 || got > n/parts+40 {
				t.Errorf("failure %d: %d of %d clients wait between %d and %d tenths of %v, want about %d", failure+1, got, n, i, i+1, bound, n/parts)
			}
		}
	}
}

// A server that restarts within a second and asks 2,000 clients to come back
// within 8 s gets them spread over that time, those included that tried while
// it was not there.
func TestRestartSpreadsTheCrowd(t *testing.T) {
	const (
		n       = 2000
		askedTo = 8 * time.Second
		down    = time.Second
	)
	clients, random := crowd(t, n)
	first, last := time.Hour, time.Duration(0)
	perSecond := map[time.Duration]int{}
	for _, c := range clients {
		lostAt := c.now
		asked := random(askedTo).Truncate(time.Millisecond)
		c.p.lost(c.now, &CloseError{Code: 4000, Reason: fmt.Sprintf("restart; retry in %d ms", asked.Milliseconds())})
		if wait := c.p.status.RetryAt.Sub(lostAt); wait < asked || wait >= asked+backoffBase {
			t.Fatalf("asked to come back in %v, a client does in %v", asked, wait)
		}
		for c.p.status.RetryAt.Sub(lostAt) < down {
			c.now = c.p.status.RetryAt
			c.p.tick(c.now)
			c.p.work(c.now)
			c.p.lost(c.now, errors.New("connection refused"))
		}
		at := c.p.status.RetryAt.Sub(lostAt)
		first, last = min(first, at), max(last, at)
		perSecond[at/time.Second]++
	}
	mean := n / (last - first).Seconds()
	if last-first < 5*time.Second {
		t.Errorf("the crowd is back within %v, want at least 5s", last-first)
	}
	for second, got := range perSecond {
		if float64(got) > 2*mean {
			t.Errorf("%d clients come back in second %d, want at most twice the mean of %.0f", got, second, mean)
		}
	}
}

// A close reason may name a delay; it is honoured within reason.
func TestRetryHint(t *testing.T) {
	for _, c := range []struct {
		reason string
		want   time.Duration
	}{
		{"restart; retry in 1500 ms", 1500 * time.Millisecond},
		{"restart; retry in 0 ms", 0},
		{"retry in 7 ms, please", 0},
		{"retry in 3 s", 0},
		{"retry in -3 ms", 0},
		{"retry in 99999999999999999999 ms", 0},
		{"retry in ", 0},
		{"restart", 0},
		{"", 0},
	} {
		if got := retryHint(c.reason); got != c.want {
			t.Errorf("retryHint(%q) = %v, want %v", c.reason, got, c.want)
		}
	}
	b := newBench(t).online()
	b.p.lost(b.now, &CloseError{Code: 4000, Reason: "restart; retry in 86000000 ms"})
	if got, want := b.p.status.RetryAt.Sub(b.now), maxRetryAfter+backoffBase; got != want {
		t.Errorf("asked to wait for a day, a client waits for %v, want %v", got, want)
	}
}
