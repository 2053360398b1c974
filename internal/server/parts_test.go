package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tertulia/internal/config"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/websocket"
)

// onPostgres is the configuration of a node on a database of the test's own.
func onPostgres(t *testing.T) config.Config {
	t.Helper()
	cfg := configFor(t.TempDir())
	cfg.Database.URL = config.Secret(servicetest.Database(t))
	return cfg
}

// wantReady asks a node for its parts until it is ready and these texts are
// among them: it may begin before it has been answered by all of them.
func (r *running) wantReady(texts ...string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%q of a node that is ready", texts), func() bool {
		status, body, _ := r.get("/readyz?verbose")
		lacks := func(text string) bool { return !strings.Contains(body, text) }
		return status == http.StatusOK && !slices.ContainsFunc(texts, lacks)
	})
}

// A node on PostgreSQL needs no Redis, and the next one has what it
// acknowledged.
func TestOnPostgres(t *testing.T) {
	cfg := onPostgres(t)
	for _, kept := range []bool{false, true} {
		s := start(t, cfg)
		s.wantReady("[+] store ok")
		c := s.connect("1")
		if got := c.want("connected"); strings.Contains(got, `"content":"hola"`) != kept {
			t.Errorf("connected is %s, want the message of before in it: %v", got, kept)
		}
		c.send(websocket.Text, `{"type":"message","content":"hola"}`)
		c.want("message_sent")
		c.want("message")
		_, page, _ := s.get("/metrics")
		for _, want := range []string{`tertulia_message_store_duration_seconds_count{backend="postgres"} 1`, "tertulia_redis_up 1", "tertulia_bus_up 1"} {
			if !strings.Contains(page, "\n"+want+"\n") {
				t.Errorf("/metrics lacks %s", want)
			}
		}
		lint(t, page)
		c.Close()
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}

// Whether Redis answers or not, the node serves; what it logs has no password,
// and its name.
func TestOnRedis(t *testing.T) {
	nobody, err := services.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ addr, redis, presence, metric string }{
		{servicetest.Redis(t).Addr, "[+] redis ok, ", "[+] presence ok, ", "tertulia_presence_degraded 0"},
		{nobody, "[~] redis degraded since ", "[~] presence degraded since ", "tertulia_presence_degraded 1"},
	} {
		cfg := onPostgres(t)
		cfg.Redis.URLs, cfg.Redis.Prefix = []config.Secret{config.Secret("redis://" + test.addr)}, servicetest.Prefix()
		var log bytes.Buffer
		s := startLogging(t, cfg, slog.New(slog.NewJSONHandler(&log, nil)))
		s.wantReady("[+] store ok", test.redis, test.presence)
		c := s.connect("1")
		c.want("connected")
		c.send(websocket.Text, `{"type":"message","content":"hola"}`)
		c.want("message_sent")
		_, page, _ := s.get("/metrics")
		if !strings.Contains(page, "\n"+test.metric+"\n") {
			t.Errorf("/metrics lacks %s", test.metric)
		}
		lint(t, page)
		c.Close()
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		published, subscribed := s.bus.counts.Published.Value(), s.bus.counts.Subscribed.Value()
		if up := strings.HasPrefix(test.redis, "[+]"); up != (subscribed > 0) || up != (published > 0) {
			t.Errorf("with %s the metrics have %d subscriptions and %d messages published", test.redis, subscribed, published)
		}
		first, _, _ := strings.Cut(log.String(), "\n")
		for _, want := range []string{`"node":"`, `"epoch":"`, `"backend":"postgres"`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log begins with %s, and has no %s", first, want)
			}
		}
		if strings.Contains(log.String(), string(cfg.Database.URL)) {
			t.Errorf("the log has the database's password: %s", &log)
		}
	}
}

// What was opened before something failed is closed; left-over goroutines are
// looked for.
func TestNodeThatCannotStart(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"no such authority": func(c *config.Config) {
			c.Redis.URLs, c.Redis.CAFile = []config.Secret{"rediss://127.0.0.1:1"}, "no such file"
		},
		"no such keys":   func(c *config.Config) { c.Auth.PublicKeys = []string{"no such file"} },
		"no such server": func(c *config.Config) { c.Database.URL = "postgres://u:swordfish@127.0.0.1:1/x" },
	} {
		cfg := onPostgres(t)
		change(&cfg)
		_, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%s: New = %v, want an error without a password", name, err)
		}
	}
}
