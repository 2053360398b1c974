package postgres

import (
	"context"
	"crypto/sha256"
	"time"

	"tertulia/chat"
)

// PutTicket keeps what a ticket stands for; see auth.TicketKeeper. Errors are
// those of Append. If nobody knows whether the ticket was kept, nobody has it
// either.
func (s *Store) PutTicket(ctx context.Context, hash [sha256.Size]byte, user chat.UserID, sealed []byte, lifetime time.Duration, most int) (kept bool, err error) {
	put := statement{s.sql.putTicket, []any{hash[:], string(user), sealed, lifetime.Milliseconds(), most}, []any{&kept}, func() error { return nil }}
	err = s.write(ctx, s.others, "keep a ticket", put, nothing)
	return kept && err == nil, err
}

// TakeTicket returns what was kept under a hash, and removes it; see
// auth.TicketKeeper. Errors are those of Append. A ticket that may have been
// taken is worth nothing any more.
func (s *Store) TakeTicket(ctx context.Context, hash [sha256.Size]byte) (sealed []byte, err error) {
	var good bool
	take := statement{s.sql.takeTicket, []any{hash[:]}, []any{&sealed, &good}, func() error { return nil }}
	err = s.write(ctx, s.others, "take a ticket", take, func() { sealed, good = nil, false })
	if err != nil || !good {
		return nil, err
	}
	return sealed, nil
}
