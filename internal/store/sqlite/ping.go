package sqlite

import (
	"context"
	"fmt"
	"time"

	"tertulia/internal/store"
)

// pingEvery is how often a Ping really writes, so that a health check that
// anybody may ask for costs at most one sync a second.
const pingEvery = time.Second

// Ping stores a time in the database, unless something was stored within the
// last second.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.takeLane(ctx); err != nil {
		return fmt.Errorf("%w: the disk is busy with an earlier write: %w", store.ErrUnavailable, err)
	}
	defer s.giveLane()
	if err := s.brokenError(); err != nil {
		return err
	}
	now := s.now()
	if since := now.Sub(s.storedAt); since >= 0 && since < pingEvery {
		return nil
	}
	err := s.transact(func() error { return s.writer.writeMeta("checked_at", now.UnixMilli()) })
	if err != nil {
		return s.refuse("write to "+s.dir, err)
	}
	return nil
}
