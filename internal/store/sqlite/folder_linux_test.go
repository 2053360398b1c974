package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenRefusesAFolderWithoutPermission(t *testing.T) {
	parent := t.TempDir()
	if err := os.Chmod(parent, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(parent, 0o700) })
	dir := filepath.Join(parent, "data")

	err := asOrdinaryUser(t, func() error {
		_, err := Open(t.Context(), Config{Dir: dir})
		return err
	})
	if folder, ok := errors.AsType[*FolderError](err); !ok || folder.Dir != dir || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open = %v, want a *FolderError for lack of permission", err)
	}
}

// asOrdinaryUser runs f on a thread to whose file operations permissions
// apply, also if the tests are run by root.
func asOrdinaryUser(t *testing.T, f func() error) error {
	t.Helper()
	result := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			const nobody = 65534
			if err := unix.Setfsuid(nobody); err != nil {
				result <- err
				return
			}
		}
		result <- f()
	}()
	return <-result
}
