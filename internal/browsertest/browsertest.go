// Package browsertest starts Chromium, headless and with a profile of its own,
// for the tests of what a page does.
package browsertest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// flags keep Chromium to what the tests ask of it: nothing on a screen, nothing
// asked from the Internet, and TCP only.
var flags = []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"}

// Open shows the page of a URL until the test ends.
func Open(t testing.TB, url string) {
	t.Helper()
	start(t, nil, "--remote-debugging-port=0", url)
}

// Steer shows a blank page until the test ends. The browser takes commands of
// the DevTools protocol from one pipe and answers on the other, each ended by a
// zero byte; both are closed at the end of the test.
func Steer(t testing.TB) (to, from *os.File) {
	t.Helper()
	theirIn, to := pipe(t)
	from, theirOut := pipe(t)
	start(t, []*os.File{theirIn, theirOut}, "--hide-scrollbars", "--remote-debugging-pipe", "about:blank")
	theirIn.Close()
	theirOut.Close()
	return to, from
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// start starts Chromium with files as its descriptors 3, 4 and so on. It ends
// with the test; what it said is shown if the test fails.
func start(t testing.TB, files []*os.File, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing; run `make test`, or: apt-get install -y chromium")
	}
	profile, err := os.MkdirTemp("", "tertulia-browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeProfile(t, profile) })
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "chromium", append(slices.Concat(flags, []string{"--user-data-dir=" + profile}), args...)...)
	cmd.ExtraFiles = files
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Logf("chromium said:\n%s", said.Bytes()[max(0, said.Len()-2<<10):])
		}
	})
}

// removeProfile removes the browser's folder, in which processes of its own may
// write for an instant longer than it lives.
func removeProfile(t testing.TB, dir string) {
	t.Helper()
	var err error
	for range 600 {
		if err = os.RemoveAll(dir); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error(err)
}
