package seedtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/internal/browsertest"
)

// document is the prototype's document. What its clients run is taken from
// it, unchanged.
const document = "../../docs/seed/websocket-phase-2.md"

// documentSum pins the document: it is a copy of what was published.
const documentSum = "7b1c0da56d82531c"

func readDocument(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); !strings.HasPrefix(got, documentSum) {
		t.Fatalf("%s has the SHA-256 %s, want %s…: it is not to be edited", document, got, documentSum)
	}
	return string(b)
}

// snippet returns the document's code block of a language that holds a text.
func snippet(t *testing.T, language, holds string) string {
	t.Helper()
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(readDocument(t), -1) {
		if strings.Contains(block[1], holds) {
			return block[1]
		}
	}
	t.Fatalf("%s has no %s block with %q", document, language, holds)
	return ""
}

// What the document tells people to do, done as they would, with the programs
// that they would use. The snippets name port 8000, so this has a network of
// its own.
func TestAsDocumented(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	needClients(t)
	wantFree(t, "127.0.0.1:8000")
	var s *server

	t.Run("S-003 S-008 one command starts the server on port 8000", func(t *testing.T) {
		var err error
		if s, err = launch(t.TempDir(), ""); err != nil {
			t.Fatal(err)
		}
	})
	if s == nil {
		return
	}
	defer s.kill()

	t.Run("S-066 S-104 the Python snippet", pythonSnippet)
	t.Run("S-105 A23 the JavaScript snippet in a browser", func(t *testing.T) { javaScriptSnippet(t, s) })
	t.Run("S-106 a line client, as websocat", lineClient)
	t.Run("S-004 S-005 S-090 S-107 curl", func(t *testing.T) { curl(t, s) })
}

// command runs a program to its end, and returns what it printed.
func command(t *testing.T, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// needClients fails the test with what to do if a published client's program is
// missing; browsertest does so for the browser.
func needClients(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("curl is missing; run `make test`, or: %s", installClients)
	}
	if out, err := exec.Command(systemPython, "-c", "import websockets").CombinedOutput(); err != nil {
		t.Fatalf("%s cannot import websockets; run `make test`, or: %s\n%s", systemPython, installClients, out)
	}
}

const installClients = "apt-get install -y python3-websockets chromium curl"

// systemPython is Debian's, for which python3-websockets is packaged.
const systemPython = "/usr/bin/python3"

func pythonSnippet(t *testing.T) {
	script := filepath.Join(t.TempDir(), "client.py")
	if err := os.WriteFile(script, []byte(snippet(t, "python", "websockets.connect")), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is history
		out := command(t, nil, systemPython, script)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 2 {
			t.Fatalf("the snippet printed %q, want two lines", out)
		}
		for i, want := range []struct{ label, typ string }{{"Conectado: ", "connected"}, {"Respuesta: ", "message_sent"}} {
			var e event
			frame, ok := strings.CutPrefix(lines[i], want.label)
			if err := json.Unmarshal([]byte(frame), &e); err != nil || !ok || e.Type != want.typ {
				t.Errorf("line %d is %q, want %s and a frame of type %s (%v)", i+1, lines[i], want.label, want.typ, err)
			}
		}
	}
}

// page runs the snippet as a page would. What it calls under "Uso:" stands at
// its top level as an example; called there, before the connection is open,
// every browser throws. So this part is a script of its own, run once the
// connection is open. Everything said on the console goes to the test.
var page = template.Must(template.New("page").Parse(`<!doctype html><meta charset="utf-8"><title>seed</title>
<script>
let said = Promise.resolve(); // one after the other, so that they come in order
const say = (kind, args) => {
	const body = JSON.stringify([kind, ...args]);
	said = said.then(() => fetch('/said', {method: 'POST', body}));
};
for (const kind of ['log', 'error']) console[kind] = (...args) => say(kind, args);
window.onerror = (...args) => say('exception', [String(args[0])]);
</script>
<script>{{.Definitions}}</script>
<script>
ws.addEventListener('open', () => {
	const script = document.createElement('script');
	script.textContent = {{.Usage}};
	document.head.append(script);
});
</script>
`))

func javaScriptSnippet(t *testing.T, s *server) {
	definitions, usage, ok := strings.Cut(snippet(t, "javascript", "new WebSocket"), "// Uso:")
	if !ok {
		t.Fatal("the snippet has no part // Uso:")
	}
	said := make(chan string, 64)
	base := servePage(t, said, template.JS(definitions), "// Uso:"+usage)
	bob, _ := join(t, s.addr, "1", "2", "Bob")

	browsertest.Open(t, base)
	for _, want := range []string{
		`["log","Conectado"]`,
		`["log","Evento:","connected",{`,
		`["log","Evento:","message_sent",{"message_id":`,
		`["log","Evento:","message",{"id":`,
		`["log","Juan: Hola a todos!"]`,
	} {
		select {
		case got := <-said:
			if !strings.HasPrefix(got, want) {
				t.Fatalf("the page said %s, want %s…", cut(got), want)
			}
		case <-time.After(3 * patience):
			t.Fatalf("the page did not say %s", want)
		}
	}
	bob.want("user_joined").field("user_id", 1).field("username", "Juan")
	events := bob.wantAmong("message", "typing", "typing")
	events[0].field("content", "Hola a todos!")
	events[1].field("is_typing", true)
	events[2].field("is_typing", false)
}

