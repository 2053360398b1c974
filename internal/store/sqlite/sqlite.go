// Package sqlite keeps the logs of all rooms in one SQLite file, for a server
// that is a single process; see internal/store for the contract.
//
// The data folder holds tertulia.db with its -wal and -shm beside it, and
// tertulia.lock, which a process keeps locked for as long as it has the store
// open. The process is the file's only writer: programs may read the database
// meanwhile, also with the sqlite3 shell, but must not write.
//
// One connection writes, a few others read beside it (write-ahead log), and
// one checkpoints. They are held below database/sql, whose argument handling
// and locks would cost as much as SQLite itself on rows this small. A commit
// is synced before Append returns (synchronous=FULL). SQLite never answers
// with an unknown outcome: a failed transaction is either rolled back for
// certain (store.ErrUnavailable), or the store is broken for good
// (store.ErrBroken) and the process should exit.
//
// A store owns one goroutine, the checkpointer; Close ends and joins it.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"tertulia/internal/count"
	"tertulia/internal/store"
)

const (
	databaseName = "tertulia.db"
	lockName     = "tertulia.lock"
)

// readerCount is how many pages are read at the same time; more calls wait.
// A reader that finds its pages cached is busy for less than 0.1 ms, so a few
// keep every core of a large machine busy.
const readerCount = 4

// Config says where a store is.
type Config struct {
	// Dir is the data folder. It is made, for its owner alone, if missing.
	Dir string
}

// Store is a [store.Store] in one SQLite file. It belongs to one process.
type Store struct {
	// Fixed after Open.
	dir     string
	epoch   string
	lock    *os.File
	now     func() time.Time // replaced by tests before the first call
	readers chan *reader     // those at rest
	ckpt    *checkpointer
	counts  *count.Store

	// lane is held by whoever uses the writer: send to take it, receive to
	// give it back.
	lane chan struct{}
	// Owned by the holder of lane.
	writer   *writer
	storedAt time.Time // of the last commit, by now

	// broken is why the store must not be used again; nil while it may.
	broken atomic.Pointer[error]

	// calls is held for reading by every call, for writing by Close. It is
	// taken before lane.
	calls  sync.RWMutex
	closed bool // guarded by calls
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the folder cfg.Dir, and makes it if there is none.
// The caller calls Close. Errors are [*FolderError], [*LockedError],
// [*NewerSchemaError], [*UnfinishedError], [*MovedError], or say which step failed on which
// file.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	return open(ctx, cfg, "")
}

// open opens a store on one of SQLite's file systems; "" is the usual one.
func open(ctx context.Context, cfg Config, vfs string) (_ *Store, err error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, &FolderError{Dir: cfg.Dir, Err: err}
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir:     dir,
		lock:    lock,
		now:     time.Now,
		counts:  count.NewStore(),
		readers: make(chan *reader, readerCount),
		lane:    make(chan struct{}, 1),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := mustBeFinished(dir); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, filepath.Join(dir, databaseName), vfs); err != nil {
		return nil, err
	}
	s.ckpt.start()
	return s, nil
}

// connect brings the schema up to date and opens all connections.
func (s *Store) connect(ctx context.Context, path, vfs string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return &FolderError{Dir: s.dir, Err: err}
	}
	s.ckpt = newCheckpointer(s, file)
	useFdatasync()
	if err := migrate(ctx, migrationSource(path, vfs, writerPragmas), path); err != nil {
		return err
	}
	if s.writer, err = openWriter(source(path, vfs, writerPragmas)); err != nil {
		return fmt.Errorf("open %s for writing: %w", path, err)
	}
	if to, err := s.writer.movedTo(); err != nil {
		return fmt.Errorf("read where %s was moved to: %w", path, err)
	} else if to != "" {
		return &MovedError{Dir: s.dir, To: to}
	}
	if s.epoch, err = s.writer.epoch(); err != nil {
		return fmt.Errorf("read the epoch from %s: %w", path, err)
	}
	for range readerCount {
		r, err := openReader(source(path, vfs, readerPragmas), s.epoch)
		if err != nil {
			return fmt.Errorf("open %s for reading: %w", path, err)
		}
		s.readers <- r
	}
	if err := s.ckpt.open(source(path, vfs, writerPragmas)); err != nil {
		return fmt.Errorf("open %s for checkpoints: %w", path, err)
	}
	return nil
}

// Epoch is the life of logs that do not exist yet.
func (s *Store) Epoch() string { return s.epoch }

// Writers is 1: SQLite takes one write transaction at a time.
func (s *Store) Writers() int { return 1 }

// Counts returns the counts of this store.
func (s *Store) Counts() *count.Store { return s.counts }

// Close waits for calls under way, moves what is in the write-ahead log into
// the database file, and lets go of the folder. Closing again does nothing.
func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.ckpt.stop()
	return s.release()
}

// release closes whatever is open, the lock last, so that the next process
// finds the folder at rest.
func (s *Store) release() error {
	var errs []error
	if s.broken.Load() == nil && s.ckpt != nil {
		errs = append(errs, s.ckpt.last())
	}
	for range len(s.readers) {
		r := <-s.readers
		errs = append(errs, r.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.ckpt != nil {
		errs = append(errs, s.ckpt.close())
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// enter begins a call, unless the store is closed or broken. The caller
// calls leave if the error is nil.
func (s *Store) enter() error {
	s.calls.RLock()
	err := s.usable()
	if err != nil {
		s.calls.RUnlock()
	}
	return err
}

func (s *Store) leave() { s.calls.RUnlock() }

func (s *Store) usable() error {
	if s.closed {
		return fmt.Errorf("%w: the store is closed", store.ErrUnavailable)
	}
	return s.brokenError()
}

// brokenError is nil as long as the store may be used.
func (s *Store) brokenError() error {
	if cause := s.broken.Load(); cause != nil {
		return fmt.Errorf("%w: %w", store.ErrBroken, *cause)
	}
	return nil
}

// takeLane waits for the writer. The caller gives it back with giveLane if
// the error, which is the context's, is nil.
func (s *Store) takeLane(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.lane <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) giveLane() { <-s.lane }
