// Package count holds the counters that layers keep of their own work.
//
// Counting is one or two atomic additions: no lock, no allocation, nobody to
// tell. Package metrics reads the counters when somebody asks. All methods may
// be called from any goroutine.
package count

import (
	"slices"
	"sync/atomic"
	"time"
)

// cacheLine is how far counters stand apart, so that two cores that count
// different things do not wait for each other.
const cacheLine = 64

// Counter only rises. The zero value is 0.
type Counter struct {
	n atomic.Uint64
	_ [cacheLine - 8]byte
}

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value returns what has been counted.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Set is a counter for each of a few labels, which never become more: the
// last one takes whatever has none of its own.
type Set struct {
	labels   []string
	counters []Counter
	index    map[string]int
}

// NewSet makes a counter for each label.
func NewSet(labels ...string) *Set {
	s := &Set{labels: slices.Clone(labels), counters: make([]Counter, len(labels)), index: make(map[string]int, len(labels))}
	for i, label := range s.labels {
		s.index[label] = i
	}
	return s
}

// Of returns the counter of a label.
func (s *Set) Of(label string) *Counter {
	i, ok := s.index[label]
	if !ok {
		i = len(s.counters) - 1
	}
	return &s.counters[i]
}

// All yields every label with what has been counted, in the order of NewSet.
func (s *Set) All(yield func(label string, n uint64) bool) {
	for i := range s.counters {
		if !yield(s.labels[i], s.counters[i].Value()) {
			return
		}
	}
}

// Histogram counts values by size. Its buckets are fixed.
type Histogram struct {
	unit    float64 // values in one unit of what is shown
	bounds  []int64 // of the buckets, inclusive, rising
	buckets []atomic.Uint64
	sum     atomic.Int64
}

// NewHistogram makes a histogram of plain numbers.
func NewHistogram(bounds ...int64) *Histogram {
	return &Histogram{unit: 1, bounds: slices.Clone(bounds), buckets: make([]atomic.Uint64, len(bounds)+1)}
}

// NewDurations makes a histogram of durations, which is shown in seconds.
func NewDurations(bounds ...time.Duration) *Histogram {
	h := NewHistogram()
	h.unit = float64(time.Second)
	for _, bound := range bounds {
		h.bounds = append(h.bounds, int64(bound))
	}
	h.buckets = make([]atomic.Uint64, len(bounds)+1)
	return h
}

// Observe counts one value: two additions.
func (h *Histogram) Observe(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(v)
}

// ObserveSince counts the time from start until now.
func (h *Histogram) ObserveSince(start time.Time) { h.Observe(int64(time.Since(start))) }

// Totals are what histograms have counted, in the unit that is shown.
type Totals struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64 // up to and with each bound
}

// Sum adds up histograms with the same buckets: at least one. Values observed
// meanwhile may be in the buckets and not yet in Sum.
func Sum(all ...*Histogram) Totals {
	first := all[0]
	t := Totals{Buckets: make(map[float64]uint64, len(first.bounds))}
	for i := range first.buckets {
		for _, h := range all {
			t.Count += h.buckets[i].Load()
		}
		if i < len(first.bounds) {
			t.Buckets[float64(first.bounds[i])/first.unit] = t.Count
		}
	}
	for _, h := range all {
		t.Sum += float64(h.sum.Load()) / first.unit
	}
	return t
}
