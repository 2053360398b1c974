package auth

import (
	"container/list"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"tertulia/chat"
)

// maxTickets bounds the tickets that wait in a node's memory, some 40 MB; it
// is enough for 2,000 browsers a second that never come.
const maxTickets = 1 << 16

// TicketMemory keeps tickets in the memory of one node, on which alone they
// are good.
type TicketMemory struct {
	now func() time.Time

	mu      sync.Mutex
	waiting map[[sha256.Size]byte]*list.Element
	byAge   *list.List // of *ticket, the oldest first
	perUser map[chat.UserID]int
}

type ticket struct {
	hash      [sha256.Size]byte
	user      chat.UserID
	sealed    []byte
	expiresAt time.Time
}

// NewTicketMemory returns a keeper that is empty.
func NewTicketMemory() *TicketMemory { return newTicketMemoryAt(time.Now) }

func newTicketMemoryAt(now func() time.Time) *TicketMemory {
	return &TicketMemory{now: now, waiting: make(map[[sha256.Size]byte]*list.Element), byAge: list.New(), perUser: make(map[chat.UserID]int)}
}

// PutTicket implements [TicketKeeper]. All lifetimes are the same.
func (m *TicketMemory) PutTicket(_ context.Context, hash [sha256.Size]byte, user chat.UserID, sealed []byte, lifetime time.Duration, most int) (kept bool, err error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropExpired(now)
	if len(m.waiting) >= maxTickets || m.perUser[user] >= most {
		return false, nil
	}
	m.waiting[hash] = m.byAge.PushBack(&ticket{hash, user, sealed, now.Add(lifetime)})
	m.perUser[user]++
	return true, nil
}

// TakeTicket implements [TicketKeeper].
func (m *TicketMemory) TakeTicket(_ context.Context, hash [sha256.Size]byte) (sealed []byte, err error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.waiting[hash]
	if e == nil {
		return nil, nil
	}
	if tk := m.drop(e); now.Before(tk.expiresAt) {
		return tk.sealed, nil
	}
	return nil, nil
}

// dropExpired forgets the tickets that nobody has used. It is called with mu
// held, like drop.
func (m *TicketMemory) dropExpired(now time.Time) {
	for e := m.byAge.Front(); e != nil && !now.Before(e.Value.(*ticket).expiresAt); e = m.byAge.Front() {
		m.drop(e)
	}
}

func (m *TicketMemory) drop(e *list.Element) *ticket {
	tk := m.byAge.Remove(e).(*ticket)
	delete(m.waiting, tk.hash)
	if m.perUser[tk.user]--; m.perUser[tk.user] == 0 {
		delete(m.perUser, tk.user)
	}
	return tk
}
