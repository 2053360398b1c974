package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// seat is a person at a terminal who runs tertulia chat.
type seat struct {
	t      *testing.T
	keys   *os.File
	screen page
	cmd    *exec.Cmd
	ended  chan error
}

// sit starts the command with a pseudo-terminal of its own.
func sit(t *testing.T, name, url string, args ...string) *seat {
	t.Helper()
	other, tty := newTerminal(t)
	s := &seat{t: t, keys: other, cmd: program(t, "main", append([]string{"chat", "1", "--server", url}, args...)...), ended: make(chan error, 1)}
	s.cmd.Env = append(s.cmd.Env, "USER_ID="+name, "USERNAME="+name)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close() // only the command has it now; when that ends, reading does
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&s.screen, other)
		s.ended <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-read
	})
	return s
}

func (s *seat) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *seat) wantCode(want exitCode) {
	s.t.Helper()
	select {
	case err := <-s.ended:
		got := exitOK
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			got = exitCode(e.ExitCode())
		}
		if got != want {
			s.t.Fatalf("chat ended with %v, want code %d; the screen:\n%s", err, want, &s.screen)
		}
	case <-time.After(patience):
		s.t.Fatalf("chat does not end; the screen:\n%s", &s.screen)
	}
}

func TestChatOnATerminal(t *testing.T) {
	url := newServer(t)
	alice := sit(t, "Alice", url)
	alice.screen.want(t, "* you are Alice in room 1 at "+url+", 1 here; /help lists the commands")
	bob := talk(t, "Bob", url)
	alice.screen.want(t, "* Bob joined")
	alice.press("/typing\n")
	bob.err.want(t, "* Alice is typing")
	alice.press("hola Bob\n")
	bob.out.want(t, "Z  Alice  hola Bob\n")
	bob.say("hola \x1b[2J Alice")
	alice.screen.want(t, "  Bob  hola ␛[2J Alice")
	alice.press("/ping\n")
	alice.screen.want(t, "pong ")
	alice.press("/stats\n")
	alice.screen.want(t, "2 connections in 1 room")
	alice.press("/who\n")
	alice.screen.want(t, "2 here: ")
	alice.press("/pong\n")
	alice.screen.want(t, "did you mean /ping?")
	alice.press("//pong\n")
	bob.out.want(t, "Z  Alice  /pong\n")
	alice.press("/quit\n")
	alice.wantCode(exitOK)
	bob.err.want(t, "* Alice left")
	bob.end(exitOK)
	screen := alice.screen.String()
	if !regexp.MustCompile(`\n\d\d:\d\d  Bob  hola`).MatchString(screen) {
		t.Errorf("the screen has not the local time:\n%s", screen)
	}
	if strings.Contains(screen, "\x1b") || strings.Count(screen, "hola Bob") != 1 {
		t.Errorf("the screen has escape codes, or shows twice what was typed once:\n%q", screen)
	}
}

func TestLeavingTheTerminal(t *testing.T) {
	url := newServer(t)
	for _, test := range []struct {
		name, keys string
		code       exitCode
	}{
		{"Ctrl+D", "\x04", exitOK},
		{"Ctrl+C", "\x03", exitInterrupted},
	} {
		alice := sit(t, "Alice", url)
		alice.screen.want(t, "you are Alice")
		alice.press(test.keys)
		alice.wantCode(test.code)
	}
}

// Somebody who leaves while the server is away is told what is waited for.
func TestLeavingWithoutTheServer(t *testing.T) {
	listen := freeAddr(t)
	srv := serveAt(t, listen, t.TempDir())
	alice := sit(t, "Alice", "ws://"+listen)
	alice.screen.want(t, "you are Alice")
	srv.Process.Kill()
	alice.screen.want(t, "* connection lost (")
	alice.press("/ping\n")
	alice.screen.want(t, "* there is no connection at the moment")
	alice.press("adiós\n/quit\n")
	alice.screen.want(t, "* waiting until 1 message is stored; Ctrl+C leaves without")
	alice.press("\x03")
	alice.wantCode(exitInterrupted)
	alice.screen.want(t, "* 1 message was not sent")
}
