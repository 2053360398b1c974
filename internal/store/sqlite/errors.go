package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"tertulia/internal/store"
)

// errRow is a row that is not as the schema says.
var errRow = errors.New("a row is not as the schema says; the file is damaged or was changed by another program")

// errSync is a database file that could not be synced.
var errSync = errors.New("cannot sync the database file")

// refuse says what a failure means for the caller, and breaks the store if
// it cannot be trusted afterwards. Nothing of a failed write is stored.
func (s *Store) refuse(step string, err error) error {
	if !breaks(err) {
		return fmt.Errorf("%s: %w: %w", step, store.ErrUnavailable, err)
	}
	cause := fmt.Errorf("%s: %w", step, err)
	s.broken.CompareAndSwap(nil, &cause)
	return s.brokenError()
}

// breaks reports whether a store must not be used after err. After a failed
// sync the system may have dropped what it could not write, and the next sync
// would say that all is well; after another input or output error what is in
// the file is not known; a damaged file only gets worse. A full disk and a
// lock that somebody else holds are no such errors: SQLite has then written
// no commit, and rolling back forgets the rest.
func breaks(err error) bool {
	if errors.Is(err, errRow) || errors.Is(err, errRollback) || errors.Is(err, errSync) {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return true
	}
	return false
}
