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

// backoff returns the wait after the failed attempt n = 0, 1, 2…: uniform
// from 0 to base·2ⁿ, at most the cap. random(d) is uniform in [0, d).
func backoff(n int, random func(time.Duration) time.Duration) time.Duration {
	return random(backoffBound(n))
}

func backoffBound(n int) time.Duration {
	bound := backoffBase
	for range n {
		if bound *= 2; bound >= backoffCap {
			return backoffCap
		}
	}
	return bound
}
