package postgres

import (
	"context"
	"sync/atomic"
	"time"
)

// pingEvery is how often a Ping really writes, so that a health check that
// anybody may ask for costs at most one commit a second.
const pingEvery = time.Second

// pinged remembers when something was stored last.
type pinged struct{ at atomic.Pointer[time.Time] }

func (p *pinged) wrote(at time.Time) { p.at.Store(&at) }

// lately reports whether something was stored within pingEvery.
func (p *pinged) lately() bool {
	at := p.at.Load()
	return at != nil && time.Since(*at) < pingEvery
}

// Ping stores a time in the database, unless something was stored within the
// last second.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	lately := s.pinged.lately()
	s.leave()
	if lately {
		return nil
	}
	return s.change(ctx, "write to the database", s.sql.ping)
}
