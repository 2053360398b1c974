package room

import (
	"context"
	"errors"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

const (
	// defaultTrimEvery is a minute: retention is counted in days.
	defaultTrimEvery = time.Minute
	// trimPage is how many rooms are read at a time.
	trimPage = 100
	// trimRooms and trimCalls bound one round, by rooms looked at and by
	// transactions of 10,000 events. The next round goes on from there.
	trimRooms = 10_000
	trimCalls = 100
)

// janitor trims the logs of rooms that keep less than everything.
type janitor struct {
	// Fixed after construction.
	service *Service
	keep    chat.Retention // of rooms that have none of their own
	every   time.Duration
	ended   chan struct{} // closed when run has returned

	after chat.RoomID // owned by run: where the next round goes on
}

func newJanitor(s *Service, keep chat.Retention, every time.Duration) *janitor {
	if every == 0 {
		every = defaultTrimEvery
	}
	return &janitor{service: s, keep: keep, every: every, ended: make(chan struct{})}
}

func (j *janitor) run(ctx context.Context) {
	defer close(j.ended)
	tick := time.NewTicker(j.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.round(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// round trims for as long as its bounds let it. After the last room it begins
// with the first one, in the next round.
func (j *janitor) round(ctx context.Context) {
	for rooms, calls := 0, 0; rooms < trimRooms && calls < trimCalls; {
		page, err := j.service.store.Rooms(ctx, everyAccess, j.after, trimPage)
		if err != nil {
			j.failed(ctx, err)
			return
		}
		for i := range page {
			n, err := j.trim(ctx, &page[i], trimCalls-calls)
			if err != nil {
				j.failed(ctx, err)
				return
			}
			if calls += n; calls >= trimCalls {
				return // again with this room, for it may not be done
			}
			j.after = page[i].ID
		}
		if rooms += len(page); len(page) < trimPage {
			j.after = ""
			return
		}
	}
}

var everyAccess = []chat.Access{chat.AccessOpen, chat.AccessPublic, chat.AccessPrivate, chat.AccessDirect}

// trim trims one room, with at most so many transactions, and returns their
// number.
func (j *janitor) trim(ctx context.Context, r *chat.Room, most int) (calls int, err error) {
	keep := j.keepOf(r)
	if keep.Age == 0 && (keep.Events == 0 || r.Head-r.Floor < uint64(keep.Events)) {
		return 0, nil
	}
	for more := true; more && calls < most; calls++ {
		if _, more, err = j.service.store.Trim(ctx, r.ID, keep); err != nil {
			return calls, err
		}
	}
	return calls, nil
}

// keepOf is what a room keeps: its own bounds, and the server's where it has
// none.
func (j *janitor) keepOf(r *chat.Room) chat.Retention {
	keep := r.Keep
	if keep.Age == 0 {
		keep.Age = j.keep.Age
	}
	if keep.Events == 0 {
		keep.Events = j.keep.Events
	}
	return keep
}

// failed says that a round was cut short; the next one goes on.
func (j *janitor) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	j.service.log.Warn("cannot trim the logs", "error", err)
	if errors.Is(err, store.ErrBroken) {
		j.service.broken(err)
	}
}
