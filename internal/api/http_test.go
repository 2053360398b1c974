package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/capture"
	"tertulia/internal/limit"
	"tertulia/internal/peer"
)

// A body is bounded before it is read, and in any case while it is.
func TestBodyLimits(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	padded := func(n int) string {
		body := `{"access":"public"}`
		return body + strings.Repeat(" ", n-len(body))
	}
	alice.do("POST", "/rooms", padded(maxBodyBytes)).want(http.StatusCreated)
	alice.do("POST", "/rooms", padded(maxBodyBytes+1)).refused(chat.TooLarge)

	// Without a length it is the reading that ends.
	r, err := http.NewRequest("POST", w.server.URL+prefix+"/rooms", io.MultiReader(strings.NewReader(padded(maxBodyBytes)), strings.NewReader(" ")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Test-User", "alice")
	resp, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body without a length: %d, want 413", resp.StatusCode)
	}

	// What is announced as too large is not read at all.
	read := new(countingReader)
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("POST", prefix+"/rooms", read)
	req.ContentLength = maxBodyBytes + 1
	req.Header = r.Header
	w.server.Config.Handler.ServeHTTP(rec, req)
	if rec.Code != http.StatusRequestEntityTooLarge || read.n != 0 {
		t.Errorf("%d after %d bytes, want 413 after none", rec.Code, read.n)
	}
	// Nor what comes from nobody.
	req.ContentLength, rec = 5, httptest.NewRecorder()
	req.Header = http.Header{"Content-Type": {"application/json"}}
	w.server.Config.Handler.ServeHTTP(rec, req)
	if rec.Code != http.StatusUnauthorized || read.n != 0 || rec.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%d after %d bytes, want 401 after none", rec.Code, read.n)
	}
}

type countingReader struct{ n int }

func (r *countingReader) Read(b []byte) (int, error) {
	r.n += len(b)
	return len(b), nil
}

func TestMediaTypes(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	const body = `{"access":"public"}`
	alice.do("POST", "/rooms", body, "Content-Type", "application/json; charset=UTF-8").want(http.StatusCreated)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "multipart/form-data; boundary=x"} {
		alice.do("POST", "/rooms", body, "Content-Type", kind).refused(chat.UnsupportedMedia)
	}
	// An answer is JSON whatever is preferred.
	for _, accept := range []string{"text/html", "application/cbor", "*/*"} {
		alice.do("GET", "/rooms", "", "Accept", accept).want(http.StatusOK)
	}
}

// lines are the records of a log.
type lines struct{ capture.Buffer }

func (l *lines) all(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// A request has one line, with the id that its answer has, and nothing that
// was sent (experience E-049).
func TestLog(t *testing.T) {
	log := new(lines)
	w := newWorld(t, func(cfg *Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	a := w.as("alice").do("POST", "/rooms/none/messages?token=SECRET", `{"content":"SECRET"}`, "X-Request-Id", "req-7", "Authorization", "Bearer SECRET")
	if p := a.refused(chat.RoomNotFound); p.Instance != "req-7" {
		t.Errorf("instance = %s, want req-7", p.Instance)
	}
	w.as("").do("GET", "/nowhere/SECRET", "").refused(chat.PathNotFound)
	w.server.Close() // and the handlers have ended
	all := log.all(t)
	if len(all) != 2 {
		t.Fatalf("there are %d lines, want 2: %v", len(all), all)
	}
	first := all[0]
	for key, want := range map[string]any{
		"level": "DEBUG", "request_id": "req-7", "method": "POST", "route": "/api/v1/rooms/{room}/messages", "status": 404.0, "user_id": "alice",
	} {
		if first[key] != want {
			t.Errorf("%s = %v, want %v", key, first[key], want)
		}
	}
	if _, ok := first["duration_ms"].(float64); !ok {
		t.Errorf("duration_ms = %v, want a number", first["duration_ms"])
	}
	if text := fmt.Sprint(all); strings.Contains(text, "SECRET") {
		t.Errorf("the log has what was sent: %s", text)
	}
}

// A handler that panics answers without a word on why; the log has it.
func TestPanic(t *testing.T) {
	log := new(lines)
	w := newWorld(t, func(cfg *Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(log, nil))
		cfg.Identify = func(*http.Request) (chat.Principal, error) { panic("SECRET") }
	})
	a := w.as("alice").do("GET", "/rooms", "")
	a.refused(chat.Internal)
	if strings.Contains(string(a.body), "SECRET") {
		t.Errorf("the answer says %s", a.body)
	}
	w.server.Close()
	all := log.all(t)
	if len(all) != 2 || all[0]["level"] != "ERROR" || all[1]["level"] != "WARN" || all[1]["status"] != 500.0 || all[0]["request_id"] != all[1]["request_id"] {
		t.Errorf("the log is %v, want the panic and the request", all)
	}
}

// A client that goes as soon as it has its answer hides no failure.
func TestPanicAndGone(t *testing.T) {
	log := new(lines)
	w := newWorld(t, func(cfg *Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(log, nil))
		cfg.Identify = func(*http.Request) (chat.Principal, error) { panic("SECRET") }
	})
	ctx, leave := context.WithCancel(t.Context())
	w.server.Config.Handler.ServeHTTP(leaver{httptest.NewRecorder(), leave}, httptest.NewRequestWithContext(ctx, "GET", prefix+"/rooms", nil))
	if ctx.Err() == nil {
		t.Fatal("no answer was sent")
	}
	if all := log.all(t); len(all) != 2 || all[1]["level"] != "WARN" || all[1]["status"] != 500.0 {
		t.Errorf("the log is %v, want the panic and the request", all)
	}
}

// leaver is a client that goes when it has its answer.
type leaver struct {
	*httptest.ResponseRecorder
	leave func()
}

func (l leaver) Flush() { l.leave() }

// A stream whose client has gone ends without an answer, and is nobody's fault.
func TestCutStream(t *testing.T) {
	log := new(lines)
	w := newWorld(t, func(cfg *Config) {
		cfg.Log = slog.New(slog.NewJSONHandler(log, nil))
		cfg.Stream = func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }
	})
	resp, err := w.server.Client().Get(w.server.URL + prefix + "/stream?room=r")
	if err == nil {
		resp.Body.Close()
		t.Errorf("the answer is %s, want none", resp.Status)
	}
	w.server.Close()
	if all := log.all(t); len(all) != 0 {
		t.Errorf("the log is %v, want nothing", all)
	}
}

