package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// FolderError says that the data folder cannot be used as it is.
type FolderError struct {
	Dir string
	Err error // from the file system
}

func (e *FolderError) Error() string {
	return fmt.Sprintf("cannot use the data folder %s: %v; make it writable for this user, or choose another", e.Dir, e.Err)
}

func (e *FolderError) Unwrap() error { return e.Err }

// LockedError says that another server has the data folder open.
type LockedError struct {
	Dir string
	// PID is that server's process, 0 if it is not known.
	PID int
}

func (e *LockedError) Error() string {
	who := "another server"
	if e.PID != 0 {
		who = fmt.Sprintf("another server (process %d)", e.PID)
	}
	return fmt.Sprintf("the data folder %s is in use by %s; stop that one, or choose another folder", e.Dir, who)
}

// errLocked is what lockFile returns if somebody else has the lock.
var errLocked = errors.New("locked")

// takeFolder makes the folder if it is missing and locks it for this process.
// The lock is held until the returned file is closed, also by a crash.
func takeFolder(dir string) (*os.File, error) {
	if err := makeFolder(dir); err != nil {
		return nil, &FolderError{Dir: dir, Err: err}
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &FolderError{Dir: dir, Err: err}
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if errors.Is(err, errLocked) {
			return nil, &LockedError{Dir: dir, PID: readPID(f)}
		}
		return nil, &FolderError{Dir: dir, Err: fmt.Errorf("lock %s: %w", f.Name(), err)}
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(&FolderError{Dir: dir, Err: err}, f.Close())
	}
	return f, nil
}

// makeFolder makes dir and what is missing above it, each synced into its
// parent: a folder that a power cut forgets takes the acknowledged messages
// with it.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := makeFolder(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // if it is no folder, opening the lock file in it says so
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// readPID returns the process named in the lock file, 0 if none is.
func readPID(f *os.File) int {
	var buf [20]byte
	n, _ := f.ReadAt(buf[:], 0) // io.EOF: the file is short
	pid, err := strconv.Atoi(string(bytes.TrimSpace(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}
