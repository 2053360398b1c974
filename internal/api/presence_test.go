package api

import (
	"net/http"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/presence"
)

func TestPresence(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("r", "public")
	bob.do("POST", "/rooms/r/join", "").want(http.StatusOK)
	alice.do("GET", "/rooms/r/presence", "").want(http.StatusOK).is(`{"users":[],"count":0}`)

	_, visit := w.presence.Join("r", chat.User{ID: "bob", Name: "Bob"})
	seen := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	if err := w.store.Seen(t.Context(), []chat.User{{ID: "bob", Name: "Bob"}}, seen); err != nil {
		t.Fatal(err)
	}
	alice.do("GET", "/rooms/r/presence", "").want(http.StatusOK).is(`{"users":[{"user_id":"bob","username":"Bob"}],"count":1}`)
	alice.do("GET", "/users/bob/presence", "").want(http.StatusOK).is(`{"online":true,"last_seen_at":"2026-11-28T01:02:03.000Z"}`)
	visit.Leave(true)
	alice.do("GET", "/users/bob/presence", "").want(http.StatusOK).is(`{"online":false,"last_seen_at":"2026-11-28T01:02:03.000Z"}`)

	// On another node, which this one does not hear any more.
	w.presence.Said("another", []presence.Statement{{Room: "r", User: chat.User{ID: "bob", Name: "Bob"}, Sessions: 1, Here: true}})
	w.presence.SetDegraded(true)
	alice.do("GET", "/users/bob/presence", "").want(http.StatusOK).is(`{"online":true,"last_seen_at":"2026-11-28T01:02:03.000Z"}`)
	alice.do("GET", "/rooms/r/presence", "").want(http.StatusOK).is(`{"users":[{"user_id":"bob","username":"Bob"}],"count":1,"degraded":true}`)

	w.as("zoe").do("GET", "/users/bob/presence", "").refused(chat.UserNotFound)
	w.as("zoe").do("GET", "/rooms/r/presence", "").refused(chat.Forbidden)
}

func TestTyping(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	alice.makeRoom("r", "public")
	alice.do("POST", "/rooms/r/typing", `{"is_typing":true}`).want(http.StatusNoContent)
	alice.do("POST", "/rooms/r/typing", `{"is_typing":false}`).want(http.StatusNoContent)
	alice.do("POST", "/rooms/r/typing", `{}`).refused(chat.InvalidEvent)
	w.as("bob").do("POST", "/rooms/r/typing", `{"is_typing":true}`).refused(chat.Forbidden)
	alice.do("PATCH", "/rooms/r", `{"archived":true}`).want(http.StatusOK)
	alice.do("POST", "/rooms/r/typing", `{"is_typing":true}`).refused(chat.RoomReadOnly)
}
