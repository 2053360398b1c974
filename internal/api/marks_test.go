package api

import (
	"fmt"
	"net/http"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

func TestMarks(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("r", "public")
	bob.do("POST", "/rooms/r/join", "").want(http.StatusOK)
	for range 3 {
		alice.post("r", "m") // seq 4 to 6
	}
	bob.do("PUT", "/rooms/r/read", `{"up_to":5}`).want(http.StatusOK).is(`{"read":5,"delivered":5}`)
	bob.do("PUT", "/rooms/r/read", `{"up_to":4,"delivered":6}`).want(http.StatusOK).is(`{"read":5,"delivered":6}`)
	alice.do("GET", "/rooms/r/read", "").want(http.StatusOK).
		is(`{"items":[{"user_id":"alice","username":"ALICE","mark":{"read":6,"delivered":6}},{"user_id":"bob","username":"BOB","mark":{"read":5,"delivered":6}}]}`)
	if got := alice.do("GET", "/rooms/r/read?limit=1", "").want(http.StatusOK).linked("next"); got != "/api/v1/rooms/r/read?after=alice&limit=1" {
		t.Errorf("the next page is %s", got)
	}
	bob.do("PUT", "/rooms/r/read", `{"private":true}`).want(http.StatusOK).is(`{"read":5,"delivered":6,"private":true}`)
	alice.do("GET", "/rooms/r/read?after=alice", "").want(http.StatusOK).is(`{"items":[]}`)
	bob.do("GET", "/rooms/r/read?after=alice", "").want(http.StatusOK).is(`{"items":[{"user_id":"bob","username":"BOB","mark":{"read":5,"delivered":6,"private":true}}]}`)

	bob.do("PUT", "/rooms/r/read", `{"up_to":-1}`).refused(chat.InvalidEvent)
	bob.do("PUT", "/rooms/r/read", `{"up_to":"5"}`).refused(chat.InvalidEvent)
	w.as("zoe").do("PUT", "/rooms/r/read", `{"up_to":1}`).refused(chat.Forbidden)
	w.as("zoe").do("GET", "/rooms/r/read", "").refused(chat.Forbidden)
}

func TestMyRooms(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("alice"), w.as("bob")
	alice.makeRoom("a", "public")
	alice.makeRoom("b", "private")
	alice.makeRoom("c", "private")
	bob.do("POST", "/rooms/a/join", "").want(http.StatusOK)
	alice.do("PUT", "/rooms/b/members/bob", `{"state":"invited","username":"Bob"}`).want(http.StatusOK)
	alice.post("a", "1")
	alice.post("a", "2")
	alice.post("b", "unseen")
	bob.do("PUT", "/rooms/a/read", `{"up_to":4}`).want(http.StatusOK)

	bob.do("GET", "/me", "").want(http.StatusOK).is(`{"user_id":"bob","username":"BOB","service":false}`)
	w.backend().do("GET", "/me", "").want(http.StatusOK).is(`{"service":true}`)
	first := bob.do("GET", "/me/rooms?limit=1", "").want(http.StatusOK)
	first.is(`{"items":[{"room":{"id":"a","access":"public","title":"","topic":"","archived":false,"keep":{},"created_at":"…","version":1},
		"members":2,"log":{"epoch":"…","head":5,"floor":1,"messages":2},
		"member":{"user_id":"bob","username":"BOB","state":"joined","role":"member","joined_at":"…","version":3},
		"mark":{"read":4,"delivered":4},"unread":1}],"next":"a"}`)
	second := bob.do("GET", first.linked("next"), "").want(http.StatusOK)
	second.is(`{"items":[{"room":"…","members":1,"log":"…","member":{"user_id":"bob","username":"Bob","state":"invited","role":"member","version":3},"mark":"…","unread":0}]}`)
	if second.header.Get("Link") != "" {
		t.Errorf("the last page has the link %s", second.header.Get("Link"))
	}
	bob.do("GET", "/me/unread", "").want(http.StatusOK).is(`{"total":1,"items":[{"room":"a","unread":1,"read":4,"head":5}]}`)
	alice.do("GET", "/me/unread", "").want(http.StatusOK).is(`{"total":0,"items":[]}`)
	w.backend().do("GET", "/me/rooms", "").refused(chat.InvalidParameter)
}

// What one answer does not count is another page.
func TestUnreadOfManyRooms(t *testing.T) {
	const rooms = unreadRooms + unreadPage + 1
	w := newWorld(t)
	alice := chat.User{ID: "alice", Name: "Alice"}
	var batch []store.Append
	for n := range rooms {
		id := chat.RoomID(fmt.Sprintf("r%05d", n))
		batch = append(batch,
			store.Append{Room: id, Kind: chat.KindRoomCreated, Body: []byte("{}"), MayCreate: true, Settings: &chat.Settings{Access: chat.AccessPublic}},
			store.Append{Room: id, Kind: chat.KindMemberAdded, Body: []byte("{}"), Member: &chat.Member{User: alice, State: chat.StateJoined, Role: chat.RoleMember}},
			store.Append{Room: id, Kind: chat.KindMessage, Actor: chat.User{ID: "bob", Name: "Bob"}, Body: chat.MessageBody("hola")})
	}
	if _, err := w.store.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var first, second unreadJSON
	next := w.as("alice").do("GET", "/me/unread", "").want(http.StatusOK).into(&first).linked("next")
	if first.Total != unreadRooms || len(first.Items) != unreadRooms || first.Next != "r01999" {
		t.Errorf("the first page counts %d in %d rooms and goes on after %q, want %d of each and r01999", first.Total, len(first.Items), first.Next, unreadRooms)
	}
	last := w.as("alice").do("GET", next, "").want(http.StatusOK).into(&second)
	if second.Total != unreadPage+1 || second.Next != "" || last.header.Get("Link") != "" {
		t.Errorf("the second page counts %d and goes on after %q, want %d and no more", second.Total, second.Next, unreadPage+1)
	}
}
