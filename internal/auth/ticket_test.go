package auth

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tertulia/chat"
)

func userIdentity(id string) Identity {
	return Identity{Principal: chat.Principal{User: chat.User{ID: chat.UserID(id), Name: id}}}
}

func TestTickets(t *testing.T) {
	at := now
	tickets := newTicketsAt(func() time.Time { return at })
	issue := func(id Identity, origin string) string {
		t.Helper()
		ticket, err := tickets.Issue(id, origin)
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
		id, err := tickets.Take(test.ticket, test.origin)
		if codeOf(err) != test.want || err == nil && id != juan || err != nil && id != (Identity{}) {
			t.Errorf("%s: Take = %+v, %v, want code %q", test.name, id, err, test.want)
		}
	}
	if len(tickets.waiting) != 0 || tickets.byAge.Len() != 0 || len(tickets.perUser) != 0 {
		t.Errorf("%d, %d and %d are left of tickets that are gone, want none", len(tickets.waiting), tickets.byAge.Len(), len(tickets.perUser))
	}
}

// What a service fetches for a user has the user's rights, and can be
// revoked like the user's tokens.
func TestTicketFromService(t *testing.T) {
	tickets := newTicketsAt(clock)
	service := Identity{Principal: chat.Principal{Service: true}}
	if ticket, err := tickets.Issue(service, ""); codeOf(err) != chat.InvalidParameter {
		t.Errorf("Issue for no user = %q, %v, want code %s", ticket, err, chat.InvalidParameter)
	}
	service.User = chat.User{ID: "1", Name: "Juan"}
	ticket, err := tickets.Issue(service, "")
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Principal: chat.Principal{User: service.User}, IssuedAt: now, ExpiresAt: now.Add(MaxLifetime)}
	if got, err := tickets.Take(ticket, ""); err != nil || got != want {
		t.Errorf("Take = %+v, %v, want %+v", got, err, want)
	}
}

func TestTicketsAreBounded(t *testing.T) {
	at := now
	tickets := newTicketsAt(func() time.Time { return at })
	for i := range maxTicketsPerUser + 1 {
		_, err := tickets.Issue(userIdentity("1"), "")
		if got, want := codeOf(err) == chat.RateLimited, i == maxTicketsPerUser; got != want || want && chat.AsError(err).RetryAfter != TicketLifetime {
			t.Fatalf("ticket %d of a user: %v, want it refused: %v", i+1, err, want)
		}
	}
	if _, err := tickets.Issue(userIdentity("2"), ""); err != nil {
		t.Errorf("a ticket of another user: %v", err)
	}
	for i := 0; len(tickets.waiting) < maxTickets; i++ {
		if _, err := tickets.Issue(userIdentity(fmt.Sprint("u", i)), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tickets.Issue(userIdentity("3"), ""); codeOf(err) != chat.RateLimited {
		t.Errorf("ticket %d of all: %v, want code %s", maxTickets+1, err, chat.RateLimited)
	}
	at = now.Add(TicketLifetime)
	if _, err := tickets.Issue(userIdentity("1"), ""); err != nil || len(tickets.waiting) != 1 {
		t.Errorf("a ticket when all have expired: %v, %d wait, want 1", err, len(tickets.waiting))
	}
}

// Of many that come with one ticket, one gets in.
func TestTicketIsTakenOnce(t *testing.T) {
	tickets := NewTickets()
	ticket, err := tickets.Issue(userIdentity("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := tickets.Take(ticket, ""); err == nil {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		t.Errorf("the ticket was taken %d times, want once", taken.Load())
	}
}
