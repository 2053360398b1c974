package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// answer is what the journal says of a row.
type answer struct {
	Posted
	err error
}

// write has the journal store rows of one room, in one transaction and in
// their order, and waits for what becomes of them. It returns what became of
// the first one, and the first refusal of any; what is behind a repeat is not
// looked at. A context that ends leaves the outcome unknown, and is told so
// with chat.StoreUnavailable.
func (s *Service) write(ctx context.Context, rows ...store.Append) (Posted, error) {
	l, key := s.lane(rows[0].Room)
	answers := make(chan answer, len(rows)) // room for all: a callback must not block
	waiters := make([]waiter, len(rows))
	for i := range waiters {
		waiters[i] = waiter{key: key, done: func(p Posted, err error) { answers <- answer{p, err} }}
	}
	if err := l.enqueue(rows, waiters); err != nil {
		return Posted{}, err
	}
	var first answer
	for i := range rows {
		select {
		case a := <-answers:
			if i == 0 {
				first = a
			}
			if a.err != nil && !first.Duplicate {
				return Posted{}, a.err
			}
		case <-ctx.Done():
			return Posted{}, errLeft
		}
	}
	return first.Posted, nil
}

// maxTries is how often a decision is taken anew because what it was based on
// had changed by the time it was to be stored.
const maxTries = 5

// retry takes a decision again, based on what is then, for as long as it
// comes too late.
func retry[T any](decide func() (T, error)) (got T, err error) {
	for range maxTries {
		if got, err = decide(); !hasCode(err, chat.VersionConflict) {
			break
		}
	}
	return got, err
}
