package house

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows says which packages each package may import beside the standard
// library; the rules are in docs/architecture.md. A package that is not in
// the table fails the test: where it stands is decided here.
var arrows = map[string][]string{
	// The nouns, and what clients share with the server.
	"chat":        {},
	"wire":        {"chat", jsonLibrary, jsonTokens},
	"wire/schema": {jsonLibrary, jsonTokens},
	"client":      {"chat", "wire", "internal/websocket", jsonLibrary, jsonTokens},

	// The contracts of the two seams, and what stands behind them.
	"internal/store":             {"chat"},
	"internal/store/sqlite":      {"chat", "internal/count", "internal/store", "internal/store/dump", "modernc.org/sqlite", "modernc.org/sqlite/lib", "github.com/pressly/goose/v3", "golang.org/x/sys/unix", "golang.org/x/sys/windows"},
	"internal/store/postgres":    {"chat", "internal/count", "internal/store", "internal/store/dump", "github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/pgtype", "github.com/jackc/pgx/v5/pgxpool", "github.com/jackc/pgx/v5/stdlib", "github.com/pressly/goose/v3", "golang.org/x/sys/unix"},
	"internal/store/dump":        {},
	"internal/store/storetest":   {"chat", "internal/store", "pgregory.net/rapid"},
	"internal/bus":               {"chat"},
	"internal/bus/local":         {"chat", "internal/bus"},
	"internal/bus/redis":         {"chat", "internal/bus", "internal/bus/local", "internal/count", "internal/packed", "internal/redis", "github.com/redis/rueidis"},
	"internal/redis":             {"github.com/redis/rueidis"},
	"internal/packed":            {"chat"},
	"internal/cache":             {"chat", "internal/count", "internal/gather", "internal/limit", "internal/packed", "internal/redis", "internal/store", "github.com/redis/rueidis"},
	"internal/bus/bustest":       {"chat", "internal/bus", "pgregory.net/rapid"},
	"internal/hub/pipe":          {},
	"internal/hub/transporttest": {"internal/hub"},

	// Down by calls: gateway → session → room → store.
	// Out by events: session → hub → bus ← room.
	"internal/room":            {"chat", "internal/count", "internal/gather", "internal/limit", "internal/store", "internal/bus"},
	"internal/hub":             {"chat", "internal/count", "internal/store", "internal/bus"},
	"internal/presence":        {"chat", "internal/bus"},
	"internal/presence/circle": {"internal/presence"},
	"internal/presence/redis":  {"chat", "internal/bus", "internal/count", "internal/packed", "internal/presence", jsonLibrary, "github.com/redis/rueidis"},
	"internal/inbox":           {"chat", "internal/store", "internal/bus", "internal/room"},
	"internal/session":         {"chat", "wire", "internal/room", "internal/hub", "internal/inbox", "internal/presence", "internal/store"},
	"internal/websocket":       {"github.com/gobwas/ws"},
	"internal/auth":            {"chat", "internal/count", jsonLibrary, jsonTokens, "github.com/golang-jwt/jwt/v5"},
	"internal/auth/tickettest": {"chat", "internal/auth"},
	"internal/limit":           {"chat", "internal/count"},
	"internal/certificate":     {},
	"internal/peer":            {"chat"},
	"internal/gateway":         {"chat", "wire", "internal/count", "internal/auth", "internal/limit", "internal/peer", "internal/session", "internal/hub", "internal/websocket", "golang.org/x/sys/unix"},
	"internal/api": {"chat", "wire", "wire/schema", "internal/store", "internal/room", "internal/presence", "internal/limit", "internal/peer", "internal/observe", jsonLibrary, jsonTokens,
		"github.com/danielgtaylor/huma/v2", "github.com/danielgtaylor/huma/v2/adapters/humago"},

	// What surrounds them.
	"internal/count":   {},
	"internal/gather":  {"internal/limit"},
	"internal/config":  {"chat", "internal/limit", "github.com/pelletier/go-toml/v2", "github.com/pelletier/go-toml/v2/unstable"},
	"internal/observe": {jsonLibrary},
	"internal/metrics": {"internal/auth", "internal/bus/redis", "internal/cache", "internal/config", "internal/count", "internal/gateway", "internal/hub", "internal/limit", "internal/observe", "internal/presence", "internal/presence/redis",
		"internal/room", "github.com/prometheus/client_golang/prometheus",
		"github.com/prometheus/client_golang/prometheus/collectors", "github.com/prometheus/client_golang/prometheus/promhttp"},
	"internal/migrate": {"internal/store/dump", "internal/store/postgres", "internal/store/sqlite"},
	"internal/docs":    {jsonLibrary, jsonTokens},
	"internal/server": {"chat", "wire/schema", "internal/docs", "internal/store", "internal/store/sqlite", "internal/store/postgres", "internal/bus", "internal/bus/local", "internal/bus/redis", "internal/cache", "internal/redis", "internal/room", "internal/hub", "internal/inbox",
		"internal/presence", "internal/presence/redis", "internal/session", "internal/auth", "internal/limit", "internal/peer", "internal/certificate", "internal/gateway", "internal/api", "internal/config", "internal/observe", "internal/metrics"},
	"cmd/tertulia": {"chat", "client", "wire", "wire/schema", "internal/api", "internal/auth", "internal/config", "internal/observe", "internal/server", "internal/store/sqlite", "internal/store/postgres", "internal/migrate", "internal/bench",
		"github.com/alecthomas/kong", "golang.org/x/term", jsonLibrary, jsonTokens},

	// Measuring and testing. They see the server from outside.
	"internal/bench":                {"internal/services", "golang.org/x/sys/unix"},
	"internal/browsertest":          {},
	"internal/capture":              {},
	"internal/crashtest":            {"chat", "client"},
	"internal/house":                {},
	"internal/services":             {},
	"internal/cluster":              {"internal/services"},
	"internal/clustertest":          {},
	"internal/oncluster":            {},
	"internal/cluster/run":          {"internal/cluster"},
	"internal/services/servicetest": {"internal/services"},
	"internal/house/summary":        {jsonLibrary},
	"internal/schematest":           {"wire/schema", "github.com/santhosh-tekuri/jsonschema/v6"},
	"internal/authtest":             {"chat", "internal/auth", "internal/config", "internal/limit", "internal/server", "internal/store", "internal/store/sqlite", "internal/websocket", "wire"},
	"internal/seedtest":             {"chat", "wire", jsonLibrary, jsonTokens, "github.com/gobwas/ws"},
}

