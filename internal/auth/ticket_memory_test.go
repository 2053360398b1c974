package auth_test

import (
	"testing"

	"tertulia/internal/auth"
	"tertulia/internal/auth/tickettest"
)

func TestTicketMemory(t *testing.T) {
	tickettest.Run(t, func(*testing.T) []auth.TicketKeeper { return []auth.TicketKeeper{auth.NewTicketMemory()} })
}
