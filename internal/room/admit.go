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

// maxAdmissions bounds each half of what admissions remembers: some 4 MB.
const maxAdmissions = 1 << 15

// admissions remembers of users whether their accounts are disabled, so that
// a post need not ask. What has not been put in for a while is forgotten, a
// half at a time. Accounts change by [Service.PutAccount] alone, which tells.
type admissions struct {
	mu         sync.RWMutex
	young, old map[chat.UserID]bool
	changes    uint64 // counts set
}

func newAdmissions() admissions { return admissions{young: make(map[chat.UserID]bool)} }

func (a *admissions) of(id chat.UserID) (disabled, known bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if disabled, known = a.young[id]; !known {
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

// put is called with mu held.
func (a *admissions) put(id chat.UserID, disabled bool) {
	if len(a.young) >= maxAdmissions {
		a.old, a.young = a.young, make(map[chat.UserID]bool)
	}
	a.young[id] = disabled
}
