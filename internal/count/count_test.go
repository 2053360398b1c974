package count

import (
	"maps"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	s := NewSet("a", "b", "other")
	s.Of("a").Inc()
	s.Of("b").Add(2)
	s.Of("never heard of").Inc()
	s.Of("other").Inc()
	got := maps.Collect(s.All)
	if want := map[string]uint64{"a": 1, "b": 2, "other": 2}; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestSum(t *testing.T) {
	a, b := NewDurations(time.Millisecond, 2500*time.Microsecond), NewDurations(time.Millisecond, 2500*time.Microsecond)
	a.Observe(int64(time.Millisecond)) // a bound belongs to its bucket
	a.Observe(int64(2 * time.Millisecond))
	b.Observe(int64(time.Second))
	got := Sum(a, b)
	if got.Count != 3 || got.Sum != 1.003 {
		t.Errorf("count %d, sum %v, want 3 and 1.003", got.Count, got.Sum)
	}
	if want := map[float64]uint64{0.001: 1, 0.0025: 2}; !maps.Equal(got.Buckets, want) {
		t.Errorf("buckets %v, want %v", got.Buckets, want)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s, h := NewSet("a", "other"), NewHistogram(1, 2, 4)
	if n := testing.AllocsPerRun(100, func() {
		s.Of("a").Inc()
		h.Observe(3)
	}); n != 0 {
		t.Errorf("counting takes %v allocations, want none", n)
	}
}