// servePage serves the page, and passes on what it says in order.
func servePage(t *testing.T, said chan<- string, definitions template.JS, usage string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		page.Execute(w, map[string]any{"Definitions": definitions, "Usage": usage})
	})
	mux.HandleFunc("POST /said", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said <- string(body)
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String() + "/"
}

// lineClient drives an interactive line client as the document drives
// websocat, which few systems package.
func lineClient(t *testing.T) {
	block := snippet(t, "bash", "websocat \"ws:")
	m := regexp.MustCompile(`(?m)^websocat "(.*)"$`).FindStringSubmatch(block)
	if m == nil {
		t.Fatalf("no websocat line in %q", block)
	}
	typed := regexp.MustCompile(`(?m)^\{.*\}$`).FindString(block)
	if typed == "" {
		t.Fatalf("no line to type in %q", block)
	}

	in, keyboard := io.Pipe()
	cmd := exec.Command(systemPython, "-u", "-m", "websockets", m[1])
	screen := new(logBuffer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, screen, screen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shows := func(what string) func() bool { return func() bool { return strings.Contains(screen.String(), what) } }
	eventually(t, patience, "the client shows connected", shows(`< {"type":"connected"`))
	fmt.Fprintln(keyboard, typed)
	eventually(t, patience, "the client shows message_sent", shows(`< {"type":"message_sent"`))
	eventually(t, patience, "the client shows the message", shows(`"username":"Test","content":"Hola!"`))
	fmt.Fprintln(keyboard, "hola") // a slip
	eventually(t, patience, "the client shows the error", shows(`"code":"invalid_json"`))
	fmt.Fprintln(keyboard, `{"type": "ping"}`)
	eventually(t, patience, "the client shows pong", shows(`< {"type":"pong","data":{}}`))
	keyboard.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v\n%s", err, screen)
	}
}

func curl(t *testing.T, s *server) {
	eventually(t, patience, "the earlier clients are gone", func() bool { return getStats(t, s.addr).TotalConnections == 0 })
	for _, user := range []string{"1", "2", "3"} {
		join(t, s.addr, "1", user, "U")
	}
	for _, user := range []string{"1", "2"} {
		join(t, s.addr, "2", user, "U")
	}
	line := strings.Fields(strings.TrimSpace(snippet(t, "bash", "/ws/stats")))
	var got, want any
	if err := json.Unmarshal([]byte(command(t, nil, line[0], append(line[1:], "-sS")...)), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(snippet(t, "json", "total_connections")), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v printed %v, the document shows %v", line, got, want)
	}

	health := regexp.MustCompile(`(?m)^curl (http.*/health)$`).FindStringSubmatch(readDocument(t))
	if health == nil {
		t.Fatal("no curl of /health in the document")
	}
	if out := command(t, nil, "curl", "-sS", "--fail", health[1]); !strings.Contains(out, `"status":"ok"`) {
		t.Errorf("curl %s printed %s, want status ok", health[1], out)
	}
}

// The store runs out of room: docs/protocol.md §6.1 and §10.1. The disk is
// one of the test's own.
func TestFullDisk(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	t.Run("S-006 S-064 what cannot be stored is not acknowledged and not shown", func(t *testing.T) {
		dir := t.TempDir()
		mountSmall(t, dir, "3m")
		s := startServerAt(t, dir, freeAddr())
		alice, _ := join(t, s.addr, "1", "1", "Alice")
		bob, _ := join(t, s.addr, "1", "2", "Bob")
		alice.want("user_joined")

		stored := 0
		var refused event
		for refused.Type == "" {
			alice.send(messageFrame(strings.Repeat("x", 16<<10), fmt.Sprintf("n-%d", stored)))
			if e := alice.next(); e.Type == "error" {
				refused = e
				break
			}
			alice.want("message")
			if stored++; stored > 400 {
				t.Fatal("400 messages of 16 KiB are stored on 3 MiB")
			}
		}
		if refused.Code != "store_unavailable" {
			t.Fatalf("got %s, want store_unavailable", refused)
		}
		refused.field("retryable", true).field("nonce", fmt.Sprintf("n-%d", stored))
		for range stored {
			bob.want("message")
		}
		bob.wantIdle()
		alice.wantAlive()
		eventually(t, patience, "health says so", func() bool {
			resp, _ := httpGet(t, "http://"+s.addr+"/health")
			return resp.StatusCode == http.StatusServiceUnavailable
		})
		if resp, _ := httpGet(t, "http://"+s.addr+"/livez"); resp.StatusCode != http.StatusOK {
			t.Errorf("GET /livez = %s, want 200", resp.Status)
		}

		growSmall(t, dir, "64m")
		var sent event
		eventually(t, patience, "the same message is stored when there is room", func() bool {
			alice.send(messageFrame(strings.Repeat("x", 16<<10), fmt.Sprintf("n-%d", stored)))
			sent = alice.next()
			return sent.Type == "message_sent"
		})
		sent.field("seq", stored+1)
		bob.want("message").field("nonce", fmt.Sprintf("n-%d", stored))
		eventually(t, patience, "health says so", func() bool {
			resp, _ := httpGet(t, "http://"+s.addr+"/health")
			return resp.StatusCode == http.StatusOK
		})
	})
}
