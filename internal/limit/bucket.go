package limit

import "time"

// Bucket counts one thing against a [Rate]; its zero value is full. It is not
// safe for concurrent use.
//
// All that a token bucket knows is when it will be full again. One for which
// that time has passed is as good as new, and may be forgotten.
type Bucket struct {
	fullAt time.Duration // on the clock of this package
}

// Allow takes n from the bucket if they are there, n above the burst counting
// as the burst. Otherwise it takes nothing and says when they will be.
func (b *Bucket) Allow(r Rate, n int) (ok bool, retryAfter time.Duration) {
	if r.Off() {
		return true, 0
	}
	return b.take(r, n, now())
}

func (b *Bucket) take(r Rate, n int, at time.Duration) (ok bool, retryAfter time.Duration) {
	fullAt := max(b.fullAt, at) + r.step()*time.Duration(min(n, r.Burst))
	if wait := fullAt - at - r.room(); wait > 0 {
		return false, wait
	}
	b.fullAt = fullAt
	return true, 0
}

// epoch is the zero of the clock. The clock is monotonic: setting the system's
// neither opens nor closes a bucket. It lies a century back, so that now is
// positive in synctest's year 2000 too, where a zero Bucket has to be full.
var epoch = time.Now().Add(-100 * 365 * 24 * time.Hour)

func now() time.Duration { return time.Since(epoch) }
