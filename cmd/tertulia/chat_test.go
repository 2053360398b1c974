package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/capture"
	"tertulia/internal/config"
	"tertulia/internal/server"
	"tertulia/internal/services"
)

// patience bounds what a test waits for; it costs nothing when all is well.
const patience = time.Minute

// newServer runs a server in this process until the end of the test, and
// returns its address.
func newServer(t *testing.T, change ...func(*config.Config)) (url string) {
	t.Helper()
	cfg := config.Default()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	for _, f := range change {
		f(&cfg)
	}
	srv, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return "ws://" + srv.Addr().String()
}

// page is a stream that a test reads while it is being written.
type page struct{ capture.Buffer }

// want waits until the page holds text.
func (p *page) want(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(p.String(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q on the page:\n%s", text, p)
		}
	}
}

// talker is a chat command that a test types into.
type talker struct {
	t        *testing.T
	in       *io.PipeWriter
	out, err page
	leave    context.CancelFunc
	code     chan exitCode
}

// talk starts tertulia chat in this process, and waits until it is in the
// room.
func talk(t *testing.T, name, url string, args ...string) *talker {
	t.Helper()
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	k := &talker{t: t, in: write, leave: cancel, code: make(chan exitCode, 1)}
	args = append([]string{"chat", "1", "--server", url, "--username", name, "--debug"}, args...)
	go func() {
		k.code <- run(ctx, args, IO{In: read, Out: &k.out, Err: &k.err, Name: "tertulia"})
	}()
	t.Cleanup(func() {
		cancel()
		write.Close()
	})
	k.err.want(t, `← {"type":"subscribed"`)
	return k
}

func (k *talker) say(lines ...string) {
	k.t.Helper()
	for _, l := range lines {
		if _, err := io.WriteString(k.in, l+"\n"); err != nil {
			k.t.Fatal(err)
		}
	}
}

// end ends the input and wants the command to end with code.
func (k *talker) end(code exitCode) {
	k.t.Helper()
	k.in.Close()
	k.wantCode(code)
}

func (k *talker) wantCode(code exitCode) {
	k.t.Helper()
	select {
	case got := <-k.code:
		if got != code {
			k.t.Fatalf("chat = %d, want %d; it said\n%s", got, code, &k.err)
		}
	case <-time.After(patience):
		k.t.Fatalf("chat does not end; it said\n%s", &k.err)
	}
}

// pipe runs chat with this input and returns what came of it.
func pipe(t *testing.T, input, url string, args ...string) (code exitCode, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errOut bytes.Buffer
	code = run(ctx, append([]string{"chat", "--server", url}, args...), IO{
		In: strings.NewReader(input), Out: &out, Err: &errOut, Name: "tertulia",
		Env: []string{"USER_ID=7", "USERNAME=Ana", "USER=login"},
	})
	return code, out.String(), errOut.String()
}

// texts are the messages of a room, as a latecomer sees them.
func texts(t *testing.T, url, room string) []string {
	t.Helper()
	code, stdout, stderr := pipe(t, "", url, room, "--history", "200")
	if code != exitOK || stderr != "" {
		t.Fatalf("chat --history = %d, %q", code, stderr)
	}
	var all []string
	for l := range strings.Lines(stdout) {
		fields := strings.SplitN(strings.TrimSuffix(l, "\n"), "  ", 3)
		if len(fields) != 3 {
			t.Fatalf("the line %q has not three fields", l)
		}
		all = append(all, fields[2])
	}
	return all
}

func wantTexts(t *testing.T, url, room string, want ...string) {
	t.Helper()
	if got := texts(t, url, room); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("room %s has\n%q\nwant\n%q", room, got, want)
	}
}

