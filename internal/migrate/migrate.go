// Package migrate moves an installation from an embedded store into
// PostgreSQL, with everything by which clients go on where they were: ids,
// seqs, epochs, tags and nonces.
//
// What there is is copied table by table by rising keys. Each batch is stored
// whole or not at all, so that a migration that was killed goes on after the
// last row that arrived. From its beginning until its end neither store is
// served, and in the end both are read through and held against each other.
package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"tertulia/internal/store/dump"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
)

// A batch ends at either bound: rows as one statement takes them well, and the
// memory that they may take, in bytes.
const (
	batchRows  = 5000
	batchBytes = 4 << 20
)

// Config says what is moved where.
type Config struct {
	// From is the data folder of a server that does not run.
	From string
	// To is empty, or what an interrupted migration from the same folder has
	// left.
	To postgres.Config
	// Progress, if not nil, is called after each batch.
	Progress func(Progress)

	batch int // rows of one, as tests have it; 0 is batchRows
}

// Progress says how far a migration is.
type Progress struct {
	Verifying bool // or copying
	Table     string
	Rows, Of  int64
}

// Report says what a migration has done.
type Report struct {
	// Name is what to call the new store.
	Name string
	// Done: it had come to its end before, and nothing was to be done.
	Done          bool
	Rooms, Events int64
	// Copied is how many rows this run copied. The rest was there.
	Copied          int64
	Copying, Verify time.Duration
}

// MismatchError says that the copy is not what it was made from.
type MismatchError struct {
	Table     string
	Room      string // empty for a table that has none
	Have, Had int64  // rows in the copy, and in the original
}

func (e *MismatchError) Error() string {
	of := ""
	if e.Room != "" {
		of = " of room " + e.Room
	}
	if e.Have == e.Had {
		return fmt.Sprintf("the %d rows of %s%s differ from those in the data folder", e.Have, e.Table, of)
	}
	return fmt.Sprintf("%s%s has %d rows, and %d in the data folder", e.Table, of, e.Have, e.Had)
}

// Run moves a store, or goes on doing so. After it the data folder is not
// opened again; see [Undo]. Errors are those of [sqlite.OpenSource],
// [postgres.OpenImport], [*sqlite.MovedError], and [*MismatchError]. After any
// but the last, and after a crash, Run may be called again.
func Run(ctx context.Context, c Config) (r Report, err error) {
	source, err := sqlite.OpenSource(ctx, c.From)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	origin, err := source.Origin(ctx)
	if err != nil {
		return Report{}, err
	}
	target, err := postgres.OpenImport(ctx, c.To, origin)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := leave(ctx, source, target); err != nil {
		return Report{}, err
	}
	m := &move{config: c, source: source, target: target, report: Report{Name: target.Name(), Done: target.Done()}}
	if err := m.count(ctx); err != nil || target.Done() {
		return m.report, err
	}
	return m.report, m.run(ctx)
}

// leave notes on both sides that the store is being moved. The target is first:
// whatever interrupts this, the source is served as long as nothing was copied,
// and the target is not from before that on.
func leave(ctx context.Context, source *sqlite.Source, target *postgres.Import) error {
	if err := source.MayLeave(ctx, target.StoreID()); err != nil {
		return err
	}
	if err := target.Begin(ctx); err != nil {
		return err
	}
	return source.Leave(ctx, target.StoreID(), target.Name())
}