// While the node stops, nothing more is posted; when the store is gone, that
// is said.
func TestStopping(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	alice.makeRoom("r", "public")
	if err := w.rooms.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	a := alice.do("POST", "/rooms/r/messages", `{"content":"late"}`)
	if p := a.refused(chat.ShuttingDown); p.RetryAfterMS == 0 || a.header.Get("Retry-After") == "" {
		t.Errorf("nothing says when to come back: %+v", p)
	}
	alice.do("GET", "/rooms/r/messages", "").want(http.StatusOK)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/rooms", "/rooms/r", "/rooms/r/messages"} {
		alice.do("GET", path, "").refused(chat.StoreUnavailable)
	}
}

// Requests, posts and new rooms are limited, services are not.
func TestLimits(t *testing.T) {
	hourly := func(n int) limit.Rate { return limit.Rate{Count: n, Per: time.Hour, Burst: n} }
	limited := func(p limit.Policy) *world {
		return newWorld(t, func(cfg *Config) { cfg.Limits = limit.New(p) })
	}
	last := func(n int, ask func() *answered) {
		t.Helper()
		for range n {
			if a := ask(); a.status == http.StatusTooManyRequests {
				t.Fatalf("%s is refused before its time", a.asked)
			}
		}
		a := ask()
		if p := a.refused(chat.RateLimited); p.RetryAfterMS == 0 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s does not say when to come back: %+v", a.asked, p)
		}
	}
	w := limited(limit.Policy{Requests: hourly(3), Anonymous: hourly(2)})
	last(3, func() *answered { return w.as("alice").do("GET", "/rooms", "") })
	w.as("bob").do("GET", "/rooms", "").want(http.StatusOK)
	last(2, func() *answered { return w.as("").do("GET", "/rooms", "") })
	w.as("").do("GET", "/version", "").refused(chat.RateLimited)
	for range 4 {
		w.backend().do("GET", "/rooms", "").want(http.StatusOK)
	}

	w = limited(limit.Policy{RoomsMade: hourly(2), Posts: hourly(3)})
	last(2, func() *answered { return w.as("alice").do("POST", "/rooms", `{"access":"public"}`) })
	w.backend().makeRoom("open", "open")
	last(3, func() *answered { return w.as("alice").do("POST", "/rooms/open/messages", `{"content":"x"}`) })
	w.as("bob").post("open", "mine")
}

// A page from elsewhere changes nothing (reliability S59, S61).
func TestForeignPages(t *testing.T) {
	const listed = "https://chat.example.org"
	w := newWorld(t, func(cfg *Config) { cfg.Browser = peer.Browser{Listed: []string{listed}} })
	alice := w.as("alice")
	alice.do("POST", "/rooms", `{"access":"public"}`, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").refused(chat.Forbidden)
	alice.do("POST", "/rooms", `{"access":"public"}`, "Origin", w.server.URL).want(http.StatusCreated)
	a := alice.do("POST", "/rooms", `{"access":"public"}`, "Origin", listed, "Sec-Fetch-Site", "cross-site").want(http.StatusCreated)
	if got := a.header.Get("Access-Control-Allow-Origin"); got != listed {
		t.Errorf("Access-Control-Allow-Origin = %q, want %s", got, listed)
	}
	a = alice.do("GET", "/rooms", "", "Origin", "https://evil.example").want(http.StatusOK)
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("Access-Control-Allow-Origin = %q for a page from elsewhere, want none", got)
	}
}