// `echo hola | tertulia chat 1` sends one line, waits until it is stored, and
// ends with 0, in silence.
func TestChatPipe(t *testing.T) {
	url := newServer(t)
	code, stdout, stderr := pipe(t, "hola\n", url, "1")
	if code != exitOK || stdout != "" || stderr != "" {
		t.Errorf("chat = %d with %q, %q, want 0 in silence", code, stdout, stderr)
	}
	code, stdout, _ = pipe(t, "", "http"+strings.TrimPrefix(url, "ws")+"/", "1", "--history", "5")
	form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  Ana  hola\n$`)
	if code != exitOK || !form.MatchString(stdout) {
		t.Errorf("chat --history 5 = %d with %q, want the time, Ana and hola", code, stdout)
	}
	// Order, blank lines, line ends, the last line without one, and what would
	// be commands elsewhere.
	code, _, stderr = pipe(t, "uno\n\n  \r\n dos \r\n/ping\n//x\n\ttres", url, "2")
	if code != exitOK || stderr != "" {
		t.Errorf("chat = %d with %q, want 0 in silence", code, stderr)
	}
	wantTexts(t, url, "2", "uno", " dos ", "/ping", "//x", "\ttres")
}

// What is said before our last line is stored is shown, what comes later is
// not.
func TestChatPipeShowsWhatCameBefore(t *testing.T) {
	url := newServer(t)
	for i := range 10 {
		if code, _, stderr := pipe(t, "antes\n", url, fmt.Sprint("room-", i), "--user-id", "9"); code != exitOK {
			t.Fatal(stderr)
		}
		_, stdout, stderr := pipe(t, "yo\n", url, fmt.Sprint("room-", i), "--history", "1")
		if strings.Count(stdout, "antes") != 1 || strings.Contains(stdout, "yo") {
			t.Errorf("chat shows %q (%q), want the message from before alone", stdout, stderr)
		}
	}
}

func TestChatTwoUsers(t *testing.T) {
	url := newServer(t)
	alice := talk(t, "Alice", url)
	alice.say("nobody is here")
	bob := talk(t, "Bob", url, "--history", "10", "--commands")
	bob.out.want(t, "Z  Alice  nobody is here\n")
	alice.err.want(t, "* Bob joined\n")
	bob.say("/typing")
	alice.err.want(t, "* Bob is typing\n")
	bob.say("hola Alice")
	alice.out.want(t, "Z  Bob  hola Alice\n")
	alice.say("hola Bob")
	bob.out.want(t, "Z  Alice  hola Bob\n")
	alice.err.want(t, `,"content":"hola Bob"`)
	alice.err.want(t, `← {"type":"message_sent"`)
	bob.end(exitOK)
	alice.err.want(t, "* Bob left\n")
	alice.end(exitOK)
	if out := alice.out.String(); strings.Count(out, "\n") != 1 {
		t.Errorf("Alice sees %q, want what Bob said alone", out)
	}
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := services.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// serveAt runs the server as a process of its own, which can be killed.
func serveAt(t *testing.T, listen, dir string) *exec.Cmd {
	t.Helper()
	cmd := program(t, "main", "serve", "--listen", listen, "--data-dir", dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	if !log.Scan() || !strings.Contains(log.Text(), "serving") {
		t.Fatalf("the server says %q", log.Text())
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, stderr)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-drained
		cmd.Wait() // reports the kill
	})
	return cmd
}

// The server is killed twice while Alice sends 150 lines and Bob listens:
// both come back by themselves, and each line is there once, in order.
func TestChatSurvivesKills(t *testing.T) {
	listen, dir := freeAddr(t), filepath.Join(t.TempDir(), "data")
	url := "ws://" + listen
	srv := serveAt(t, listen, dir)
	bob := talk(t, "Bob", url)
	alice := talk(t, "Alice", url)
	var want []string
	say := func(text string) {
		want = append(want, text)
		alice.say(text)
	}
	for i := 1; i <= 150; i++ {
		say(fmt.Sprint("line ", i))
		if i%50 == 0 && i < 150 {
			bob.out.want(t, "Alice  line "+fmt.Sprint(i-40)+"\n")
			srv.Process.Kill() // the last lines are on their way
			srv.Wait()
			say(fmt.Sprint("said while the server was away, ", i))
			alice.err.want(t, "* connection lost (")
			srv = serveAt(t, listen, dir)
		}
	}
	alice.end(exitOK)
	alice.err.want(t, "* connected again\n")
	bob.out.want(t, "line 150\n")
	bob.end(exitOK)
	var got []string
	for l := range strings.Lines(bob.out.String()) {
		_, text, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "  Alice  ")
		got = append(got, text)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("Bob has seen\n%q\nwant\n%q", got, want)
	}
	wantTexts(t, url, "1", want...)
}

func TestChatNeutralisesWhatOthersWrite(t *testing.T) {
	url := newServer(t)
	bob := talk(t, "Bob", url)
	mallory := "red \x1b[31m, title \x1b]0;owned\x07, erase \u009b2K, back\b\x7f, 2026\r forged, turn \u202e round, tab\there"
	conn, err := client.Dial(t.Context(), url, client.WithUser(chat.User{ID: "m", Name: "Mal\u2066lory"}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Room("1").Send(t.Context(), mallory+"\n2026-01-01T00:00:00Z  Alice  forged"); err != nil {
		t.Fatal(err)
	}
	bob.out.want(t, "\n")
	want := `Z  Mal\u2066lory  red ␛[31m, title ␛]0;owned␇, erase \u009b2K, back␈␡, 2026␍ forged, turn \u202e round, tab	here␊2026-01-01T00:00:00Z  Alice  forged` + "\n"
	if got := bob.out.String(); !strings.HasSuffix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("Bob's screen gets\n%q\nwant\n%q", got, want)
	}
	bob.end(exitOK)
	for _, r := range bob.err.String() {
		if r != '\n' && isObeyed(r) {
			t.Errorf("--debug lets %q through:\n%q", r, bob.err.String())
			break
		}
	}
}

func TestChatCommands(t *testing.T) {
	url := newServer(t)
	code, stdout, stderr := pipe(t, "uno\n/ping\n/stats\n/who\n//slash\n/help\n/quit\nnever\n", url, "1", "--commands")
	if code != exitOK || stderr != "" {
		t.Errorf("chat --commands = %d with %q, want 0 in silence", code, stderr)
	}
	for _, want := range []string{`pong \d+\.\d ms\n`, `ROOM +CONNECTIONS +USERS\n1 +1 +1\n1 connection in 1 room\n`, `1 here: Ana\n`, `/typing \[on\|off\] +tell`, `//text +send`} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("chat --commands writes\n%s\nwant …%s…", stdout, want)
		}
	}
	wantTexts(t, url, "1", "uno", "/slash")

	for _, c := range []struct{ line, want string }{
		{"/pong", "* unknown command /pong, nothing was sent; did you mean /ping?\n"},
		{"/stat x", "* unknown command /stat, nothing was sent; did you mean /stats?\n"},
		{"/teleport", "* unknown command /teleport, nothing was sent; /help lists the commands\n"},
		{"/", "* unknown command /, nothing was sent; /help lists the commands\n"},
		{"/\x1b[2J", "* unknown command /␛[2J, nothing was sent; /help lists the commands\n"},
		{"/typing perhaps", "* usage: /typing [on|off]\n"},
		{"/ping x", "* usage: /ping\n"},
	} {
		code, stdout, stderr := pipe(t, c.line+"\n", url, "2", "--commands")
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, c.want) {
			t.Errorf("%q = %d with %q, %q, want 2 and %q", c.line, code, stdout, stderr, c.want)
		}
	}
	wantTexts(t, url, "2")
}

