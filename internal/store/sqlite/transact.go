package sqlite

import (
	"context"
	"fmt"
	"time"

	"tertulia/internal/store"
)

// write waits for the writer and runs f in one transaction; step says for
// people what that is.
func (s *Store) write(ctx context.Context, step string, f func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := s.takeLane(ctx); err != nil {
		return fmt.Errorf("%s: %w: %w", step, store.ErrUnavailable, err)
	}
	defer s.giveLane()
	if err := s.brokenError(); err != nil {
		return err // since this call began
	}
	if err := s.transact(f); err != nil {
		return s.refuse(step, err)
	}
	return nil
}

// transact runs f in one write transaction. If the error is not nil nothing
// is stored, save where the error [breaks] the store. The caller has lane.
func (s *Store) transact(f func() error) error {
	began := time.Now()
	defer func() { s.counts.Append.ObserveSince(began) }()
	if err := s.writer.begin(); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = s.writer.commit()
	}
	if err != nil {
		return s.writer.rollback(err)
	}
	if pages := s.writer.pagesWritten(); pages > 0 {
		s.storedAt = s.now()
		s.ckpt.wrote(pages)
	}
	return nil
}
