package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
)

const (
	// TicketLifetime is how long a ticket waits to be used.
	TicketLifetime = 30 * time.Second
	// ticketBytes is the random part of a ticket: 256 bits.
	ticketBytes = 32
	// maxTicketsPerUser leaves room for every tab of a user to come back at
	// once.
	maxTicketsPerUser = 32
)

// Tickets are one-use credentials short enough to stand in a URL: a page
// fetches one with its token, and opens a WebSocket with it. They are good on
// every node that has the same keeper. The methods may be called from any
// goroutine.
type Tickets struct {
	keeper TicketKeeper
	now    func() time.Time
}

// TicketKeeper holds tickets until they are used: a node's memory
// ([NewTicketMemory]), or the store that several nodes share. It knows of a
// ticket no more than a hash, and what it stands for in a sealed form. The
// methods may be called from any goroutine; auth/tickettest has a named case
// for each sentence.
type TicketKeeper interface {
	// PutTicket keeps what a ticket stands for, under the ticket's hash, for a
	// lifetime by the keeper's clock. kept is false, and nothing is kept, if so
	// many (most) of the user's tickets wait already, or if the keeper is full.
	// The caller leaves sealed as it is.
	PutTicket(ctx context.Context, hash [sha256.Size]byte, user chat.UserID, sealed []byte, lifetime time.Duration, most int) (kept bool, err error)
	// TakeTicket returns what was kept under a hash, and removes it: of many
	// that ask, on whatever nodes, one gets it. It is nil if there is nothing,
	// or if its lifetime is over.
	TakeTicket(ctx context.Context, hash [sha256.Size]byte) (sealed []byte, err error)
}

// NewTickets returns the tickets that are with a keeper.
func NewTickets(keeper TicketKeeper) *Tickets { return &Tickets{keeper, time.Now} }

// standing is what a ticket stands for. Nodes of another version may read it.
type standing struct {
	User      chat.UserID `json:"user"`
	Name      string      `json:"name"`
	IssuedAt  time.Time   `json:"issued_at,omitzero"`
	ExpiresAt time.Time   `json:"expires_at,omitzero"`
	TokenID   string      `json:"token_id,omitzero"`
	Issuer    string      `json:"issuer,omitzero"`
	Origin    string      `json:"origin,omitzero"`
}

// Issue returns a ticket that stands for id for [TicketLifetime]. If origin is
// not empty, pages of that origin alone may use it. Whoever uses it is the
// user of id and no service; an identity that a service asked for is good for
// [MaxLifetime].
//
// The error is a *chat.Error with code [chat.InvalidParameter] if id names no
// user, or [chat.RateLimited] if too many tickets wait to be used; or wraps one
// with code [chat.StoreUnavailable] if the keeper cannot be reached.
func (t *Tickets) Issue(ctx context.Context, id Identity, origin string) (string, error) {
	if id.User.ID == "" {
		return "", chat.Errorf(chat.InvalidParameter, "A ticket is for a user; name one in the header %s.", UserHeader)
	}
	if now := t.now(); id.Service {
		id.IssuedAt, id.ExpiresAt = now, now.Add(MaxLifetime)
	}
	random := make([]byte, ticketBytes)
	rand.Read(random) // never fails: crypto/rand ends the process instead
	text := base64.RawURLEncoding.EncodeToString(random)
	plain, err := json.Marshal(standing{id.User.ID, id.User.Name, id.IssuedAt, id.ExpiresAt, id.TokenID, id.Issuer, origin})
	if err != nil {
		return "", fmt.Errorf("write a ticket: %w", err)
	}
	sealed := ticketSeal(text).Seal(nil, ticketNonce[:], plain, nil)
	kept, err := t.keeper.PutTicket(ctx, ticketHash(text), id.User.ID, sealed, TicketLifetime, maxTicketsPerUser)
	switch {
	case err != nil:
		return "", unknownTicket("keep", err)
	case !kept:
		return "", &chat.Error{Code: chat.RateLimited, Message: "Too many tickets wait to be used; use them, or ask again in a while.", RetryAfter: TicketLifetime}
	}
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
// identity has expired since; or wraps one with code [chat.StoreUnavailable] if
// the keeper cannot be reached.
func (t *Tickets) Take(ctx context.Context, text, origin string) (Identity, error) {
	if len(text) != base64.RawURLEncoding.EncodedLen(ticketBytes) {
		return Identity{}, errTicket
	}
	sealed, err := t.keeper.TakeTicket(ctx, ticketHash(text))
	if err != nil {
		return Identity{}, unknownTicket("take", err)
	}
	var s standing
	plain, err := ticketSeal(text).Open(nil, ticketNonce[:], sealed, nil)
	if err != nil || json.Unmarshal(plain, &s) != nil || s.Origin != "" && s.Origin != origin {
		return Identity{}, errTicket
	}
	id := Identity{Principal: chat.Principal{User: chat.User{ID: s.User, Name: s.Name}},
		ExpiresAt: s.ExpiresAt, IssuedAt: s.IssuedAt, TokenID: s.TokenID, Issuer: s.Issuer}
	if id.expired(t.now()) {
		return Identity{}, errExpired
	}
	return id, nil
}

func unknownTicket(step string, err error) error {
	told := chat.Errorf(chat.StoreUnavailable, "Tickets cannot be kept or looked up at the moment; try again.")
	return fmt.Errorf("%w: %s a ticket: %w", told, step, err)
}

// ticketHash is what a keeper knows a ticket by.
func ticketHash(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// ticketSeal closes what a ticket stands for, so that only the ticket opens
// it: who reads or changes what the keeper has gains no identity by it. Each
// ticket has a key of its own, which seals once, so that the nonce may be the
// same.
func ticketSeal(text string) cipher.AEAD {
	key := sha256.Sum256([]byte("tertulia ticket " + text))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has the right length
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the right block
	}
	return seal
}

var ticketNonce [12]byte