const (
	jsonLibrary = "github.com/go-json-experiment/json"
	jsonTokens  = "github.com/go-json-experiment/json/jsontext"
)

// Tests may import more than their package: the real parts that it is tested
// with.
func TestArrows(t *testing.T) {
	all := packages(t)
	for dir, sources := range all {
		allowed, ok := arrows[dir]
		if !ok {
			t.Errorf("package %s is not in the table of arrows; say there what it may import", dir)
			continue
		}
		for _, s := range sources {
			if s.isTest() {
				continue
			}
			for _, spec := range s.file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				imported = strings.TrimPrefix(imported, module+"/")
				if !isStandard(imported) && !slices.Contains(allowed, imported) {
					t.Errorf("%s imports %s, which %s may not", s.fset.Position(spec.Pos()), imported, dir)
				}
			}
		}
	}
	for dir := range arrows {
		if _, ok := all[dir]; !ok {
			t.Errorf("the table of arrows has %s, which does not exist", dir)
		}
	}
}

// isStandard reports whether an import path, without our module's name, is
// the standard library's: its first element has no dot and is none of ours.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && !slices.Contains([]string{"chat", "wire", "client", "cmd", "internal"}, first)
}

// The arrows themselves have no way round: they are followed to their ends.
func TestArrowsPointOneWay(t *testing.T) {
	for _, rule := range []struct{ from, never string }{
		{"chat", "wire"},
		{"internal/room", "internal/hub"},
		{"internal/room", "internal/session"},
		{"internal/room", "internal/gateway"},
		{"internal/room", "wire"},
		{"internal/hub", "internal/room"},
		{"internal/hub", "internal/session"},
		{"internal/hub", "internal/gateway"},
		{"internal/hub", "wire"},
		{"internal/session", "internal/gateway"},
		{"internal/store", "internal/room"},
		{"internal/bus", "internal/store"},
		{"internal/bus", "internal/hub"},
		{"internal/websocket", "chat"},
		{"client", "internal/server"},
	} {
		if way := reach(rule.from, rule.never); way != nil {
			t.Errorf("%s may not reach %s, and does by %s", rule.from, rule.never, strings.Join(way, " → "))
		}
	}
	for dir := range arrows {
		for _, next := range arrows[dir] {
			if way := reach(next, dir); way != nil {
				t.Errorf("the arrows go in a circle: %s → %s", dir, strings.Join(way, " → "))
			}
		}
	}
}

// reach returns a way along the arrows, or nil if there is none.
func reach(from, to string) []string {
	if from == to {
		return []string{to}
	}
	for _, next := range arrows[from] {
		if way := reach(next, to); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}
