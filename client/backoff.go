package client

import "time"

// The figures are those of experience with reconnect storms: full jitter
// spreads a crowd best, and a connection that dies at once must not reset it.
const (
	backoffBase = 500 * time.Millisecond
	backoffCap  = 20 * time.Second
	// stableAfter is how long a connection must stand before the next loss
	// counts as the first.
	stableAfter = 10 * time.Second
	// maxRetryAfter bounds what a server may ask for.
	maxRetryAfter = 5 * time.Minute
)

// backoff says how long to wait before coming back (docs/protocol.md §6.4).
type backoff struct {
	base, cap time.Duration
	// random(d) is uniform in [0, d).
	random func(time.Duration) time.Duration
}

// wait returns the wait after the failed attempt n = 0, 1, 2…: uniform from 0
// to base·2ⁿ, at most the cap.
func (b backoff) wait(n int) time.Duration { return b.random(b.bound(n)) }

func (b backoff) bound(n int) time.Duration {
	bound := b.base
	for range n {
		if bound *= 2; bound >= b.cap {
			return b.cap
		}
	}
	return min(bound, b.cap)
}
