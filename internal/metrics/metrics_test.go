package metrics

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tertulia/chat"
	"tertulia/internal/auth"
	"tertulia/internal/bus/local"
	busredis "tertulia/internal/bus/redis"
	"tertulia/internal/cache"
	"tertulia/internal/config"
	"tertulia/internal/count"
	"tertulia/internal/gateway"
	"tertulia/internal/hub"
	"tertulia/internal/limit"
	"tertulia/internal/observe"
	"tertulia/internal/presence"
	presenceredis "tertulia/internal/presence/redis"
	"tertulia/internal/room"
	"tertulia/internal/session"
	"tertulia/internal/store/sqlite"
)

var update = flag.Bool("update", false, "write the table of metrics into docs/operations.md")

// node is what the metrics are read from.
type node struct {
	Sources
	*Metrics
	services *session.Services
}

func newNode(t *testing.T) *node {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	events, log := local.New(), slog.New(slog.DiscardHandler)
	s := Sources{Build: observe.Build{Version: "0.1.0", Commit: "3f2c1ab04d5e", Go: "go1.26.8"}, StoreUp: func() bool { return true }, RedisUp: func() bool { return true }}
	s.Store = StoreCounts{Backend: "sqlite", Store: st.Counts()}
	s.Bus, s.Cache, s.Ledger = new(busredis.Counts), new(cache.Counts), new(presenceredis.Counts)
	s.BusUp, s.PresenceDegraded = func() bool { return true }, func() bool { return false }
	s.Limits = limit.New(limit.Policy{})
	if s.Who, err = auth.New(auth.Config{Open: &auth.Open{}}); err != nil {
		t.Fatal(err)
	}
	s.Rooms = room.New(room.Config{Store: st, Bus: events, AutoCreate: true, Fatal: func(err error) { t.Error(err) }})
	s.Hub = hub.New(hub.Config{Bus: events, Log: s.Rooms.Log(), Encode: gateway.Encoder})
	s.Presence = presence.New(presence.Config{Bus: events})
	services := &session.Services{Rooms: s.Rooms, Hub: s.Hub, Presence: s.Presence, Framing: gateway.Framing, Log: log}
	s.Gateway = gateway.New(gateway.Config{Services: services, PingInterval: 25 * time.Second})
	t.Cleanup(func() {
		s.Gateway.Close()
		s.Presence.Close()
		s.Hub.Close()
		s.Rooms.Close()
		events.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &node{Sources: s, Metrics: New(s), services: services}
}

// request makes one request, so that there is a series of requests to see.
func (n *node) request() {
	served := n.Watch(http.NotFoundHandler())
	served.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/nothing", nil))
}

// page returns the metrics as they are shown.
func (n *node) page(t *testing.T) string {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4711", "localhost:8000"
	w := httptest.NewRecorder()
	n.Handler(config.Metrics{Access: config.MetricsLoopback}).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics = %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series returns the names with labels of what is in a page, without values.
func series(page string) (names []string) {
	for line := range strings.Lines(page) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && !strings.HasPrefix(line, "#") {
			names = append(names, name+"}")
		} else if name, _, _ := strings.Cut(line, " "); name != "#" {
			names = append(names, name)
		}
	}
	return names
}

// The linter is the one that `promtool check metrics` runs.
func TestLint(t *testing.T) {
	n := newNode(t)
	n.request()
	problems, err := testutil.GatherAndLint(n.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// discard is a peer that takes every byte.
type discard struct{}

func (discard) TryWrite(p []byte) (int, error) { return len(p), nil }
func (discard) Write([]byte, int) error        { return nil }
func (discard) Finish()                        {}
func (discard) Abort()                         {}

// A thousand users in a thousand rooms, each of whom says something, add no
// series.
func TestSeriesDoNotGrow(t *testing.T) {
	n := newNode(t)
	n.request()
	before := series(n.page(t))
	const rooms = 1000
	stored := make(chan error, rooms)
	for i := range rooms {
		id, user := chat.RoomID(fmt.Sprintf("room-%d", i)), chat.User{ID: chat.UserID(fmt.Sprint(i)), Name: "Ana"}
		out := n.Hub.Connect(discard{}, user.ID, &hub.Dialect{Profile: hub.Seed, Bye: gateway.Framing.Bye})
		s, err := n.services.Open(context.Background(), out, session.Hello{Identity: session.Identity{Principal: chat.Principal{User: user}}, Room: id})
		if err != nil {
			t.Fatal(err)
		}
		defer s.End(true)
		n.Rooms.Post(room.Post{Room: id, By: chat.Principal{User: user}, Content: "hola"}, func(_ room.Posted, err error) { stored <- err })
	}
	for range rooms {
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}
	page := n.page(t)
	if after := series(page); !slices.Equal(after, before) {
		t.Errorf("%d series became %d", len(before), len(after))
	}
	for _, want := range []string{"tertulia_users_online 1000\n", "tertulia_rooms_active 1000\n", `tertulia_messages_accepted_total{source="ws"} 1000` + "\n"} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// Every counter of what goes by Redis is on the page.
func TestRedisCountersAreShown(t *testing.T) {
	n := newNode(t)
	value := uint64(7_000_000)
	for _, counts := range []any{n.Bus, n.Cache, n.Ledger} {
		fields := reflect.ValueOf(counts).Elem()
		for i := range fields.NumField() {
			value++
			fields.Field(i).Addr().Interface().(*count.Counter).Add(value)
			page, want := n.page(t), strconv.FormatFloat(float64(value), 'g', -1, 64)
			if !strings.Contains(page, " "+want+"\n") {
				t.Errorf("%s of %T is not shown", fields.Type().Field(i).Name, counts)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	n := newNode(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rooms/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "2" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	served := n.Watch(mux)
	for _, request := range []string{"GET /rooms/1", "GET /rooms/3", "GET /rooms/2", "GET /no/such", "BREW /rooms/1"} {
		method, path, _ := strings.Cut(request, " ")
		served.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	page := n.page(t)
	for _, want := range []string{
		`tertulia_http_request_duration_seconds_count{method="GET",route="/rooms/{id}",status="200"} 2`,
		`tertulia_http_request_duration_seconds_count{method="GET",route="/rooms/{id}",status="418"} 1`,
		`tertulia_http_request_duration_seconds_count{method="GET",route="none",status="404"} 1`,
		`tertulia_http_request_duration_seconds_count{method="other",route="none",status="405"} 1`,
		`tertulia_http_requests_in_flight 0`,
	} {
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestAccess(t *testing.T) {
	n := newNode(t)
	const token = "a token of sixteen bytes or more"
	for _, test := range []struct {
		name   string
		access string
		peer   string
		auth   string
		want   int
	}{
		{"loopback", config.MetricsLoopback, "127.0.0.1:4711", "", http.StatusOK},
		{"another machine", config.MetricsLoopback, "192.0.2.1:4711", "", http.StatusForbidden},
		{"another machine with a token nobody asked for", config.MetricsLoopback, "192.0.2.1:4711", "Bearer " + token, http.StatusForbidden},
		{"token", config.MetricsToken, "192.0.2.1:4711", "Bearer " + token, http.StatusOK},
		{"scheme in another case", config.MetricsToken, "192.0.2.1:4711", "bearer " + token, http.StatusOK},
		{"no token", config.MetricsToken, "127.0.0.1:4711", "", http.StatusForbidden},
		{"wrong token", config.MetricsToken, "127.0.0.1:4711", "Bearer " + token[1:], http.StatusForbidden},
		{"another scheme", config.MetricsToken, "127.0.0.1:4711", "Basic " + token, http.StatusForbidden},
		{"off", config.MetricsOff, "127.0.0.1:4711", "Bearer " + token, http.StatusNotFound},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr, r.Host = test.peer, "localhost:8000"
		if test.auth != "" {
			r.Header.Set("Authorization", test.auth)
		}
		w := httptest.NewRecorder()
		n.Handler(config.Metrics{Access: test.access, Token: token}).ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s: %d, want %d", test.name, w.Code, test.want)
		}
		if body := w.Body.String(); test.want == http.StatusForbidden && !strings.Contains(body, "metrics.") {
			t.Errorf("%s: %q does not say what to do", test.name, body)
		}
	}
}

const (
	tablePath  = "../../docs/operations.md"
	tableBegin = "<!-- The table is made from internal/metrics: go test ./internal/metrics -update -->\n"
	tableEnd   = "<!-- end of the metrics -->\n"
)

// The table in docs/operations.md has every metric of ours and no other.
func TestTableInOperations(t *testing.T) {
	n := newNode(t)
	n.request()
	doc, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(doc), tableBegin)
	got, tail, ended := strings.Cut(rest, tableEnd)
	if !ok || !ended {
		t.Fatalf("docs/operations.md has no place for the table, between %q and %q", tableBegin, tableEnd)
	}
	want := table(t, n)
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table of metrics is out of date: go test ./internal/metrics -update\ngot\n%swant\n%s", got, want)
	}
	if err := os.WriteFile(tablePath, []byte(head+tableBegin+want+tableEnd+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table describes the metrics in Markdown.
func table(t *testing.T, n *node) string {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	io.WriteString(&b, "| name | type | labels | what it is |\n| --- | --- | --- | --- |\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), prefix) {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	return b.String()
}
