package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tertulia/internal/config"
	"tertulia/internal/websocket"
)

// What a client does shows in /metrics of a whole server.
func TestMetrics(t *testing.T) {
	s := start(t, configFor(t.TempDir()))
	c := s.connect("1")
	c.want("connected")
	c.send(websocket.Text, `{"type":"message","content":"hola"}`)
	c.want("message_sent")
	c.want("message")
	status, page, header := s.get("/metrics")
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("/metrics = %d, %s, want 200 in the text format", status, header.Get("Content-Type"))
	}
	for _, want := range []string{
		`tertulia_connections{transport="ws"} 1`,
		`tertulia_connections_opened_total{protocol="seed",transport="ws"} 1`,
		`tertulia_database_up 1`,
		`tertulia_frames_received_total{type="text"} 1`,
		`tertulia_http_request_duration_seconds_count{method="GET",route="/ws/{room_id}",status="101"} 1`,
		`tertulia_message_store_duration_seconds_count{backend="sqlite"} 1`,
		`tertulia_messages_accepted_total{source="ws"} 1`,
		`tertulia_rooms_active 1`,
		`tertulia_users_online 1`,
	} {
		eventually(t, want+" in /metrics", func() bool { // which may count it a moment after its answer
			_, page, _ = s.get("/metrics")
			return strings.Contains(page, "\n"+want+"\n")
		})
	}
	lint(t, page)
	if status, body, _ := s.get("/metrics", "X-Forwarded-For", "192.0.2.1"); status != http.StatusForbidden || !strings.Contains(body, "metrics.access") {
		t.Errorf("/metrics through a proxy = %d %q, want 403 and what to do", status, body)
	}
	c.Close()
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// lint holds a page of /metrics to what `promtool check metrics` holds it to.
func lint(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Errorf("/metrics cannot be read: %v", err)
	}
	for _, p := range problems {
		t.Errorf("/metrics: %s: %s", p.Metric, p.Text)
	}
}

func TestMetricsOff(t *testing.T) {
	cfg := configFor(t.TempDir())
	cfg.Metrics.Access = config.MetricsOff
	s := start(t, cfg)
	if status, _, _ := s.get("/metrics"); status != http.StatusNotFound {
		t.Errorf("/metrics = %d, want 404", status)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
