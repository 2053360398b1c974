package api

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/observe"
	"tertulia/internal/presence"
	"tertulia/internal/room"
	"tertulia/internal/schematest"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

// TestMain runs the tests and wants each code that the document lists to have
// been answered in one of them.
func TestMain(m *testing.M) {
	failed := m.Run()
	if failed == 0 && flag.Lookup("test.run").Value.String() == "" { // all tests ran, not some of them
		for _, code := range missingCodes() {
			fmt.Printf("no test has made the API answer %s\n", code)
			failed = 1
		}
	}
	os.Exit(failed)
}

// seen are the codes that were answered so far.
var seen struct {
	mu    sync.Mutex
	codes map[chat.Code]bool
}

func missingCodes() []chat.Code {
	missing := map[chat.Code]bool{chat.PathNotFound: true, chat.MethodNotAllowed: true}
	doc, _ := described()
	for _, op := range operations(doc) {
		for _, r := range op.Responses {
			codes, _ := r.Extensions["x-codes"].([]chat.Code)
			for _, code := range codes {
				missing[code] = true
			}
		}
	}
	maps.DeleteFunc(missing, func(code chat.Code, _ bool) bool { return seen.codes[code] })
	return slices.Sorted(maps.Keys(missing))
}

// world is a node without sockets: a store in a folder, a bus, the rules, and
// the API over HTTP.
type world struct {
	t        *testing.T
	store    store.Store
	rooms    *room.Service
	presence *presence.Tracker
	server   *httptest.Server
	mux      *recordingMux
	doc      *huma.OpenAPI
	document *schematest.Document
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: st, mux: new(recordingMux)}
	bus := local.New()
	w.rooms = room.New(room.Config{Store: st, Bus: bus, Fatal: func(err error) { t.Error(err) }})
	w.presence = presence.New(presence.Config{Bus: bus, Grace: -1})
	cfg := Config{Rooms: w.rooms, Presence: w.presence, Identify: identifyByHeader, Build: observe.Build{Version: "1.2.3", Go: "go1.26"}}
	for _, f := range change {
		f(&cfg)
	}
	api := New(cfg)
	w.server = httptest.NewServer(api)
	if w.document, err = schematest.Read(api.OpenAPI()); err != nil {
		t.Fatal(err)
	}
	w.doc = New(cfg).describe(w.mux).OpenAPI()
	t.Cleanup(func() {
		w.server.Close()
		w.presence.Close()
		if err := errors.Join(w.rooms.Close(), bus.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// identifyByHeader believes the headers of a test.
func identifyByHeader(r *http.Request) (chat.Principal, error) {
	by := chat.Principal{User: chat.User{ID: chat.UserID(r.Header.Get("Test-User"))}, Service: r.Header.Get("Test-Service") != ""}
	if by.User.ID == "" && !by.Service {
		return chat.Principal{}, chat.Errorf(chat.Unauthenticated, "Say who is asking.")
	}
	if by.User.ID == "late" {
		return chat.Principal{}, chat.Errorf(chat.TokenExpired, "The token has expired; get a new one.")
	}
	by.User.Name = strings.ToUpper(string(by.User.ID))
	return by, nil
}

// caller is somebody who asks.
type caller struct {
	w       *world
	user    string
	service bool
}

func (w *world) as(user string) caller { return caller{w: w, user: user} }
func (w *world) backend() caller       { return caller{w: w, service: true} }

// answered is an answer.
type answered struct {
	t      *testing.T
	asked  string
	status int
	header http.Header
	body   []byte
}

// do sends a request, with a body if that is not empty, and checks what is
// true of every answer. header holds names and values in turn.
func (c caller) do(method, path, body string, header ...string) *answered {
	c.w.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/api/") {
		path = prefix + path
	}
	r, err := http.NewRequest(method, c.w.server.URL+path, in)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.user != "" {
		r.Header.Set("Test-User", c.user)
	}
	if c.service {
		r.Header.Set("Test-Service", "1")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.w.server.Client().Do(r)
	if err != nil {
		c.w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	a := &answered{t: c.w.t, asked: method + " " + path, status: resp.StatusCode, header: resp.Header, body: got}
	c.w.check(r, body, a)
	return a
}

// check holds an answer against what the document says of its operation.
func (w *world) check(r *http.Request, sent string, a *answered) {
	w.t.Helper()
	if a.header.Get("X-Request-Id") == "" {
		w.t.Errorf("%s: header %v, want a request id", a.asked, a.header)
	}
	var p problemJSON
	if a.status >= 400 {
		p = a.problem()
	}
	r.RequestURI = ""
	_, pattern := w.mux.Handler(r)
	if pattern == "" || p.Code == chat.PathNotFound {
		return
	}
	method, path, _ := strings.Cut(pattern, " ")
	op := operations(w.doc)[method+" "+strings.TrimPrefix(path, prefix)]
	path = strings.TrimPrefix(path, prefix)
	if err := w.document.Answer(method, path, a.status, a.header, a.body); err != nil {
		w.t.Errorf("%s answers %s: %v", a.asked, a.body, err)
		return
	}
	if a.status >= 400 {
		said := op.Responses[fmt.Sprint(a.status)]
		if codes, _ := said.Extensions["x-codes"].([]chat.Code); !slices.Contains(codes, p.Code) {
			w.t.Errorf("%s answers %d %s, of which %v are described", a.asked, a.status, p.Code, codes)
		}
		return
	}
	if err := w.document.Request(path, r, []byte(sent)); err != nil {
		w.t.Errorf("%s with %s succeeds, and is not described so: %v", a.asked, sent, err)
	}
}

// problem reads a problem and checks what is true of all.
func (a *answered) problem() problemJSON {
	a.t.Helper()
	var p problemJSON
	if err := json.Unmarshal(a.body, &p, json.RejectUnknownMembers(true)); err != nil || a.header.Get("Content-Type") != problemType {
		a.t.Fatalf("%s: %d %s %s: %v, want a problem", a.asked, a.status, a.header.Get("Content-Type"), a.body, err)
	}
	if p.Status != a.status || p.Type != "/problems/"+string(p.Code) || p.Title == "" || p.Detail == "" || p.Num != p.Code.Num() ||
		p.Instance != a.header.Get("X-Request-Id") || p.Retryable != p.Code.Retryable() {
		a.t.Errorf("%s: status %d with the problem %+v", a.asked, a.status, p)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.codes == nil {
		seen.codes = make(map[chat.Code]bool)
	}
	seen.codes[p.Code] = true
	return p
}

// want is for an answer with a status and no code.
func (a *answered) want(status int) *answered {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d %s, want %d", a.asked, a.status, a.body, status)
	}
	return a
}

// refused is for a problem.
func (a *answered) refused(code chat.Code) problemJSON {
	a.t.Helper()
	if a.status < 400 {
		a.t.Fatalf("%s: %d %s, want %s", a.asked, a.status, a.body, code)
	}
	p := a.problem()
	if p.Code != code {
		a.t.Errorf("%s: %d %s (%s), want %s", a.asked, a.status, p.Code, p.Detail, code)
	}
	return p
}

// into reads the body.
func (a *answered) into(v any) *answered {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%s: %s: %v", a.asked, a.body, err)
	}
	return a
}

// is compares the body with a pattern: JSON in which "…" stands for
// anything.
func (a *answered) is(pattern string) *answered {
	a.t.Helper()
	var got, want any
	a.into(&got)
	if err := json.Unmarshal([]byte(pattern), &want); err != nil {
		a.t.Fatalf("%s: %v", pattern, err)
	}
	if why := differ("", got, want); why != "" {
		a.t.Errorf("%s: %s\ngot  %s\nwant %s", a.asked, why, bytes.TrimSpace(a.body), pattern)
	}
	return a
}

func differ(at string, got, want any) string {
	if want == "…" {
		return ""
	}
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(g)), slices.Sorted(maps.Keys(want))) {
			return fmt.Sprintf("at %s the members are not %q", at, slices.Sorted(maps.Keys(want)))
		}
		for name := range want {
			if why := differ(at+"/"+name, g[name], want[name]); why != "" {
				return why
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Sprintf("at %s there are not %d items", at, len(want))
		}
		for i := range want {
			if why := differ(fmt.Sprintf("%s/%d", at, i), g[i], want[i]); why != "" {
				return why
			}
		}
		return ""
	}
	if got != want {
		return fmt.Sprintf("at %s is %v, want %v", at, got, want)
	}
	return ""
}

// linked returns the URL that a Link header has for a relation, without the
// prefix; empty for none.
func (a *answered) linked(rel string) string {
	a.t.Helper()
	for part := range strings.SplitSeq(a.header.Get("Link"), ", ") {
		target, ok := strings.CutSuffix(part, `>; rel="`+rel+`"`)
		if ok {
			return strings.TrimPrefix(target, "<")
		}
	}
	return ""
}

// post posts and returns the seq.
func (c caller) post(room, content string) uint64 {
	c.w.t.Helper()
	var m struct{ Seq uint64 }
	body, err := json.Marshal(map[string]string{"content": content})
	if err != nil {
		c.w.t.Fatal(err)
	}
	a := c.do("POST", "/rooms/"+url.PathEscape(room)+"/messages", string(body)).want(http.StatusCreated)
	if err := json.Unmarshal(a.body, &m, json.MatchCaseInsensitiveNames(true)); err != nil {
		c.w.t.Fatal(err)
	}
	return m.Seq
}

// makeRoom makes a room that its caller owns.
func (c caller) makeRoom(id, access string) {
	c.w.t.Helper()
	c.do("POST", "/rooms", fmt.Sprintf(`{"id":%q,"access":%q}`, id, access)).want(http.StatusCreated)
}
