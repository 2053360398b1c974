package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/config"
)

// with runs a command with this input against the server at url, as Ana.
func with(t *testing.T, url, input string, args ...string) (code exitCode, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	code = run(ctx, append(args, "--server", url), IO{In: strings.NewReader(input), Out: &out, Err: &errOut, Name: "tertulia", Env: []string{"USER_ID=7", "USERNAME=Ana"}})
	return code, out.String(), errOut.String()
}

// must is with, for what has to work in silence.
func must(t *testing.T, url, input string, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := with(t, url, input, args...)
	if code != exitOK || stderr != "" {
		t.Fatalf("tertulia %s = %d, %q", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

func TestSend(t *testing.T) {
	url := newServer(t)
	if out := must(t, url, "", "send", "1", "uno"); !regexp.MustCompile(`^\d+\n$`).MatchString(out) {
		t.Errorf("send writes %q, want an id", out)
	}
	var lines strings.Builder
	want := []string{"uno"}
	for i := range 250 { // more than may be on their way
		fmt.Fprintf(&lines, "%d\n\n", i)
		want = append(want, fmt.Sprint(i))
	}
	if out := must(t, url, lines.String(), "send", "1"); strings.Count(out, "\n") != 250 {
		t.Errorf("send of 250 lines writes %d", strings.Count(out, "\n"))
	}
	var got []string
	for line := range strings.Lines(must(t, url, "", "history", "1", "--limit", "1000")) {
		got = append(got, strings.TrimSpace(strings.SplitN(line, "  ", 3)[2]))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the room has\n%q, want\n%q", got, want)
	}
	var sent struct {
		Room      chat.RoomID `json:"room"`
		ID        int64       `json:"message_id"`
		Seq       uint64      `json:"seq"`
		Timestamp time.Time   `json:"timestamp"`
		Nonce     chat.Nonce  `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(must(t, url, "", "send", "1", "--json", "dos")), &sent, json.RejectUnknownMembers(true)); err != nil ||
		sent.Room != "1" || sent.ID == 0 || sent.Seq != 252 || sent.Timestamp.IsZero() || sent.Nonce == "" {
		t.Errorf("send --json writes %+v, %v", sent, err)
	}
}

func TestSendEnds(t *testing.T) {
	nobody := freeAddr(t)
	url := newServer(t, func(c *config.Config) { c.Rooms.AutoCreate = false; c.Rooms.Initial = []chat.RoomID{"1"} })
	for _, test := range []struct {
		name, input string
		args        []string
		code        exitCode
		out, err    string
	}{
		{"no such room", "", []string{"send", "nowhere", "x"}, exitNotFound, "", "tertulia: the message was not sent: "},
		{"not UTF-8", "a\xff\n", []string{"send", "1"}, exitRefused, "", "tertulia: line 1 was not sent: The message is not valid UTF-8.\n"},
		{"too long", strings.Repeat("x", chat.MaxContentBytes+5), []string{"send", "1"}, exitRefused, "", "tertulia: line 1 was not sent: "},
		{"nobody listens", "", []string{"send", "1", "x", "--server", "ws://" + nobody, "--timeout", "2s"}, exitUnreachable, "", "hint: is it running? check with: curl http://" + nobody + "/health\n"},
		{"invalid room", "", []string{"send", "a b", "x"}, exitUsage, "", "hint: a room id has 1 to 64 letters"},
		{"no address", "", []string{"send", "1", "x", "--server", "localhost/x"}, exitUsage, "", "does not begin with ws://"},
		{"HTTP refusal", "", []string{"history", "1", "--server", url + "/elsewhere"}, exitRefused, "", "tertulia: the server refused: "},
		{"history of nowhere", "", []string{"history", "nowhere"}, exitNotFound, "", "(room_not_found)\n"},
		{"tail of nowhere", "", []string{"tail", "nowhere"}, exitNotFound, "", "(room_not_found)\n"},
		{"not a cursor", "", []string{"tail", "1", "--after", "12"}, exitUsage, "", "hint: cursors stand in the output"},
		{"no token file", "", []string{"send", "1", "x", "--token-file", "nowhere", "--timeout", "2s"}, exitUnreachable, "", "no such file"},
		{"two tokens", "", []string{"send", "1", "x", "--token", "a", "--token-file", "b"}, exitUsage, "", "exclude each other"},
		{"two places", "", []string{"history", "1", "--after", "1", "--before", "2"}, exitUsage, "", "exclude each other"},
		{"too much", "", []string{"history", "1", "--limit", "10001"}, exitUsage, "", "--limit is from 1 to 10000"},
		{"stats of nobody", "", []string{"stats", "--server", "ws://" + nobody, "--timeout", "1s"}, exitUnreachable, "", "tertulia: cannot reach ws://" + nobody + ": connection refused\n"},
		{"stats too often", "", []string{"stats", "--interval", "1ms"}, exitUsage, "", "--interval is 100ms or longer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			server := url
			for i, a := range args {
				if a == "--server" { // the last one would count
					server, args = args[i+1], append(args[:i:i], args[i+2:]...)
					break
				}
			}
			code, stdout, stderr := with(t, server, test.input, args...)
			if code != test.code || stdout != test.out || !strings.Contains(stderr, test.err) {
				t.Errorf("tertulia %s = %d with %q and\n%s\nwant %d with %q and %q", strings.Join(args, " "), code, stdout, stderr, test.code, test.out, test.err)
			}
		})
	}
}

// In token mode the commands are who their token says, and read it anew from
// its file.
func TestTokens(t *testing.T) {
	secret := "an HS256 secret of more than 32 bytes"
	url := newServer(t, func(c *config.Config) {
		c.Auth.Mode, c.Auth.HS256Secret = config.AuthToken, config.Secret(secret)
	})
	dir := t.TempDir()
	secretFile, tokenFile := filepath.Join(dir, "secret"), filepath.Join(dir, "token")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secretFile, secret)
	code, token, stderr := tertulia(t.Context(), nil, "token", "create", "--user", "eva", "--name", "Eva", "--secret-file", secretFile)
	if code != exitOK {
		t.Fatal(stderr)
	}
	write(tokenFile, token)
	must(t, url, "", "send", "1", "hola", "--token-file", tokenFile)
	if out := must(t, url, "", "history", "1", "--token", strings.TrimSpace(token)); !strings.HasSuffix(out, "  Eva  hola\n") {
		t.Errorf("history writes %q, want what Eva said", out)
	}
	if out := must(t, url, "/ping\n", "chat", "1", "--commands", "--token-file", tokenFile); !strings.HasPrefix(out, "pong") {
		t.Errorf("chat writes %q", out)
	}
	for _, args := range [][]string{{"send", "1", "x", "--token", "nonsense"}, {"tail", "1", "--token", "nonsense"}, {"history", "1", "--token", "nonsense"}} {
		if code, out, stderr := with(t, url, "", args...); code != exitRefused || out != "" || !strings.Contains(stderr, "the server refused") {
			t.Errorf("tertulia %s = %d with %q, %q, want a refusal", strings.Join(args, " "), code, out, stderr)
		}
	}
}

func TestStats(t *testing.T) {
	url := newServer(t)
	alice := talk(t, "Alice", url)
	if out := must(t, url, "", "stats"); !strings.HasPrefix(out, "ROOM") || !strings.HasSuffix(out, "1 connection in 1 room\n") {
		t.Errorf("stats writes\n%s", out)
	}
	if out := must(t, url, "", "stats", "--json"); out != `{"total_connections":1,"total_rooms":1,"rooms":{"1":{"connections":1,"users":1}}}`+"\n" {
		t.Errorf("stats --json writes %s", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out, errOut page
	code := make(chan exitCode, 1)
	go func() {
		code <- run(ctx, []string{"stats", "--watch", "--interval", "100ms", "--server", url}, IO{In: strings.NewReader(""), Out: &out, Err: &errOut, Name: "tertulia"})
	}()
	out.want(t, "1 connection in 1 room\n")
	alice.end(exitOK)
	out.want(t, "0 connections in 0 rooms\n")
	cancel()
	if got := <-code; got != exitInterrupted || errOut.String() != "" || strings.Contains(out.String(), "\x1b") {
		t.Errorf("stats --watch = %d with %q", got, errOut.String())
	}
}
