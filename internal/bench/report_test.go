package bench

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWriteTable(t *testing.T) {
	var report Report
	out := section{"fanout", "1,000 members, 32 messages in flight of 64 B", &report}
	out.add("deliveries", 1_234_567.8, "/s")
	out.addPer(cpuPerDelivery, 12*time.Microsecond, 10)
	out = section{"ack", "100 senders, 16 messages in flight each of 64 B", &report}
	out.add(ackedPerSecond, 24_999, "/s")
	out.addTime("until acknowledged, p99", 1500*time.Microsecond)
	var got strings.Builder
	if err := report.WriteTable(&got); err != nil {
		t.Fatal(err)
	}
	want := `fanout: 1,000 members, 32 messages in flight of 64 B
  deliveries               1,234,568 /s
  server CPU per delivery  1.2 µs  target ≤ 1.2: met

ack: 100 senders, 16 messages in flight each of 64 B
  acknowledged             24,999 /s  target ≥ 25,000: missed
  until acknowledged, p99  1.5 ms
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestNumber(t *testing.T) {
	for _, test := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {0.0314, "0.031"}, {0.5, "0.5"}, {1, "1"}, {1.239, "1.24"}, {12.34, "12.3"},
		{20, "20"}, {100, "100"}, {999.6, "1,000"}, {25_000, "25,000"}, {1_234_567, "1,234,567"},
	} {
		if got := number(test.v); got != test.want {
			t.Errorf("number(%v) = %s, want %s", test.v, got, test.want)
		}
	}
}

// TestQuantiles compares with sorted samples; buckets are 0.8 % wide.
func TestQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var h histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(rnd.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		h.record(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		got, exact := h.quantile(q), all[max(int(q*float64(len(all))+0.5), 1)-1]
		if got < exact || float64(got) > float64(exact)*1.01+1 {
			t.Errorf("quantile(%v) = %v, want %v to 1 %%", q, got, exact)
		}
	}
	if h.reset(); h.quantile(0.5) != 0 || h.count != 0 {
		t.Errorf("after reset: %v of %d, want 0 of 0", h.quantile(0.5), h.count)
	}
}

func TestBucketsHoldTheirValues(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 257, 1 << 20, 1<<20 + 1, 1<<40 - 1, 1<<63 - 1} {
		i := bucketOf(v)
		if uint64(upperBound(i)) < v || i > 0 && uint64(upperBound(i-1)) >= v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, upperBound(i))
		}
	}
	h := new(histogram)
	h.record(-time.Second)
	if h.max != 0 || h.count != 1 {
		t.Errorf("a negative duration counts as %v, want 0", h.max)
	}
}
