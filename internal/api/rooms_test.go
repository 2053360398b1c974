package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tertulia/chat"
)

func TestRooms(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")

	made := alice.do("POST", "/rooms", `{"id":"plaza#1","access":"public","title":"Plaza","topic":"de todo","members":[{"user_id":"carol","username":"Carol"}]}`).want(http.StatusCreated)
	made.is(`{"id":"plaza#1","access":"public","title":"Plaza","topic":"de todo","archived":false,"keep":{},"created_at":"…","version":1}`)
	if got, want := made.header.Get("Location"), "/api/v1/rooms/plaza%231"; got != want {
		t.Errorf("Location = %s, want %s", got, want)
	}
	etag := made.header.Get("ETag")
	got := bob.do("GET", made.header.Get("Location"), "").want(http.StatusOK)
	if got.header.Get("ETag") != etag || string(got.body) != string(made.body) {
		t.Errorf("the room is %s %s, want it as it was made: %s %s", got.header.Get("ETag"), got.body, etag, made.body)
	}

	// A message changes nothing of the room itself; a new title does.
	alice.post("plaza#1", "hola")
	bob.do("GET", "/rooms/plaza%231", "", "If-None-Match", `"x", W/`+etag).want(http.StatusNotModified)
	changed := alice.do("PATCH", "/rooms/plaza%231", `{"title":"La plaza","archived":false}`, "If-Match", etag).want(http.StatusOK)
	changed.is(`{"id":"plaza#1","access":"public","title":"La plaza","topic":"de todo","archived":false,"keep":{},"created_at":"…","version":5}`)
	if changed.header.Get("ETag") == etag {
		t.Errorf("the ETag %s did not change", etag)
	}
	bob.do("GET", "/rooms/plaza%231", "", "If-None-Match", etag).want(http.StatusOK)
	alice.do("PATCH", "/rooms/plaza%231", `{"title":"x"}`, "If-Match", etag).refused(chat.VersionConflict)
	alice.do("PATCH", "/rooms/plaza%231", `{"title":"Plaza"}`, "If-Match", "*").want(http.StatusOK)
	w.backend().do("PATCH", "/rooms/plaza%231", `{"keep":{"seconds":3600,"events":100}}`).want(http.StatusOK).
		is(`{"id":"plaza#1","access":"public","title":"Plaza","topic":"de todo","archived":false,"keep":{"seconds":3600,"events":100},"created_at":"…","version":"…"}`)

	alice.do("POST", "/rooms", `{"access":"private"}`).want(http.StatusCreated)
	first := bob.do("POST", "/rooms", `{"id":"once","access":"private"}`, "Idempotency-Key", "k1").want(http.StatusCreated)
	if first.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first request says that it is a repeat")
	}
	again := bob.do("POST", "/rooms", `{"id":"once","access":"private"}`, "Idempotency-Key", "k1").want(http.StatusOK)
	if string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("the repeat is %v %s, want it like the first: %v %s", again.header, again.body, first.header, first.body)
	}
	bob.do("POST", "/rooms", `{"id":"once","access":"public"}`, "Idempotency-Key", "k1").refused(chat.IdempotencyConflict)
}

func TestDirectRoom(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	first := alice.do("POST", "/rooms/direct", `{"user_id":"bob","username":"Bob"}`).want(http.StatusOK)
	at := first.header.Get("Location")
	second := bob.do("POST", "/rooms/direct", `{"user_id":"alice"}`).want(http.StatusOK)
	if got := second.header.Get("Location"); got != at || at == "" {
		t.Errorf("bob's room with alice is %s, want %s", got, at)
	}
	alice.do("POST", at+"/messages", `{"content":"psst"}`).want(http.StatusCreated)
	bob.do("GET", at+"/messages", "").want(http.StatusOK)
	w.as("carol").do("GET", at, "").refused(chat.RoomNotFound)
	alice.do("POST", "/rooms/direct", `{"user_id":"alice"}`).refused(chat.InvalidParameter)
	alice.do("POST", "/rooms/direct", `{"user_id":"nobody"}`).refused(chat.UserNotFound)
}

