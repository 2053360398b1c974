package api

import (
	"net/http"
	"testing"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/presence"
)

func TestNode(t *testing.T) {
	w := newWorld(t)
	_, visit := w.presence.Join("r", chat.User{ID: "bob", Name: "Bob"})
	defer visit.Leave(true)
	w.as("alice").do("GET", "/stats", "").refused(chat.Forbidden)
	w.backend().do("GET", "/stats", "").want(http.StatusOK).
		is(`{"total_connections":1,"total_rooms":1,"total_users":1,"rooms":{"r":{"connections":1,"users":1}},"uptime_seconds":"…"}`)
	w.presence.Said("another", []presence.Statement{{Room: "r", User: chat.User{ID: "bob", Name: "Bob"}, Sessions: 2, Here: true}})
	w.presence.SetDegraded(true)
	w.backend().do("GET", "/stats", "").want(http.StatusOK).
		is(`{"total_connections":3,"total_rooms":1,"total_users":1,"rooms":{"r":{"connections":3,"users":1}},"uptime_seconds":"…","degraded":true}`)
	w.backend().do("GET", "/stats?scope=node", "").want(http.StatusOK).
		is(`{"total_connections":1,"total_rooms":1,"total_users":1,"rooms":{"r":{"connections":1,"users":1}},"uptime_seconds":"…"}`)
	w.backend().do("GET", "/stats?scope=all", "").refused(chat.InvalidParameter)
	w.as("").do("GET", "/version", "").want(http.StatusOK).is(`{"version":"1.2.3","commit":"","date":"","go":"go1.26"}`)

	open := newWorld(t, func(cfg *Config) { cfg.StatsForAll = true })
	open.as("alice").do("GET", "/stats", "").want(http.StatusOK)
}

// The document is served as it was made, and is OpenAPI 3.1.
func TestDocumentIsServed(t *testing.T) {
	w := newWorld(t)
	var doc struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
		Servers []struct{ URL string }
	}
	a := w.as("").do("GET", "/openapi.json", "").want(http.StatusOK)
	if err := json.Unmarshal(a.body, &doc, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) != len(w.doc.Paths) || len(doc.Servers) != 1 || doc.Servers[0].URL != prefix {
		t.Errorf("the document is %s with %d paths at %v, want 3.1.0 with %d at %s", doc.OpenAPI, len(doc.Paths), doc.Servers, len(w.doc.Paths), prefix)
	}
}
