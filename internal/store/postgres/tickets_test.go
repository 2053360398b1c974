package postgres

import (
	"crypto/sha256"
	"testing"
	"time"

	"tertulia/internal/auth"
	"tertulia/internal/auth/tickettest"
	"tertulia/internal/services/servicetest"
)

func TestTicketsOfTwoNodes(t *testing.T) {
	tickettest.Run(t, func(t *testing.T) []auth.TicketKeeper {
		url := servicetest.Database(t)
		return []auth.TicketKeeper{openAt(t, Config{URL: url}), openAt(t, Config{URL: url})}
	})
}

// Tickets that nobody came with do not stay.
func TestTicketsAreSwept(t *testing.T) {
	s := openStore(t)
	const forgotten = 25
	put := func(i int, lifetime time.Duration) {
		if kept, err := s.PutTicket(t.Context(), sha256.Sum256([]byte{byte(i)}), "1", []byte("x"), lifetime, 2*forgotten); err != nil || !kept {
			t.Fatalf("PutTicket = %v, %v", kept, err)
		}
	}
	for i := range forgotten {
		put(i, time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // by the database's clock, which nobody here can move
	for i := range 5 {
		put(forgotten+i, time.Hour)
	}
	var left int
	err := s.read(t.Context(), "count tickets", statement{"SELECT count(*) FROM tertulia.tickets", nil, []any{&left}, func() error { return nil }})
	if err != nil || left != 5 {
		t.Errorf("%d tickets are left, %v, want 5", left, err)
	}
}
