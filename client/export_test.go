package client

import "time"

// WithLongestWaits takes the jitter out of all waits: each is the longest that
// it may be, and a renewal begins as early as it may.
func WithLongestWaits() Option {
	return func(o *options) { o.random = func(d time.Duration) time.Duration { return d } }
}
