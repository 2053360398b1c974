package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// as runs a command as one user and wants its exit code.
func as(t *testing.T, user, url string, want exitCode, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append(args, "--server", url), IO{In: strings.NewReader(""), Out: &out, Err: &errOut, Name: "tertulia", Env: []string{"USER_ID=" + user, "USERNAME=" + strings.ToUpper(user)}})
	if code != want {
		t.Errorf("%s: tertulia %s = %d with %q, %q, want %d", user, strings.Join(args, " "), code, out.String(), errOut.String(), want)
	}
	return out.String(), errOut.String()
}

// Ana makes a private room, invites Bob, and sends him away again; Eva never
// learns of it.
func TestRooms(t *testing.T) {
	url := newServer(t)
	if out, _ := as(t, "ana", url, exitOK, "rooms", "create", "taller", "--title", "Taller", "--access", "private"); out != "taller\n" {
		t.Errorf("rooms create writes %q", out)
	}
	as(t, "ana", url, exitRefused, "rooms", "create", "taller")
	as(t, "bob", url, exitNotFound, "rooms", "join", "taller")
	as(t, "bob", url, exitOK, "send", "1", "hola") // the server knows Bob from now on
	as(t, "ana", url, exitOK, "rooms", "invite", "taller", "bob")
	as(t, "bob", url, exitOK, "rooms", "join", "taller")
	as(t, "bob", url, exitOK, "send", "taller", "ya estoy")
	as(t, "bob", url, exitRefused, "rooms", "rename", "taller", "Mío")
	as(t, "eva", url, exitNotFound, "history", "taller")
	as(t, "eva", url, exitNotFound, "rooms", "members", "taller")
	if out, _ := as(t, "bob", url, exitOK, "rooms", "members", "taller"); fmt.Sprint(strings.Fields(out)) != "[USER NAME ROLE ana ANA owner bob BOB member]" {
		t.Errorf("rooms members writes\n%s", out)
	}
	if out, _ := as(t, "bob", url, exitOK, "rooms", "members", "taller", "--json"); strings.Count(out, "\n") != 2 || !strings.Contains(out, `{"user_id":"bob","username":"BOB","state":"joined","role":"member","joined_at":"`) {
		t.Errorf("rooms members --json writes\n%s", out)
	}
	as(t, "ana", url, exitOK, "rooms", "rename", "taller", "Taller nuevo")
	as(t, "ana", url, exitOK, "rooms", "remove", "taller", "bob")
	as(t, "bob", url, exitNotFound, "send", "taller", "¿y ahora?")
	as(t, "ana", url, exitOK, "rooms", "archive", "taller")
	as(t, "ana", url, exitRefused, "send", "taller", "tarde")
	as(t, "ana", url, exitOK, "rooms", "archive", "taller", "--undo")
}

// The list goes on over more pages than one.
func TestRoomsLs(t *testing.T) {
	url := newServer(t)
	for i := range roomsPage + 5 {
		as(t, "ana", url, exitOK, "rooms", "create", fmt.Sprintf("r%03d", i), "--title", fmt.Sprint("Sala ", i))
	}
	as(t, "bob", url, exitOK, "rooms", "join", "r007")
	out, _ := as(t, "bob", url, exitOK, "rooms", "ls")
	if !strings.HasPrefix(out, "ROOM") || strings.Count(out, "Sala") != roomsPage+5 || !strings.Contains(strings.Join(strings.Fields(out), " "), "r007 public 2 Sala 7 r008 public 1 Sala 8") {
		t.Errorf("rooms ls writes\n%s", out)
	}
	if out, _ := as(t, "bob", url, exitOK, "rooms", "ls", "--json"); !strings.Contains(out, `"id":"r104"`) {
		t.Errorf("rooms ls --json writes\n%s", out)
	}
	as(t, "bob", url, exitOK, "rooms", "leave", "r007")
	as(t, "bob", url, exitNotFound, "rooms", "leave", "r007")
	as(t, "bob", url, exitUsage, "rooms", "join", "a b")
}
