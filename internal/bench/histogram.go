package bench

import (
	"math/bits"
	"time"
)

// subBits makes 128 buckets for each power of two: values are kept to 0.8 %.
const subBits = 7

// histogram counts durations. Recording takes no memory and about 2 ns.
type histogram struct {
	buckets [(64 - subBits) << subBits]uint64
	count   uint64
	max     time.Duration
}

// record counts d; a negative one counts as zero.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// quantile returns the smallest bound that a share q of the durations does
// not exceed, 0 if nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q*float64(h.count) + 0.5)
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			return min(upperBound(i), h.max)
		}
	}
	return h.max
}

func (h *histogram) reset() { *h = histogram{} }

// bucketOf keeps the subBits+1 highest bits of v.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upperBound is the largest value of bucket i.
func upperBound(i int) time.Duration {
	shift := max(i>>subBits-1, 0)
	return time.Duration(uint64(i-shift<<subBits+1)<<shift - 1)
}
