package server

import (
	"net/http"
	"strings"
	"testing"

	"tertulia/internal/api"
	"tertulia/internal/observe"
)

// What describes the server is served by it: to whoever asks, also where
// everything else needs a credential.
func TestDocumentsAreServed(t *testing.T) {
	s := start(t, configFor(t.TempDir()))
	for path, want := range map[string]string{
		"/docs":                            "<h1>",
		"/docs/docs.css":                   "--paper",
		"/docs/docs.js":                    "use strict",
		"/api/v1/openapi.json":             `"openapi": "3.1.0"`,
		"/api/v1/asyncapi.json":            `"asyncapi": "3.0.0"`,
		"/api/v1/schemas/v1_commands.json": "Commands of the profile v1",
	} {
		status, body, header := s.get(path)
		if status != http.StatusOK || !strings.Contains(body, want) || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s = %d, %.100q, %v, want 200 and %s", path, status, body, header, want)
		}
		if page := strings.HasPrefix(path, "/docs"); page != strings.Contains(header.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("GET %s has the policy %q", path, header.Get("Content-Security-Policy"))
		}
	}
	if _, body, _ := s.get("/api/v1/openapi.json"); body != string(api.Document(observe.ReadBuild())) {
		t.Error("the document that is served is another than the one that is written without a server")
	}
	if status, _, _ := s.get("/api/v1/schemas/nothing.json"); status != http.StatusNotFound {
		t.Errorf("GET /api/v1/schemas/nothing.json = %d, want 404", status)
	}
	if status, body, _ := s.get("/"); status != http.StatusOK || !strings.Contains(body, "<h1>") {
		t.Errorf("GET / = %d, %.100q, want it to lead to the reference", status, body)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
