package authtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// requestID is that of all requests, so that answers can be compared.
const requestID = "the-request"

// answered is an answer to a request.
type answered struct {
	status int
	header http.Header
	body   string
}

// ask sends a request, again while the server is busy; the answer has no status
// if there was none. It may be called from any goroutine.
func (n *node) ask(t *testing.T, method, path, body string, header http.Header) (a answered) {
	t.Helper()
	whileBusy(func() bool {
		a = n.askOnce(t, method, path, body, header)
		return a.status == http.StatusServiceUnavailable
	})
	return a
}

func (n *node) askOnce(t *testing.T, method, path, body string, header http.Header) answered {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "http://"+n.addr()+path, in)
	if err != nil {
		t.Error(err)
		return answered{}
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("X-Request-Id", requestID)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := n.client.Do(r)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return answered{}
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return answered{status: resp.StatusCode, header: resp.Header} // it has no end
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	resp.Header.Del("Date")
	return answered{resp.StatusCode, resp.Header, string(text)}
}

// route is a route as the OpenAPI document has it.
type route struct{ method, path string }

// routesOf reads the document that a server serves.
func routesOf(t *testing.T, n *node) map[string]route {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	if err := json.Unmarshal([]byte(n.ask(t, "GET", "/api/v1/openapi.json", "", nil).body), &doc); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]route)
	for path, item := range doc.Paths {
		for method, op := range item {
			found[op.OperationID] = route{strings.ToUpper(method), "/api/v1" + path}
		}
	}
	return found
}

// fill puts the ids of a cell into a text, by a function that writes them.
func (c *cell) fill(text, user string, write func(string) string) string {
	if user == "" {
		user = "USER"
	}
	text = strings.NewReplacer("{room}", "ROOM", "{user}", user, "{id}", "MESSAGE", "{file}", "shared.json").Replace(text)
	return strings.NewReplacer("ROOM", write(string(c.room)), "USER", write(string(c.user("victim").ID)), "BAD", write(string(c.user("bad").ID)),
		"NEW", write(string(c.user("new").ID)), "MESSAGE", fmt.Sprint(c.message), "FOREIGN", fmt.Sprint(c.foreign)).Replace(text)
}

func asIs(s string) string { return s }

// forget replaces in an answer what a principal has said itself.
func (c *cell) forget(text string) string {
	return strings.NewReplacer(string(c.room), "ROOM", url.PathEscape(string(c.room)), "ROOM").Replace(text)
}

// each runs a check on all cells, some at a time.
func each(cells []*cell, check func(*cell)) {
	work := make(chan *cell)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for c := range work {
				check(c)
			}
		})
	}
	for _, c := range cells {
		work <- c
	}
	close(work)
	running.Wait()
}

// Every route, asked by everybody, about every kind of room.
func TestRoutes(t *testing.T) {
	dir := place(t)
	cells := some(cellsOf(routes, 0))
	build(t, dir, cells)
	n := start(t, dir)
	served := routesOf(t, n)
	missing := sortedKeys(routes)
	for op := range served {
		if !slices.ContainsFunc(missing, func(name string) bool { return operationOf(name) == op }) {
			t.Errorf("the table of rights has no row for the route %s", op)
		}
	}
	for _, name := range missing {
		if served[operationOf(name)].path == "" {
			t.Fatalf("the table of rights has the route %s, which is not served", name)
		}
	}
	unknown := newSameness()
	each(cells, func(c *cell) { c.tryRoute(t, n, served[operationOf(c.row)], unknown) })
	t.Logf("%d cells", len(cells))
	n.stop()
	checkUnchanged(t, dir, cells)
}

func operationOf(name string) string {
	op, _, _ := strings.Cut(name, " ")
	return op
}

func (c *cell) tryRoute(t *testing.T, n *node, at route, unknown *sameness) {
	r := routes[c.row]
	path := c.fill(at.path+r.query, r.user, url.PathEscape)
	got := n.ask(t, at.method, path, c.fill(r.body, "", asIs), c.credential(t))
	want := answers[c.want]
	var problem struct{ Code string }
	if got.status >= 400 {
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
			t.Errorf("%s: %d %s is no problem", c, got.status, got.body)
			return
		}
	}
	switch {
	case c.want == '.' && got.status < 300:
		return
	case got.status != want.status || problem.Code != string(want.code):
		t.Errorf("%s: %d %s, want %d %s", c, got.status, got.body, want.status, want.code)
	}
	c.tellsNothing(t, got.body)
	if c.want == 'N' {
		unknown.hold(t, c, c.forget(fmt.Sprintf("%d %v %s", got.status, got.header, got.body)))
	}
}

// tellsNothing holds a refusal against what is said in the room, and by whom.
func (c *cell) tellsNothing(t *testing.T, text string) {
	for _, secret := range []string{"Name of ", "a secret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is refused and told %q: %s", c, secret, text)
		}
	}
}

// sameness are the answers about rooms that one may not know of.
type sameness struct {
	mu   sync.Mutex
	text map[string]string
	by   map[string]string
}

func newSameness() *sameness {
	return &sameness{text: make(map[string]string), by: make(map[string]string)}
}

// hold wants one answer for a row: the length of the room's id is the only
// thing that may differ, for that was asked with.
func (s *sameness) hold(t *testing.T, c *cell, text string) {
	if i := strings.Index(text, "Content-Length:["); i >= 0 {
		end := i + strings.IndexByte(text[i:], ']')
		text = text[:i] + text[end:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.text[c.row]; !ok {
		s.text[c.row], s.by[c.row] = text, c.String()
	} else if first != text {
		t.Errorf("%s is told of no room by\n%s\nbut %s by\n%s", c, text, s.by[c.row], first)
	}
}

// The other endpoints, asked by everybody.
func TestEndpoints(t *testing.T) {
	dir := place(t)
	cells := cellsOf(endpoints, 0)
	build(t, dir, cells)
	n := start(t, dir)
	for _, c := range cells {
		got := n.ask(t, "GET", c.row, "", c.credential(t))
		want := answers[c.want]
		if got.status != max(want.status, 200) {
			t.Errorf("%s: %d %s, want %d", c, got.status, got.body, want.status)
		}
	}
}