func TestChatWait(t *testing.T) {
	url := newServer(t)
	began := time.Now()
	if code, _, stderr := pipe(t, "", url, "1", "--wait", "30ms"); code != exitOK || time.Since(began) < 30*time.Millisecond {
		t.Errorf("chat --wait 30ms = %d with %q after %v", code, stderr, time.Since(began))
	}
	bob := talk(t, "Bob", url, "--wait", "1h")
	bob.in.Close() // Bob listens on
	alice := talk(t, "Alice", url)
	bob.err.want(t, "* Alice joined")
	alice.say("after the end of the input")
	bob.out.want(t, "after the end of the input")
	alice.end(exitOK)
	bob.leave() // Ctrl+C
	bob.wantCode(exitInterrupted)
}

// How the command ends, and what it says then.
func TestChatEnds(t *testing.T) {
	nobody := freeAddr(t)
	url := newServer(t, func(c *config.Config) { c.Rooms.AutoCreate = false })
	long := strings.Repeat("x", chat.MaxContentBytes+1)
	for _, test := range []struct {
		name  string
		input string
		args  []string
		code  exitCode
		want  []string
	}{
		{"nobody listens", "x\n", []string{"1", "--server", "ws://" + nobody, "--timeout", "2s"}, exitUnreachable, []string{
			"cannot reach ws://" + nobody + ": connection refused; trying for 2s. Is it running? curl http://" + nobody + "/health\n",
			"tertulia: cannot reach ws://" + nobody + ": connection refused\nhint: is it running? check with: curl http://" + nobody + "/health\n"}},
		{"room not found", "x\n", []string{"nowhere"}, exitNotFound, []string{"tertulia: the server refused: ", "(room_not_found)\n"}},
		{"HTTP refusal", "x\n", []string{"1", "--server", url + "/elsewhere"}, exitRefused, []string{"tertulia: the server refused: "}},
		{"line too long", "uno\n" + long + "\n" + long + long + "\ndos\n", []string{"1"}, exitRefused, []string{
			"* line 2 was not sent: ", "* line 3 was not sent: It is longer than 16384 bytes.\n", "tertulia: 2 lines were not sent\n"}},
		{"not UTF-8", "a\xff\n", []string{"1"}, exitRefused, []string{"* line 1 was not sent: The message is not valid UTF-8.\n", "tertulia: 1 line was not sent\n"}},
		{"invalid room", "", []string{"a b"}, exitUsage, []string{"hint: a room id has 1 to 64 letters"}},
		{"no address", "", []string{"1", "--server", "localhost/x"}, exitUsage, []string{"does not begin with ws://", "hint: see tertulia chat --help\n"}},
		{"too much history", "", []string{"1", "--history", "201"}, exitUsage, []string{"--history is from 0 to 200"}},
		{"no time", "", []string{"1", "--timeout", "0s"}, exitUsage, []string{"--timeout is longer than nothing"}},
		{"negative time", "", []string{"1", "--wait=-1s"}, exitUsage, []string{"--wait is not negative"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := pipe(t, test.input, url, test.args...)
			if code != test.code || stdout != "" {
				t.Errorf("chat = %d with stdout %q, want %d and none", code, stdout, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("chat says\n%s\nwant %q in it", stderr, want)
				}
			}
		})
	}
	wantTexts(t, url, "1", "uno", "dos")
}

