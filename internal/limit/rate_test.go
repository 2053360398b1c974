package limit

import (
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  Rate
		text2 string // as it is written; empty: as it was read
	}{
		{"10/s burst 30", Rate{10, time.Second, 30}, ""},
		{"20/h", Rate{20, time.Hour, 20}, ""},
		{"1/m burst 1", Rate{1, time.Minute, 1}, "1/m"},
		{"100/s burst 10", Rate{100, time.Second, 10}, ""},
		{" 5/s  burst  20 ", Rate{5, time.Second, 20}, "5/s burst 20"},
		{"1000000/s", Rate{1_000_000, time.Second, 1_000_000}, ""},
		{"0", Rate{}, ""},
	} {
		got, err := ParseRate(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseRate(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
		want := c.text2
		if want == "" {
			want = c.text
		}
		if written := got.String(); written != want {
			t.Errorf("ParseRate(%q) is written %q, want %q", c.text, written, want)
		}
	}
	for _, text := range []string{
		"", "10", "10/", "/s", "10/d", "10/s burst", "10/s burst 0", "10/s bursts 30", "10/s burst 30 more",
		"0/s", "-1/s", "1.5/s", "1000001/s", "1/s burst 1000001", "99999999999999999999/s", "off",
	} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %+v, want an error", text, got)
		}
	}
}
