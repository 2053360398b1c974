package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tertulia/internal/store"
)

// maxAttempts is how often a statement is run that the server has undone
// because of what others did at the time.
const maxAttempts = 4

// statement is one statement with its arguments and with what becomes of the
// rows that it returns: each is scanned into dest, and then taken.
type statement struct {
	sql  string
	args []any
	dest []any
	take func() error
}

// read runs a statement on a connection for reading; it is one snapshot. step
// says for people what it is for. The error is the context's or wraps
// store.ErrUnavailable; an error of take is returned as it is.
func (s *Store) read(ctx context.Context, step string, st statement) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := s.readers.Acquire(ctx)
	if err == nil {
		err = s.query(ctx, conn.Conn(), st)
		conn.Release()
	}
	if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", step, store.ErrUnavailable, err)
}

func (s *Store) query(ctx context.Context, conn *pgx.Conn, st statement) error {
	defer s.counts.Read.ObserveSince(time.Now())
	return runOn(ctx, conn, st)
}

// runOn runs a statement on a connection.
func runOn(ctx context.Context, conn *pgx.Conn, st statement) error {
	rows, err := conn.Query(ctx, st.sql, st.args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, st.dest, st.take)
	return err
}

// write runs a statement that changes something, again if the server has
// undone it. begin is called before each run, so that take may begin anew.
// Errors are those of Append.
func (s *Store) write(ctx context.Context, on *lanes, step string, st statement, begin func()) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	l, err := on.take(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", step, store.ErrUnavailable, err)
	}
	defer on.give(l)
	for attempt := 1; ; attempt++ {
		begin()
		began := time.Now()
		err := l.run(ctx, st)
		s.counts.Append.ObserveSince(began)
		if err == nil {
			s.pinged.wrote(time.Now())
			return nil
		}
		if !isUndone(err) || attempt == maxAttempts {
			return fmt.Errorf("%s: %w: %w", step, fate(err), err)
		}
	}
}

// nothing is the begin or take of a statement that returns nothing.
func nothing() {}
