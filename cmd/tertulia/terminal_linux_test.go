package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal opens a pseudo-terminal (pty(7)): what a program writes to its
// tty can be read from the other end.
func newTerminal(t *testing.T) (other, tty *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	if err := unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatalf("unlock the terminal: %v", err)
	}
	n, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatalf("number of the terminal: %v", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return other, tty
}

// On a terminal the server greets with a banner, and colours what it logs
// unless told not to.
func TestServeOnATerminal(t *testing.T) {
	for _, test := range []struct {
		name  string
		args  []string
		env   string
		color bool
	}{
		{"colour", nil, "", true},
		{"--no-color", []string{"--no-color"}, "", false},
		{"NO_COLOR", nil, "NO_COLOR=1", false},
		{"dumb terminal", nil, "TERM=dumb", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			other, tty := newTerminal(t)
			cmd := program(t, "main", append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "debug"}, test.args...)...)
			cmd.Env = append(cmd.Env, "NO_COLOR=", "TERM=xterm", test.env)
			cmd.Stderr = tty
			var stdout strings.Builder
			cmd.Stdout = &stdout
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test ends before it has waited
			var said strings.Builder
			for lines := bufio.NewScanner(other); !strings.Contains(said.String(), "Next: ") && lines.Scan(); {
				said.WriteString(lines.Text() + "\n")
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the server ended with %v, want exit code 0", err)
			}
			for _, want := range []string{"\ntertulia ", "WebSocket   ws://127.0.0.1:", "Health      http://127.0.0.1:", "Data        ./tertulia_data", "Next: "} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("the banner lacks %q:\n%s", want, said.String())
				}
			}
			if strings.Contains(said.String(), `"msg"`) {
				t.Errorf("there is JSON on the terminal:\n%s", said.String())
			}
			if got := strings.Contains(said.String(), "\x1b["); got != test.color {
				t.Errorf("colour codes on the terminal: %v, want %v:\n%q", got, test.color, said.String())
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout has %q, want nothing", stdout.String())
			}
		})
	}
}
