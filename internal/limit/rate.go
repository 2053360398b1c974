// Package limit bounds how often, and how many times at once, something may be
// done: by a user, from an address, in a room, on a connection.
//
// A [Limiter] holds the limits of a node and answers what may go on. It starts
// no goroutine, and what it remembers is bounded whatever clients do.
package limit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may be done: Count times in each Per, of which
// up to Burst at once after a pause. A Count of 0 is no limit.
type Rate struct {
	Count int
	Per   time.Duration // a second, a minute or an hour
	Burst int
}

// maxCount bounds the numbers of a rate, so that times are exact in
// nanoseconds.
const maxCount = 1_000_000

var units = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}}

// ParseRate reads a rate: "10/s burst 30", "20/h", or "0" for none. Without a
// burst it is the count. The error is a sentence for people.
func ParseRate(text string) (Rate, error) {
	if strings.TrimSpace(text) == "0" {
		return Rate{}, nil
	}
	words := strings.Fields(text)
	if len(words) != 1 && (len(words) != 3 || words[1] != "burst") {
		return Rate{}, rateError(text)
	}
	count, unit, _ := strings.Cut(words[0], "/")
	r := Rate{Per: perOf(unit)}
	var err error
	if r.Count, err = strconv.Atoi(count); err != nil || r.Per == 0 {
		return Rate{}, rateError(text)
	}
	r.Burst = r.Count
	if len(words) == 3 {
		if r.Burst, err = strconv.Atoi(words[2]); err != nil {
			return Rate{}, rateError(text)
		}
	}
	if r.Count < 1 || r.Count > maxCount || r.Burst < 1 || r.Burst > maxCount {
		return Rate{}, fmt.Errorf("%q is out of range; the numbers of a rate are from 1 to %d, and 0 alone is no limit", text, maxCount)
	}
	return r, nil
}

func rateError(text string) error {
	return fmt.Errorf("%q is not a rate; write how many in a second, minute or hour, and how many at once, like 10/s burst 30 or 20/h, or 0 for no limit", text)
}

func perOf(unit string) time.Duration {
	for _, u := range units {
		if u.name == unit {
			return u.per
		}
	}
	return 0
}

// String writes r as ParseRate reads it.
func (r Rate) String() string {
	if r.Off() {
		return "0"
	}
	var unit string
	for _, u := range units {
		if u.per == r.Per {
			unit = u.name
		}
	}
	s := strconv.Itoa(r.Count) + "/" + unit
	if r.Burst != r.Count {
		s += " burst " + strconv.Itoa(r.Burst)
	}
	return s
}

// Off reports whether r is no limit.
func (r Rate) Off() bool { return r.Count == 0 }

// step is the time in which one place of the bucket comes back.
func (r Rate) step() time.Duration { return r.Per / time.Duration(r.Count) }

// room is the time in which an exhausted bucket fills.
func (r Rate) room() time.Duration { return r.step() * time.Duration(r.Burst) }
