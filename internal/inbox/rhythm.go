package inbox

import "time"

// tellEvery is how often a user is told of one room.
const tellEvery = time.Second

// pulse is where something stands in its rhythm.
type pulse struct {
	dirty   bool // it has changed since it was taken
	resting bool // it was told of less than tellEvery ago
}

func (p *pulse) beat() *pulse { return p }

// rhythm lets each of many things be told of at once when it has been quiet,
// and then once every tellEvery.
type rhythm[T interface{ beat() *pulse }] struct {
	due     []T
	resting []rest[T] // oldest first
}

type rest[T any] struct {
	of    T
	since time.Time
}

// mark notes that x has changed.
func (r *rhythm[T]) mark(x T) {
	p := x.beat()
	if p.dirty {
		return
	}
	p.dirty = true
	if !p.resting {
		r.due = append(r.due, x)
	}
}

// take returns what has changed and has rested.
func (r *rhythm[T]) take(now time.Time) []T {
	rested := 0
	for rested < len(r.resting) && now.Sub(r.resting[rested].since) >= tellEvery {
		x := r.resting[rested].of
		if x.beat().resting = false; x.beat().dirty {
			r.due = append(r.due, x)
		}
		rested++
	}
	clear(r.resting[:rested])
	r.resting = r.resting[rested:]
	due := r.due
	r.due = nil
	for _, x := range due {
		x.beat().dirty = false
	}
	return due
}

// rest lets x, which was taken, be quiet for a while.
func (r *rhythm[T]) rest(x T, now time.Time) {
	x.beat().resting = true
	r.resting = append(r.resting, rest[T]{x, now})
}

// next returns when take is to be called again, if there is anything to wait
// for.
func (r *rhythm[T]) next(now time.Time) (at time.Time, ok bool) {
	switch {
	case len(r.due) > 0:
		return now, true
	case len(r.resting) > 0:
		return r.resting[0].since.Add(tellEvery), true
	}
	return time.Time{}, false
}
