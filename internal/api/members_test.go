package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tertulia/chat"
)

func TestMembership(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("public", "public")
	alice.makeRoom("private", "private")

	bob.do("POST", "/rooms/public/join", "").want(http.StatusOK).
		is(`{"user_id":"bob","username":"BOB","state":"joined","role":"member","joined_at":"…","version":3}`)
	bob.do("POST", "/rooms/public/join", "").want(http.StatusOK).
		is(`{"user_id":"bob","username":"BOB","state":"joined","role":"member","joined_at":"…","version":3}`)
	bob.do("POST", "/rooms/public/leave", "").want(http.StatusNoContent)
	bob.do("POST", "/rooms/public/messages", `{"content":"still here"}`).refused(chat.Forbidden)

	bob.do("POST", "/rooms/private/join", "").refused(chat.RoomNotFound)
	alice.do("PUT", "/rooms/private/members/bob", `{"state":"invited","username":"Bob"}`).want(http.StatusOK).
		is(`{"user_id":"bob","username":"Bob","state":"invited","role":"member","version":3}`)
	bob.do("POST", "/rooms/private/join", "").want(http.StatusOK)
	alice.do("PUT", "/rooms/private/members/bob", `{"role":"moderator"}`).want(http.StatusOK).
		is(`{"user_id":"bob","username":"BOB","state":"joined","role":"moderator","joined_at":"…","version":5}`)
	w.backend().do("PUT", "/rooms/private/members/carol", `{"state":"joined","username":"Carol"}`).want(http.StatusOK).
		is(`{"user_id":"carol","username":"Carol","state":"joined","role":"member","joined_at":"…","version":6}`)
	w.as("carol").do("GET", "/rooms/private/members/bob", "").want(http.StatusOK)

	bob.do("DELETE", "/rooms/private/members/carol?reason=spam", "").want(http.StatusNoContent)
	w.as("carol").do("GET", "/rooms/private", "").refused(chat.RoomNotFound)
	bob.do("POST", "/rooms/private/members/carol/ban", `{"reason":"again","username":"Carol"}`).want(http.StatusNoContent)
	bob.do("POST", "/rooms/private/members/dave/ban", "").want(http.StatusNoContent)
	w.as("dave").do("GET", "/rooms/private", "").refused(chat.Banned)
	bob.do("GET", "/rooms/private/members?states=banned,invited", "").want(http.StatusOK).
		is(`{"items":[{"user_id":"carol","username":"Carol","state":"banned","role":"none","version":8},{"user_id":"dave","username":"","state":"banned","role":"none","version":9}]}`)
	bob.do("POST", "/rooms/private/members/dave/unban", "").want(http.StatusNoContent)
	bob.do("POST", "/rooms/private/members/dave/unban", "").refused(chat.MemberNotFound)
	bob.do("DELETE", "/rooms/private/members/bob", "").want(http.StatusNoContent)
	bob.do("GET", "/rooms/private/members", "").refused(chat.RoomNotFound)
}

func TestListMembers(t *testing.T) {
	w := newWorld(t)
	w.as("alice").makeRoom("r", "public")
	for i := range 4 {
		w.as(fmt.Sprintf("u%d", i)).do("POST", "/rooms/r/join", "").want(http.StatusOK)
	}
	for limit := 1; limit <= 6; limit++ {
		var ids []string
		for at := fmt.Sprintf("/rooms/r/members?limit=%d", limit); at != ""; {
			var page listJSON[memberJSON]
			at = w.as("u0").do("GET", at, "").want(http.StatusOK).into(&page).linked("next")
			for _, m := range page.Items {
				ids = append(ids, m.UserID)
			}
		}
		if got := strings.Join(ids, " "); got != "alice u0 u1 u2 u3" {
			t.Errorf("by %d: %s, want alice u0 u1 u2 u3", limit, got)
		}
	}
}

func TestMemberRefusals(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("r", "public")
	bob.do("POST", "/rooms/r/join", "").want(http.StatusOK)
	alice.do("POST", "/rooms/r/members/eve/ban", `{"username":"Eve"}`).want(http.StatusNoContent)
	for _, c := range []struct {
		name         string
		by           caller
		method, path string
		body         string
		want         chat.Code
	}{
		{"join banned", w.as("eve"), "POST", "/rooms/r/join", "", chat.Banned},
		{"leave without standing", w.as("zoe"), "POST", "/rooms/r/leave", "", chat.MemberNotFound},
		{"last owner leaves", alice, "POST", "/rooms/r/leave", "", chat.Forbidden},
		{"join for nobody", w.backend(), "POST", "/rooms/r/join", "", chat.InvalidParameter},
		{"members of an unread room", w.as("zoe"), "GET", "/rooms/r/members", "", chat.Forbidden},
		{"banned members for a member", bob, "GET", "/rooms/r/members?states=banned", "", chat.Forbidden},
		{"members in no state", bob, "GET", "/rooms/r/members?states=none", "", chat.InvalidParameter},
		{"no such member", bob, "GET", "/rooms/r/members/zoe", "", chat.MemberNotFound},
		{"long user id", bob, "GET", "/rooms/r/members/" + strings.Repeat("u", 65), "", chat.InvalidParameter},
		{"neither state nor role", alice, "PUT", "/rooms/r/members/bob", `{}`, chat.InvalidEvent},
		{"state is a word of ours", alice, "PUT", "/rooms/r/members/bob", `{"state":"banned"}`, chat.InvalidEvent},
		{"invited with a role", alice, "PUT", "/rooms/r/members/zoe", `{"state":"invited","role":"owner"}`, chat.InvalidEvent},
		{"invite an unknown user", alice, "PUT", "/rooms/r/members/zoe", `{"state":"invited"}`, chat.UserNotFound},
		{"add without being a service", alice, "PUT", "/rooms/r/members/zoe", `{"state":"joined","username":"Zoe"}`, chat.Forbidden},
		{"role by a member", bob, "PUT", "/rooms/r/members/alice", `{"role":"member"}`, chat.Forbidden},
		{"remove the owner", bob, "DELETE", "/rooms/r/members/alice", "", chat.Forbidden},
		{"ban by a member", bob, "POST", "/rooms/r/members/zoe/ban", `{}`, chat.Forbidden},
		{"role of nobody", alice, "PUT", "/rooms/r/members/zoe", `{"role":"member"}`, chat.MemberNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			c.by.do(c.method, c.path, c.body).refused(c.want)
		})
	}
}