func TestListRooms(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.as("alice").makeRoom(fmt.Sprintf("r%d", i), "public")
		w.as("alice").makeRoom(fmt.Sprintf("p%d", i), "private")
	}
	w.backend().makeRoom("open", "open")
	w.as("alice").do("PATCH", "/rooms/r2", `{"archived":true}`).want(http.StatusOK)

	list := func(c caller, at string) []string {
		var ids []string
		for at != "" {
			var page listJSON[foundJSON]
			a := c.do("GET", at, "").want(http.StatusOK).into(&page)
			for _, found := range page.Items {
				ids = append(ids, found.Room.ID)
			}
			at = a.linked("next")
			if (at == "") != (page.Next == "") {
				t.Errorf("next is %q and the link %q", page.Next, at)
			}
		}
		return ids
	}
	for _, c := range []struct {
		by   caller
		path string
		want string
	}{
		{w.as("bob"), "/rooms", "[open r0 r1 r2 r3 r4]"},
		{w.as("bob"), "/rooms?limit=2", "[open r0 r1 r2 r3 r4]"},
		{w.as("bob"), "/rooms?limit=3", "[open r0 r1 r2 r3 r4]"},
		{w.as("bob"), "/rooms?limit=6", "[open r0 r1 r2 r3 r4]"},
		{w.as("bob"), "/rooms?after=r2", "[r3 r4]"},
		{w.as("bob"), "/rooms?access=open", "[open]"},
		{w.as("bob"), "/rooms?archived=true&limit=1", "[r2]"},
		{w.as("bob"), "/rooms?archived=false&access=public", "[r0 r1 r3 r4]"},
		{w.as("bob"), "/rooms?access=private", "[]"},
		{w.backend(), "/rooms?access=private&limit=4", "[p0 p1 p2 p3 p4]"},
	} {
		if got := fmt.Sprint(list(c.by, c.path)); got != c.want {
			t.Errorf("GET %s: %s, want %s", c.path, got, c.want)
		}
	}
	w.as("bob").do("GET", "/rooms?after=r3&limit=1", "").want(http.StatusOK).
		is(`{"items":[{"room":{"id":"r4","access":"public","title":"","topic":"","archived":false,"keep":{},"created_at":"…","version":1},"members":1,"log":{"epoch":"…","head":2,"floor":1,"messages":0}}]}`)
}