// Undo lets a data folder that was moved be served again. If it had come to its
// end its rooms begin a new epoch, because what it was moved to may have grown
// meanwhile. Errors are those of [sqlite.OpenSource], and [sqlite.ErrNotMoved].
func Undo(ctx context.Context, dir string) (err error) {
	source, err := sqlite.OpenSource(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return source.Return(ctx)
}

// move is a migration under way.
type move struct {
	config Config
	source *sqlite.Source
	target *postgres.Import
	total  map[*dump.Table]int64 // rows in the source
	report Report
}

func (m *move) count(ctx context.Context) error {
	m.total = make(map[*dump.Table]int64)
	for _, t := range dump.Tables {
		n, err := m.source.Count(ctx, t)
		if err != nil {
			return fmt.Errorf("count %s: %w", t.Name, err)
		}
		m.total[t] = n
	}
	m.report.Rooms, m.report.Events = m.total[dump.Rooms], m.total[dump.Events]
	return nil
}

func (m *move) run(ctx context.Context) error {
	began := time.Now()
	for _, t := range dump.Tables {
		if err := m.copy(ctx, t); err != nil {
			return err
		}
	}
	m.report.Copying = time.Since(began)
	for _, t := range dump.Tables {
		if err := m.verify(ctx, t); err != nil {
			return err
		}
	}
	m.report.Verify = time.Since(began) - m.report.Copying
	if err := m.source.Arrive(ctx); err != nil {
		return err
	}
	return m.target.Finish(ctx)
}

// copy copies what the target does not have of a table.
func (m *move) copy(ctx context.Context, t *dump.Table) error {
	last, err := m.target.Last(ctx, t)
	if err != nil {
		return err
	}
	there, err := m.target.Count(ctx, t)
	if err != nil {
		return err
	}
	for rows, err := range batches(m.source.Rows(ctx, t, last), cmp.Or(m.config.batch, batchRows)) {
		if err == nil {
			err = m.target.Copy(ctx, t, rows)
		}
		if err != nil {
			return err
		}
		there += int64(len(rows))
		m.report.Copied += int64(len(rows))
		m.progress(Progress{Table: t.Name, Rows: there, Of: m.total[t]})
	}
	return nil
}

func (m *move) progress(p Progress) {
	if m.config.Progress != nil {
		m.config.Progress(p)
	}
}

// batches gathers up to most rows, and up to batchBytes. A batch is good until
// the next one.
func batches(rows iter.Seq2[dump.Row, error], most int) iter.Seq2[[]dump.Row, error] {
	return func(yield func([]dump.Row, error) bool) {
		batch, size := make([]dump.Row, 0, most), 0
		for row, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			batch, size = append(batch, row), size+sizeOf(row)
			if len(batch) < most && size < batchBytes {
				continue
			}
			if !yield(batch, nil) {
				return
			}
			batch, size = batch[:0], 0
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// sizeOf is about what a row takes in bytes.
func sizeOf(row dump.Row) int {
	size := 16 * len(row)
	for _, value := range row {
		if text, ok := value.(string); ok {
			size += len(text)
		}
	}
	return size
}

// verify holds each room's rows of a table, or all of them, against what they
// were made from.
func (m *move) verify(ctx context.Context, t *dump.Table) error {
	theirs, stop := iter.Pull2(t.Sums(m.target.Rows(ctx, t)))
	defer stop()
	verified, shown := int64(0), int64(0)
	for want, err := range t.Sums(m.source.Rows(ctx, t, nil)) {
		if err != nil {
			return err
		}
		got, err, ok := theirs()
		if err != nil {
			return err
		}
		if !ok || got.Room != want.Room {
			got = dump.Sum{}
		}
		if got.Rows != want.Rows || !bytes.Equal(got.Hash[:], want.Hash[:]) {
			return m.mismatch(ctx, t, want, got.Rows)
		}
		if verified += want.Rows; verified-shown >= batchRows || verified == m.total[t] {
			shown = verified
			m.progress(Progress{Verifying: true, Table: t.Name, Rows: verified, Of: m.total[t]})
		}
	}
	if got, err, ok := theirs(); ok && err == nil {
		return m.mismatch(ctx, t, dump.Sum{Room: got.Room}, got.Rows)
	} else if err != nil {
		return err
	}
	return nil
}

func (m *move) mismatch(ctx context.Context, t *dump.Table, want dump.Sum, have int64) error {
	e := &MismatchError{Table: t.Name, Have: have, Had: want.Rows}
	if t.ByRoom {
		name, err := m.source.Name(ctx, want.Room)
		if err != nil {
			return errors.Join(e, err)
		}
		e.Room = name
	}
	return e
}
