package room

import (
	"context"
	"sync"
	"time"

	"tertulia/chat"
)

// readLimit is how long a read that a verb needs may take.
const readLimit = 10 * time.Second

// admit returns chat.Forbidden for a user whose account is disabled. A
// service is not looked at, nor whom it acts for. The store is asked for
// users of whom nothing is known so far, once for many calls.
func (s *Service) admit(ctx context.Context, by chat.Principal) error {
	if by.Service {
		return nil
	}
	disabled, known := s.admissions.of(by.User.ID)
	if !known {
		var err error
		if disabled, err = s.readAdmission(ctx, by.User.ID); err != nil {
			return err
		}
	}
	if disabled {
		return errDisabled
	}
	return nil
}

func (s *Service) readAdmission(ctx context.Context, id chat.UserID) (disabled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	changes := s.admissions.mark()
	a, _, err := s.store.Account(ctx, id)
	if err != nil {
		return false, s.unreadable("an account", err)
	}
	s.admissions.learn(id, a.Disabled, changes)
	return a.Disabled, nil
}

const (
	// maxAdmissions bounds each half of what admissions remembers: some 4 MB.
	maxAdmissions = 1 << 15
	// admissionsFor is how long an account is remembered at least, and twice
	// that at most: a change on another node that the bus has lost counts here
	// after 10 s (docs/protocol.md §20).
	admissionsFor = 5 * time.Second
)

// admissions remembers of users for a moment whether their accounts are
// disabled, so that a post need not ask. Accounts change by
// [Service.PutAccount] alone, which tells this node at once and the others by
// bus.RightsTopic.
type admissions struct {
	mu         sync.RWMutex
	young, old map[chat.UserID]bool
	turnedAt   time.Time
	changes    uint64 // counts set, forget and clear
}

func newAdmissions() admissions {
	return admissions{young: make(map[chat.UserID]bool), turnedAt: time.Now()}
}

func (a *admissions) of(id chat.UserID) (disabled, known bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	age := time.Since(a.turnedAt) // of what is young, at most; the old is one turn older
	if age < 2*admissionsFor {
		disabled, known = a.young[id]
	}
	if !known && age < admissionsFor {
		disabled, known = a.old[id]
	}
	return disabled, known
}

// mark is taken before an account is read, and given to learn.
func (a *admissions) mark() uint64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.changes
}

// learn takes what was read, unless an account has changed since: what was
// read may then be old.
func (a *admissions) learn(id chat.UserID, disabled bool, mark uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.changes == mark {
		a.put(id, disabled)
	}
}

// set takes what was written.
func (a *admissions) set(id chat.UserID, disabled bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	a.put(id, disabled)
}

// forget has an account be read again.
func (a *admissions) forget(id chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	delete(a.young, id)
	delete(a.old, id)
}

// clear has all accounts be read again.
func (a *admissions) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	clear(a.young)
	a.old = nil
}

// put is called with mu held.
func (a *admissions) put(id chat.UserID, disabled bool) {
	age := time.Since(a.turnedAt)
	if age >= admissionsFor || len(a.young) >= maxAdmissions {
		a.old = a.young
		if age >= 2*admissionsFor {
			a.old = nil
		}
		a.young, a.turnedAt = make(map[chat.UserID]bool), time.Now()
	}
	a.young[id] = disabled
}
