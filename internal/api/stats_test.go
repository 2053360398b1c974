package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/presence"
)

// docs/protocol.md §10.4: the prototype's keys and no others.
func TestStats(t *testing.T) {
	here := presence.New(presence.Config{Bus: local.New(), Grace: -1})
	defer here.Close()
	query := ""
	want := func(body string) {
		t.Helper()
		w := httptest.NewRecorder()
		Stats(here).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ws/stats"+query, nil))
		got := jsontext.Value(w.Body.Bytes())
		if err := got.Canonicalize(); err != nil || string(got) != body {
			t.Errorf("body %s, %v, want %s", got, err, body)
		}
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("status %d, header %v, want 200, JSON, not to be kept", w.Code, w.Header())
		}
	}
	want(`{"rooms":{},"total_connections":0,"total_rooms":0}`)
	var visits []*presence.Visit
	for i, room := range []chat.RoomID{"1", "1", "1", "2", "2"} {
		user := chat.UserID(fmt.Sprint(i % 4)) // two tabs in room 2
		if room == "2" {
			user = "7"
		}
		_, v := here.Join(room, chat.User{ID: user, Name: "u"})
		visits = append(visits, v)
	}
	want(`{"rooms":{"1":{"connections":3,"users":3},"2":{"connections":2,"users":1}},"total_connections":5,"total_rooms":2}`)
	for _, v := range visits[:3] {
		v.Leave(true)
	}
	want(`{"rooms":{"2":{"connections":2,"users":1}},"total_connections":2,"total_rooms":1}`)
	here.Said("another", []presence.Statement{{Room: "2", User: chat.User{ID: "7", Name: "u"}, Sessions: 3, Here: true}})
	want(`{"rooms":{"2":{"connections":5,"users":1}},"total_connections":5,"total_rooms":1}`)
	query = "?scope=node"
	want(`{"rooms":{"2":{"connections":2,"users":1}},"total_connections":2,"total_rooms":1}`)
}
