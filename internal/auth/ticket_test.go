package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"tertulia/chat"
)

func userIdentity(id string) Identity {
	return Identity{Principal: chat.Principal{User: chat.User{ID: chat.UserID(id), Name: id}}}
}

// ticketsAt are tickets in memory, by a test's clock.
func ticketsAt(now func() time.Time) (*Tickets, *TicketMemory) {
	memory := newTicketMemoryAt(now)
	return &Tickets{memory, now}, memory
}

func TestTickets(t *testing.T) {
	at := now
	tickets, memory := ticketsAt(func() time.Time { return at })
	issue := func(id Identity, origin string) string {
		t.Helper()
		ticket, err := tickets.Issue(t.Context(), id, origin)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	juan := userIdentity("1")
	bound := juan
	bound.ExpiresAt = now.Add(10 * time.Second)
	unbound, foreign, late, spent := issue(juan, ""), issue(juan, "https://a.example"), issue(juan, ""), issue(bound, "")
	if unbound == late || len(unbound) != 43 {
		t.Errorf("tickets %s and %s, want 256 bits that differ", unbound, late)
	}
	for _, test := range []struct {
		name           string
		ticket, origin string
		at             time.Duration
		want           chat.Code
	}{
		{"unbound, from anywhere", unbound, "https://b.example", 0, ""},
		{"again", unbound, "https://b.example", 0, chat.Unauthenticated},
		{"from another origin", foreign, "https://a.example.evil", 0, chat.Unauthenticated},
		{"from the right origin, but burnt", foreign, "https://a.example", 0, chat.Unauthenticated},
		{"of a token that has expired", spent, "", 10 * time.Second, chat.TokenExpired},
		{"30 s old", late, "", 30 * time.Second, chat.Unauthenticated},
		{"one letter short", unbound[1:], "", 0, chat.Unauthenticated},
		{"never issued", unbound[1:] + "A", "", 0, chat.Unauthenticated},
		{"nothing", "", "", 0, chat.Unauthenticated},
	} {
		at = now.Add(test.at)
		id, err := tickets.Take(t.Context(), test.ticket, test.origin)
		if codeOf(err) != test.want || err == nil && id != juan || err != nil && id != (Identity{}) {
			t.Errorf("%s: Take = %+v, %v, want code %q", test.name, id, err, test.want)
		}
	}
	if len(memory.waiting) != 0 || memory.byAge.Len() != 0 || len(memory.perUser) != 0 {
		t.Errorf("%d, %d and %d are left of tickets that are gone, want none", len(memory.waiting), memory.byAge.Len(), len(memory.perUser))
	}
}

// What a service fetches for a user has the user's rights, and can be
// revoked like the user's tokens.
func TestTicketFromService(t *testing.T) {
	tickets, _ := ticketsAt(clock)
	service := Identity{Principal: chat.Principal{Service: true}}
	if ticket, err := tickets.Issue(t.Context(), service, ""); codeOf(err) != chat.InvalidParameter {
		t.Errorf("Issue for no user = %q, %v, want code %s", ticket, err, chat.InvalidParameter)
	}
	service.User = chat.User{ID: "1", Name: "Juan"}
	ticket, err := tickets.Issue(t.Context(), service, "")
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Principal: chat.Principal{User: service.User}, IssuedAt: now, ExpiresAt: now.Add(MaxLifetime)}
	if got, err := tickets.Take(t.Context(), ticket, ""); err != nil || got != want {
		t.Errorf("Take = %+v, %v, want %+v", got, err, want)
	}
}

func TestTicketsAreBounded(t *testing.T) {
	at := now
	tickets, memory := ticketsAt(func() time.Time { return at })
	for i := range maxTicketsPerUser + 1 {
		_, err := tickets.Issue(t.Context(), userIdentity("1"), "")
		if got, want := codeOf(err) == chat.RateLimited, i == maxTicketsPerUser; got != want || want && chat.AsError(err).RetryAfter != TicketLifetime {
			t.Fatalf("ticket %d of a user: %v, want it refused: %v", i+1, err, want)
		}
	}
	if _, err := tickets.Issue(t.Context(), userIdentity("2"), ""); err != nil {
		t.Errorf("a ticket of another user: %v", err)
	}
	for i := 0; len(memory.waiting) < maxTickets; i++ {
		if _, err := tickets.Issue(t.Context(), userIdentity(fmt.Sprint("u", i)), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tickets.Issue(t.Context(), userIdentity("3"), ""); codeOf(err) != chat.RateLimited {
		t.Errorf("ticket %d of all: %v, want code %s", maxTickets+1, err, chat.RateLimited)
	}
	at = now.Add(TicketLifetime)
	if _, err := tickets.Issue(t.Context(), userIdentity("1"), ""); err != nil || len(memory.waiting) != 1 {
		t.Errorf("a ticket when all have expired: %v, %d wait, want 1", err, len(memory.waiting))
	}
}

// gone is a keeper that cannot be reached.
type gone struct{}

func (gone) PutTicket(context.Context, [sha256.Size]byte, chat.UserID, []byte, time.Duration, int) (bool, error) {
	return false, errors.New("no route to 10.0.0.9")
}

func (gone) TakeTicket(context.Context, [sha256.Size]byte) ([]byte, error) {
	return nil, errors.New("no route to 10.0.0.9")
}

// Who comes while tickets cannot be looked up is told to come again, not that
// the ticket is bad.
func TestTicketsCannotBeLookedUp(t *testing.T) {
	good, _ := ticketsAt(clock)
	text, err := good.Issue(t.Context(), userIdentity("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	tickets := NewTickets(gone{})
	if _, err := tickets.Issue(t.Context(), userIdentity("1"), ""); codeOf(err) != chat.StoreUnavailable {
		t.Errorf("Issue = %v, want code %s", err, chat.StoreUnavailable)
	}
	if _, err := tickets.Take(t.Context(), text, ""); codeOf(err) != chat.StoreUnavailable {
		t.Errorf("Take = %v, want code %s", err, chat.StoreUnavailable)
	}
}

// What a keeper has says nothing of the user without the ticket, and what
// somebody has put in its place is no identity.
func TestTicketsAreSealed(t *testing.T) {
	tickets, memory := ticketsAt(clock)
	text, err := tickets.Issue(t.Context(), Identity{Principal: chat.Principal{User: chat.User{ID: "user-7", Name: "Ana"}}}, "https://a.example")
	if err != nil {
		t.Fatal(err)
	}
	kept := memory.waiting[ticketHash(text)].Value.(*ticket)
	if bytes.Contains(kept.sealed, []byte("user-7")) || bytes.Contains(kept.sealed, []byte("a.example")) {
		t.Errorf("the keeper has %q in clear", kept.sealed)
	}
	kept.sealed[0] ^= 1
	if _, err := tickets.Take(t.Context(), text, "https://a.example"); codeOf(err) != chat.Unauthenticated {
		t.Errorf("Take of a ticket that was changed = %v, want code %s", err, chat.Unauthenticated)
	}
}