func TestRoomRefusals(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("public", "public")
	alice.makeRoom("private", "private")
	for _, c := range []struct {
		name         string
		by           caller
		method, path string
		body         string
		want         chat.Code
	}{
		{"nobody asks", w.as(""), "GET", "/rooms", "", chat.Unauthenticated},
		{"an expired token", w.as("late"), "GET", "/rooms", "", chat.TokenExpired},
		{"limit", bob, "GET", "/rooms?limit=0", "", chat.InvalidParameter},
		{"limit of 201", bob, "GET", "/rooms?limit=201", "", chat.InvalidParameter},
		{"limit is a word", bob, "GET", "/rooms?limit=many", "", chat.InvalidParameter},
		{"query", bob, "GET", "/rooms?%zz", "", chat.InvalidParameter},
		{"access", bob, "GET", "/rooms?access=none", "", chat.InvalidParameter},
		{"not JSON", bob, "POST", "/rooms", "{", chat.InvalidJSON},
		{"twice", bob, "POST", "/rooms", `{"access":"public","access":"private"}`, chat.InvalidJSON},
		{"two values", bob, "POST", "/rooms", `{"access":"public"}{}`, chat.InvalidJSON},
		{"lone surrogate", bob, "POST", "/rooms", `{"access":"public","title":"\ud800"}`, chat.InvalidJSON},
		{"array", bob, "POST", "/rooms", `[]`, chat.InvalidEvent},
		{"no access", bob, "POST", "/rooms", `{"id":"x"}`, chat.InvalidEvent},
		{"unknown member", bob, "POST", "/rooms", `{"access":"public","colour":"red"}`, chat.InvalidEvent},
		{"member in another case", bob, "POST", "/rooms", `{"Access":"public"}`, chat.InvalidEvent},
		{"wrong type", bob, "POST", "/rooms", `{"access":"public","title":5}`, chat.InvalidEvent},
		{"unknown access", bob, "POST", "/rooms", `{"access":"secret"}`, chat.InvalidEvent},
		{"long title", bob, "POST", "/rooms", `{"access":"public","title":"` + strings.Repeat("t", 129) + `"}`, chat.InvalidParameter},
		{"reserved", bob, "POST", "/rooms", `{"access":"public","id":"dm:x"}`, chat.ReservedRoom},
		{"no id", bob, "POST", "/rooms", `{"access":"public","id":"a b"}`, chat.InvalidRoom},
		{"taken", bob, "POST", "/rooms", `{"access":"public","id":"public"}`, chat.RoomExists},
		{"open", bob, "POST", "/rooms", `{"access":"open"}`, chat.Forbidden},
		{"bad member", bob, "POST", "/rooms", `{"access":"public","members":[{"user_id":" "}]}`, chat.InvalidParameter},
		{"unknown user", bob, "POST", "/rooms", `{"access":"public","members":[{"user_id":"zoe"}]}`, chat.UserNotFound},
		{"no such room", bob, "GET", "/rooms/none", "", chat.RoomNotFound},
		{"hidden room", bob, "GET", "/rooms/private", "", chat.RoomNotFound},
		{"invalid room", bob, "GET", "/rooms/a%20b", "", chat.InvalidRoom},
		{"reserved room", bob, "GET", "/rooms/inbox", "", chat.ReservedRoom},
		{"not the owner", bob, "PATCH", "/rooms/public", `{"title":"mine"}`, chat.Forbidden},
		{"keep", alice, "PATCH", "/rooms/public", `{"keep":{"events":5}}`, chat.Forbidden},
		{"keep below zero", w.backend(), "PATCH", "/rooms/public", `{"keep":{"events":-5}}`, chat.InvalidEvent},
		{"no path", bob, "GET", "/room", "", chat.PathNotFound},
		{"no path at all", bob, "GET", "/api/", "", chat.PathNotFound},
		{"empty segment", bob, "GET", "/rooms//members", "", chat.PathNotFound},
		{"trailing slash", bob, "GET", "/rooms/", "", chat.PathNotFound},
		{"no method", bob, "DELETE", "/rooms/public", "", chat.MethodNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			c.by.do(c.method, c.path, c.body).refused(c.want)
		})
	}
	w.t = t
	if got := bob.do("DELETE", "/rooms/public", "").header.Get("Allow"); got != "GET, HEAD, PATCH" {
		t.Errorf("Allow = %q, want GET, HEAD, PATCH", got)
	}
	bob.do("POST", "/rooms", `{"access":"public"}`, "Idempotency-Key", "k").refused(chat.InvalidParameter)
	bob.do("POST", "/rooms", `{"access":"public","id":"k"}`, "Idempotency-Key", strings.Repeat("k", 65)).refused(chat.InvalidParameter)
	p := bob.do("POST", "/rooms", `{"access":"public","members":[{"user_id":"a","role":"owner"},{"username":3}]}`).refused(chat.InvalidEvent)
	want := []string{"/members/0/role", "/members/1", "/members/1/username"}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Pointer)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the errors are at %q, want %q", got, want)
	}
	p = bob.do("GET", "/rooms?limit=x", "").refused(chat.InvalidParameter)
	if len(p.Errors) != 1 || p.Errors[0].Parameter != "limit" || p.Errors[0].Pointer != "" {
		t.Errorf("the errors are %+v, want one of the parameter limit", p.Errors)
	}
}