// Ctrl+C says what becomes of the lines that are on their way.
func TestChatInterrupted(t *testing.T) {
	listen := freeAddr(t)
	srv := serveAt(t, listen, filepath.Join(t.TempDir(), "data"))
	alice := talk(t, "Alice", "ws://"+listen)
	srv.Process.Kill()
	alice.err.want(t, "* connection lost")
	alice.say("x", "y")
	alice.say("") // so that y has been taken
	alice.leave()
	alice.wantCode(exitInterrupted)
	alice.err.want(t, "* 2 messages were not sent\n")
}

// A server that has gone for good is given up after --timeout.
func TestChatGivesUp(t *testing.T) {
	listen := freeAddr(t)
	srv := serveAt(t, listen, filepath.Join(t.TempDir(), "data"))
	alice := talk(t, "Alice", "ws://"+listen, "--timeout", "5s") // in which she connects on a busy machine too
	srv.Process.Kill()
	alice.wantCode(exitUnreachable)
	alice.err.want(t, "* connection lost (")
	alice.err.want(t, "tertulia: cannot reach ws://"+listen+": connection refused\n")
}

func TestChatIdentity(t *testing.T) {
	for _, test := range []struct {
		name     string
		cmd      ConnectFlags
		env      []string
		id, says string
	}{
		{"flags", ConnectFlags{UserID: "1", Username: "Alice"}, []string{"USER_ID=2", "USERNAME=Bob"}, "1", "Alice"},
		{"variables", ConnectFlags{}, []string{"USER_ID=2", "USERNAME=Bob", "USER=login"}, "2", "Bob"},
		{"a name alone", ConnectFlags{}, []string{"USERNAME=Bob"}, "Bob", "Bob"},
		{"an id alone", ConnectFlags{}, []string{"USER_ID=2", "USER=login"}, "2", "login"},
		{"empty variables", ConnectFlags{}, []string{"USER_ID=", "USERNAME=", "USER=login"}, "login", "login"},
		{"nothing", ConnectFlags{}, nil, "guest", "guest"},
	} {
		if got := test.cmd.identity(test.env); string(got.ID) != test.id || got.Name != test.says {
			t.Errorf("%s: %+v, want %s, %s", test.name, got, test.id, test.says)
		}
	}
}

