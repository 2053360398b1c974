package metrics

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"

	"tertulia/internal/count"
	"tertulia/internal/presence"
)

// prefix begins every name of ours.
const prefix = "tertulia_"

// gauge is a number that is asked for.
func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help}, value)
}

// oneIf is 1 if something is so, and 0 if not.
func oneIf(is func() bool) func() float64 {
	return func() float64 {
		if is() {
			return 1
		}
		return 0
	}
}

// counter is one counter without labels.
func counter(name, help string, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: prefix + name, Help: help}, func() float64 { return float64(value()) })
}

// family is a metric with one label, or none, whose values are read when
// somebody asks.
type family struct {
	desc    *prometheus.Desc
	collect func(*prometheus.Desc, chan<- prometheus.Metric)
}

func (f family) Describe(out chan<- *prometheus.Desc) { out <- f.desc }

func (f family) Collect(out chan<- prometheus.Metric) { f.collect(f.desc, out) }

// describe names a metric; an empty label is none. always are labels with
// one value.
func describe(name, help, label string, always ...prometheus.Labels) *prometheus.Desc {
	var labels []string
	if label != "" {
		labels = []string{label}
	}
	var fixed prometheus.Labels
	if len(always) > 0 {
		fixed = always[0]
	}
	return prometheus.NewDesc(prefix+name, help, labels, fixed)
}

func constant(label, value string) prometheus.Labels { return prometheus.Labels{label: value} }

// newCounters are counters told apart by a label.
func newCounters(name, help, label string, values iter.Seq2[string, uint64], always ...prometheus.Labels) family {
	return family{describe(name, help, label, always...), func(d *prometheus.Desc, out chan<- prometheus.Metric) {
		for at, n := range values {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), at)
		}
	}}
}

// single is one counter with its label.
func single(label string, c *count.Counter) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) { yield(label, c.Value()) }
}

// newGauges are gauges told apart by a label.
func newGauges(name, help, label string, values iter.Seq2[string, float64]) family {
	return family{describe(name, help, label), func(d *prometheus.Desc, out chan<- prometheus.Metric) {
		for at, v := range values {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, at)
		}
	}}
}

// buckets are the histograms that are shown as one under a label.
type buckets struct {
	label string
	read  func() []*count.Histogram
}

func one(h *count.Histogram) func() []*count.Histogram {
	all := []*count.Histogram{h}
	return func() []*count.Histogram { return all }
}

// newHistogram is a histogram for each value of a label, or one without.
func newHistogram(name, help, label string, values ...buckets) family {
	return family{describe(name, help, label), func(d *prometheus.Desc, out chan<- prometheus.Metric) {
		for _, b := range values {
			t := count.Sum(b.read()...)
			var at []string
			if label != "" {
				at = []string{b.label}
			}
			out <- prometheus.MustNewConstHistogram(d, t.Count, t.Sum, t.Buckets, at...)
		}
	}}
}

// online are two gauges that one walk through the rooms gives.
type online struct {
	here         *presence.Tracker
	users, rooms *prometheus.Desc
}

func newOnline(here *presence.Tracker) *online {
	return &online{
		here:  here,
		users: describe("users_online", "Users with a connection to this node.", ""),
		rooms: describe("rooms_active", "Rooms that somebody is connected to.", ""),
	}
}

func (o *online) Describe(out chan<- *prometheus.Desc) { out <- o.users; out <- o.rooms }

func (o *online) Collect(out chan<- prometheus.Metric) {
	users, rooms := o.here.Online()
	out <- prometheus.MustNewConstMetric(o.users, prometheus.GaugeValue, float64(users))
	out <- prometheus.MustNewConstMetric(o.rooms, prometheus.GaugeValue, float64(rooms))
}
