package auth

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"tertulia/chat"
)

const (
	// TicketLifetime is how long a ticket waits to be used.
	TicketLifetime = 30 * time.Second
	// ticketBytes is the random part of a ticket: 256 bits.
	ticketBytes = 32
	// maxTickets bounds the tickets that wait at one time, some 30 MB; it is
	// enough for 2,000 browsers a second that never come.
	maxTickets = 1 << 16
	// maxTicketsPerUser leaves room for every tab of a user to come back at
	// once.
	maxTicketsPerUser = 32
)

// Tickets are one-use credentials short enough to stand in a URL: a page
// fetches one with its token, and opens a WebSocket with it. They live in the
// memory of this node, hashed, and are good on it alone. The methods may be
// called from any goroutine.
type Tickets struct {
	now func() time.Time

	mu      sync.Mutex
	waiting map[[sha256.Size]byte]*list.Element
	byAge   *list.List // of *ticket, the oldest first
	perUser map[chat.UserID]int
}

type ticket struct {
	hash      [sha256.Size]byte
	identity  Identity
	origin    string
	expiresAt time.Time
}

// NewTickets makes a place for tickets.
func NewTickets() *Tickets { return newTicketsAt(time.Now) }

func newTicketsAt(now func() time.Time) *Tickets {
	return &Tickets{now: now, waiting: make(map[[sha256.Size]byte]*list.Element), byAge: list.New(), perUser: make(map[chat.UserID]int)}
}

// Issue returns a ticket that stands for id for [TicketLifetime]. If origin is
// not empty, pages of that origin alone may use it. Whoever uses it is the
// user of id and no service; an identity that a service asked for is good for
// [MaxLifetime].
//
// The error is a *chat.Error with code [chat.InvalidParameter] if id names no
// user, or [chat.RateLimited] if too many tickets wait to be used.
func (t *Tickets) Issue(id Identity, origin string) (string, error) {
	if id.User.ID == "" {
		return "", chat.Errorf(chat.InvalidParameter, "A ticket is for a user; name one in the header %s.", UserHeader)
	}
	now := t.now()
	if id.Service {
		id.Service, id.IssuedAt, id.ExpiresAt = false, now, now.Add(MaxLifetime)
	}
	random := make([]byte, ticketBytes)
	rand.Read(random) // never fails: crypto/rand ends the process instead
	text := base64.RawURLEncoding.EncodeToString(random)

	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropExpired(now)
	if len(t.waiting) >= maxTickets || t.perUser[id.User.ID] >= maxTicketsPerUser {
		return "", &chat.Error{Code: chat.RateLimited, Message: "Too many tickets wait to be used; use them, or ask again in a while.", RetryAfter: TicketLifetime}
	}
	tk := &ticket{hash: sha256.Sum256([]byte(text)), identity: id, origin: origin, expiresAt: now.Add(TicketLifetime)}
	t.waiting[tk.hash] = t.byAge.PushBack(tk)
	t.perUser[id.User.ID]++
	return text, nil
}

// errTicket is the same for every ticket that is not good, so that nothing is
// learnt by trying.
var errTicket = chat.Errorf(chat.Unauthenticated,
	"The ticket is not good: it is used, older than %s, or for a page of another origin. Fetch another.", TicketLifetime)

// Take returns the identity that a ticket stands for, and uses it up: of
// many that come with the same ticket, one gets it. A ticket that comes from
// another origin than it was made for is used up too. The error is a
// *chat.Error with code [chat.Unauthenticated], or [chat.TokenExpired] if the
// identity has expired since.
func (t *Tickets) Take(text, origin string) (Identity, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(ticketBytes) {
		return Identity{}, errTicket
	}
	tk := t.remove(sha256.Sum256([]byte(text)))
	now := t.now()
	switch {
	case tk == nil, !now.Before(tk.expiresAt), tk.origin != "" && tk.origin != origin:
		return Identity{}, errTicket
	case tk.identity.expired(now):
		return Identity{}, errExpired
	}
	return tk.identity, nil
}

// remove takes a ticket out, nil if it is not there.
func (t *Tickets) remove(hash [sha256.Size]byte) *ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.waiting[hash]
	if e == nil {
		return nil
	}
	return t.drop(e)
}

// dropExpired forgets the tickets that nobody has used. It is called with mu
// held, like drop.
func (t *Tickets) dropExpired(now time.Time) {
	for e := t.byAge.Front(); e != nil && !now.Before(e.Value.(*ticket).expiresAt); e = t.byAge.Front() {
		t.drop(e)
	}
}

func (t *Tickets) drop(e *list.Element) *ticket {
	tk := t.byAge.Remove(e).(*ticket)
	delete(t.waiting, tk.hash)
	user := tk.identity.User.ID
	if t.perUser[user]--; t.perUser[user] == 0 {
		delete(t.perUser, user)
	}
	return tk
}