// The variables with TERTULIA_ go before the prototype's.
func TestChatVariables(t *testing.T) {
	url := newServer(t)
	t.Setenv("TERTULIA_SERVER", url)
	t.Setenv("TERTULIA_USER_ID", "70")
	t.Setenv("TERTULIA_USERNAME", "Eva")
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"chat", "--commands"}, IO{
		In: strings.NewReader("/who\n"), Out: &out, Err: &errOut, Env: []string{"USER_ID=7", "USERNAME=Ana"}, Name: "tertulia",
	})
	if code != exitOK || out.String() != "1 here: Eva\n" {
		t.Errorf("chat = %d with %q, %q, want Eva alone", code, out.String(), errOut.String())
	}
}

func TestReadLine(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader("a\r\n\nlonger than sixteen bytes, by far\nsixteen is room\nend"), 16)
	for _, want := range []string{"a false <nil>", " false <nil>", " true <nil>", "sixteen is room false <nil>", "end false EOF"} {
		text, tooLong, err := readLine(r)
		if got := fmt.Sprint(text, " ", tooLong, " ", err); got != want {
			t.Errorf("readLine = %s, want %s", got, want)
		}
	}
}

// An input that breaks is an error, not an end.
func TestChatInputBreaks(t *testing.T) {
	alice := talk(t, "Alice", newServer(t))
	alice.say("x")
	alice.in.CloseWithError(errors.New("torn"))
	alice.wantCode(exitFailure)
	alice.err.want(t, "tertulia: read the input: torn\n")
}

func TestChatWords(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 5, 0, 0, time.UTC)
	for _, test := range []struct{ got, want string }{
		{localTime(now.Add(-time.Hour), now), "09:05"},
		{localTime(now.Add(-24*time.Hour), now), "2026-11-23 10:05"},
		{describeGap(client.Gap{Reason: client.GapRetention, From: 3, To: 9}), "messages 3 to 9 are no longer kept"},
		{describeGap(client.Gap{Reason: client.GapPermission, From: 3, To: 9}), "messages 3 to 9 are not for you"},
		{describeGap(client.Gap{Reason: client.GapEpoch}), "the room's history was changed by the server; what stands above may no longer be in it"},
		{neutralised("ñandú 日本 🎉"), "ñandú 日本 🎉"},
		{neutralised("a\u2028b\x00"), `a\u2028b␀`},
		{statsTable(&client.Stats{Connections: 3, RoomCount: 2, Rooms: map[string]client.RoomStats{"b": {Connections: 1, Users: 1}, "\x1b": {Connections: 2, Users: 1}}}),
			"ROOM   CONNECTIONS   USERS\n␛      2             1\nb      1             1\n3 connections in 2 rooms"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
	many := client.Stats{RoomCount: 25, Rooms: map[string]client.RoomStats{}}
	for i := range 25 {
		many.Rooms[fmt.Sprint(i)] = client.RoomStats{Connections: 1, Users: 1}
	}
	if table := statsTable(&many); strings.Count(table, "\n") != 22 || !strings.Contains(table, "\nand 5 more\n") {
		t.Errorf("25 rooms make the table\n%s", table)
	}
	var r roster
	r.reset(&client.Presence{Users: []chat.User{{ID: "1", Name: "Ana"}, {ID: "2", Name: "Bob"}}, Count: 300})
	r.add(chat.User{ID: "1", Name: "Anita"})
	r.remove(chat.User{ID: "2"})
	if got, want := r.String(), "299 here: Anita, and 298 more"; got != want {
		t.Errorf("roster = %s, want %s", got, want)
	}
}
