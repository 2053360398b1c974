package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

func TestUsers(t *testing.T) {
	w := newWorld(t)
	service, alice := w.backend(), w.as("alice")
	made := service.do("PUT", "/users/alice", `{"username":"Alice"}`).want(http.StatusOK)
	made.is(`{"user_id":"alice","username":"Alice","created_at":"…"}`)
	got := alice.do("GET", "/users/alice", "").want(http.StatusOK)
	if got.header.Get("ETag") != made.header.Get("ETag") || string(got.body) != string(made.body) {
		t.Errorf("the account is %s, want %s", got.body, made.body)
	}
	alice.do("GET", "/users/alice", "", "If-None-Match", got.header.Get("ETag")).want(http.StatusNotModified)
	service.do("PUT", "/users/ann%20lee", `{"username":"Ann"}`).want(http.StatusOK)
	first := service.do("GET", "/users?limit=1", "").want(http.StatusOK)
	first.is(`{"items":[{"user_id":"alice","username":"Alice","created_at":"…"}],"next":"alice"}`)
	service.do("GET", first.linked("next"), "").want(http.StatusOK).is(`{"items":[{"user_id":"ann lee","username":"Ann","created_at":"…"}]}`)

	service.do("POST", "/users/alice/revoke", "").want(http.StatusNoContent)
	service.do("GET", "/users/alice", "").want(http.StatusOK).is(`{"user_id":"alice","username":"Alice","created_at":"…","revoked_before":"…"}`)
	service.do("POST", "/tokens/revoke", `{"token_id":"t-1","user_id":"alice"}`).want(http.StatusNoContent)
	if got, err := w.store.Validity(t.Context(), []chat.Credential{{TokenID: "t-1"}}); err != nil || !got[0].TokenRevoked {
		t.Errorf("the token is revoked: %v, %v", got, err)
	}
	service.do("PUT", "/users/alice", `{"username":"Alice","disabled":true}`).want(http.StatusOK)
	alice.do("GET", "/rooms", "").refused(chat.Forbidden)

	alice.do("GET", "/users", "").refused(chat.Forbidden)
	alice.do("PUT", "/users/alice", `{"username":"Root"}`).refused(chat.Forbidden)
	alice.do("POST", "/users/bob/revoke", "").refused(chat.Forbidden)
	alice.do("DELETE", "/users/bob", "").refused(chat.Forbidden)
	alice.do("POST", "/tokens/revoke", `{"token_id":"t-1","user_id":"alice"}`).refused(chat.Forbidden)
	w.as("zoe").do("GET", "/users/alice", "").refused(chat.UserNotFound)
	service.do("GET", "/users/nobody", "").refused(chat.UserNotFound)
	service.do("PUT", "/users/x", `{"username":" "}`).refused(chat.InvalidParameter)
	service.do("PUT", "/users/x", `{"username":""}`).refused(chat.InvalidEvent)
	service.do("POST", "/tokens/revoke", `{"token_id":"","user_id":"alice"}`).refused(chat.InvalidEvent)
}

func TestEraseUser(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("r", "public")
	bob.do("POST", "/rooms/r/join", "").want(http.StatusOK)
	bob.post("r", "secret")
	alice.post("r", "stays")
	w.backend().do("DELETE", "/users/bob", "").want(http.StatusOK).is(`{"rooms":1}`)
	page := alice.do("GET", "/rooms/r/messages", "").want(http.StatusOK)
	if text := string(page.body); strings.Contains(text, "secret") || !strings.Contains(text, "stays") {
		t.Errorf("after bob was erased there is %s", text)
	}
	w.backend().do("DELETE", "/users/bob", "").want(http.StatusOK).is(`{"rooms":0}`)
}

func TestTickets(t *testing.T) {
	ends := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	left := 1
	w := newWorld(t, func(cfg *Config) {
		cfg.Ticket = func(r *http.Request) (string, time.Time, error) {
			if left--; left < 0 {
				return "", time.Time{}, &chat.Error{Code: chat.RateLimited, Message: "Wait.", RetryAfter: 1200 * time.Millisecond}
			}
			return "ticket of " + r.Header.Get("Test-User"), ends, nil
		}
	})
	w.as("alice").do("POST", "/tickets", "").want(http.StatusCreated).is(`{"ticket":"ticket of alice","expires_at":"2026-11-28T01:02:03.000Z"}`)
	late := w.as("alice").do("POST", "/tickets", "")
	if p := late.refused(chat.RateLimited); p.RetryAfterMS != 1200 || late.header.Get("Retry-After") != "2" {
		t.Errorf("wait %d ms, Retry-After %q; want 1200 and 2", p.RetryAfterMS, late.header.Get("Retry-After"))
	}
}
