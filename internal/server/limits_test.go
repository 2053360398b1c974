package server

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"tertulia/internal/config"
	"tertulia/internal/limit"
)

// A server that nobody else reaches limits nobody; any other has every limit
// that is configured.
func TestLimitsAreForOthers(t *testing.T) {
	cfg := config.Default()
	if got := policyOf(&cfg); got != (limit.Policy{}) {
		t.Errorf("the limits on loopback are %+v, want none", got)
	}
	cfg.Auth.AllowOpenOnAnyAddress = true
	policy := reflect.ValueOf(policyOf(&cfg))
	for i := range policy.NumField() {
		if policy.Field(i).IsZero() {
			t.Errorf("%s is not limited, want the configured limit", policy.Type().Field(i).Name)
		}
	}
}

func TestHandshakesAreLimited(t *testing.T) {
	cfg := configFor(t.TempDir())
	cfg.Auth.AllowOpenOnAnyAddress = true
	cfg.Limits.Handshakes = limit.Rate{Count: 1, Per: time.Hour, Burst: 1}
	s := start(t, cfg)
	s.connect("1").Close()
	status, _, header := s.get("/ws/1?user_id=1&username=Ana", "Upgrade", "websocket", "Connection", "Upgrade")
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("second handshake = %d, Retry-After %q, want 429 and seconds", status, header.Get("Retry-After"))
	}
	if status, _, _ := s.get("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz = %d, want 200: it is no handshake", status)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestAnswersHaveTheHeadersForBrowsers(t *testing.T) {
	s := start(t, configFor(t.TempDir()))
	for _, path := range []string{"/health", "/ws/stats", "/ws/1", "/nothing"} {
		_, _, header := s.get(path)
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(header.Get("Cache-Control"), "no-store") {
			t.Errorf("the header of %s is %v, want that for browsers", path, header)
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
