package seedtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"tertulia/internal/oncluster"
)

// terminal is a running terminal client with a keyboard.
type terminal struct {
	t        *testing.T
	cmd      *exec.Cmd
	keyboard io.WriteCloser
	out, err logBuffer // what it says of the room, and beside it
}

// openTerminal starts the terminal client with these variables and arguments.
// What is typed counts as typed by a person, commands included.
func openTerminal(t *testing.T, addr string, env []string, args ...string) *terminal {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, cmd: exec.Command(path, append([]string{"chat", "--server", "ws://" + node(addr), "--commands"}, args...)...)}
	term.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "TERTULIA_") || strings.HasPrefix(entry, "USER")
	}), env...)
	in, keyboard := io.Pipe()
	term.keyboard = keyboard
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = in, &term.out, &term.err
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		keyboard.Close()
		term.cmd.Process.Kill()
		term.cmd.Wait()
		if t.Failed() {
			t.Logf("the terminal of %v:\n%s\n%s", env, &term.out, &term.err)
		}
	})
	return term
}

func (term *terminal) types(line string) {
	term.t.Helper()
	if _, err := fmt.Fprintln(term.keyboard, line); err != nil {
		term.t.Fatal(err)
	}
}

// wantLine waits for a line on the screen that has all the words.
func (term *terminal) wantLine(words ...string) {
	term.t.Helper()
	eventually(term.t, patience, fmt.Sprintf("a line with %q", words), func() bool {
		return hasLine(term.out.String(), words...) || hasLine(term.err.String(), words...)
	})
}

func alice(t *testing.T, addr, room string, args ...string) *terminal {
	t.Helper()
	return openTerminal(t, addr, []string{"USER_ID=1", "USERNAME=Alice"}, append(args, room)...)
}

// The test client that the prototype's document describes.
func TestTerminalClient(t *testing.T) {
	addr := anyServer(t)

	t.Run("S-100 S-102 S-103 two terminals with two identities talk", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		watcher, _ := join(t, addr, room, "w", "W")
		a := alice(t, addr, room)
		watcher.want("user_joined").field("user_id", 1).field("username", "Alice")
		b := openTerminal(t, addr, []string{"USER_ID=2", "USERNAME=Bob"}, room)
		watcher.want("user_joined").field("user_id", 2).field("username", "Bob")
		a.types("hola Bob")
		b.wantLine("Alice", "hola Bob")
		b.types("¿qué tal?")
		a.wantLine("Bob", "¿qué tal?")
	})

	t.Run("S-102 without variables there is somebody too", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		watcher, _ := join(t, addr, room, "w", "W")
		openTerminal(t, addr, nil, room).types("hola")
		if oncluster.Now() { // who is here and what is said come by different ways
			watcher.wantAmong("user_joined", "message")[1].field("content", "hola")
			return
		}
		watcher.want("user_joined")
		watcher.want("message").field("content", "hola")
	})

	t.Run("S-101 ping, typing and stats", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		watcher, _ := join(t, addr, room, "w", "W")
		a := alice(t, addr, room)
		watcher.want("user_joined")
		a.types("/ping")
		a.wantLine("pong", "ms")
		a.types("/typing")
		watcher.want("typing").field("username", "Alice").field("is_typing", true)
		a.types("/typing off")
		watcher.want("typing").field("username", "Alice").field("is_typing", false)
		a.types("/stats")
		a.wantLine(room, "2")
		watcher.wantIdle()
	})

	t.Run("S-111 debug shows the frames", func(t *testing.T) {
		t.Parallel()
		a := alice(t, addr, newRoom(), "--debug")
		a.wantLine(`{"type":"subscribed"`)
		a.types("hola")
		a.wantLine(`"type":"message"`, `"content":"hola"`)
		a.wantLine(`{"type":"message_sent"`)
	})

	t.Run("S-112 many clients at once", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		watcher, _ := join(t, addr, room, "w", "W")
		const n = 12
		for i := range n {
			id := fmt.Sprint(i)
			openTerminal(t, addr, []string{"USER_ID=" + id, "USERNAME=U" + id}, room).types("hola de U" + id)
		}
		said := map[any]bool{}
		for len(said) < n {
			if e := watcher.next(); e.Type == "message" {
				e.field("content", fmt.Sprint("hola de ", e.Data["username"]))
				said[e.Data["username"]] = true
			}
		}
	})

	t.Run("S-010 without a server it says so, and how to check", func(t *testing.T) {
		t.Parallel()
		free := freeAddr()
		term := openTerminal(t, free, nil, "--timeout", "3s", "1")
		term.keyboard.Close()
		err := term.cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 5 {
			t.Errorf("it ended with %v, want exit status 5", err)
		}
		if said := term.err.String(); !strings.Contains(said, free) || !strings.Contains(said, "refused") || !strings.Contains(said, "/health") {
			t.Errorf("it said %q, want the address, that it refused, and the check", said)
		}
	})
}

func TestTerminalReconnects(t *testing.T) {
	t.Parallel()
	t.Run("S-108 A19 the terminal client comes back by itself, and sends nothing twice", func(t *testing.T) {
		s := startServer(t)
		addr := s.addr
		a := alice(t, addr, "1", "--timeout", startLimit.String())
		a.types("antes")
		eventually(t, patience, "the room has the first message", func() bool {
			return len(enteredAgain(t, addr, "1").list("history")) == 1
		})
		s.kill()
		a.types("durante")
		s.again(t)
		a.types("después")
		var got []any
		eventually(t, 2*patience, "the room has all three messages", func() bool {
			got = enteredAgain(t, addr, "1").column("history", "content")
			return len(got) >= 3
		})
		if want := []any{"antes", "durante", "después"}; !slices.Equal(got, want) {
			t.Errorf("the room has %q, want %q", got, want)
		}
	})
}
