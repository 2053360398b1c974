package main

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// A full disk and a folder that this user may not enter are not at hand for
// root; so the errors themselves are tested.
func TestOfflineErrorsSayWhatToDo(t *testing.T) {
	path := func(err error) error { return &os.PathError{Op: "write", Path: "backup.db", Err: err} }
	for _, test := range []struct {
		err  error
		hint string
	}{
		{path(syscall.ENOSPC), "make room on that disk, and run it again"},
		{path(syscall.EACCES), "run it as a user who may, such as the one who runs the server"},
		{path(syscall.ENOENT), "make the folder first, or name another"},
		{path(syscall.EIO), "what else"},
		{errors.New("odd"), "what else"},
	} {
		err := offlineError(test.err, "what else")
		e, ok := errors.AsType[*commandError](err)
		if !ok || e.hint != test.hint || e.code != exitFailure || err.Error() != test.err.Error() {
			t.Errorf("offlineError(%v) = %v, want it with 1 and the hint %q", test.err, err, test.hint)
		}
	}
}
