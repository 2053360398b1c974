package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"tertulia/chat"
)

// bodies are good ones, by operation.
var bodies = map[string]string{
	"create-room": `{"id":"another","access":"public"}`, "open-direct-room": `{"user_id":"bob"}`, "update-room": `{"title":"x"}`,
	"put-member": `{"state":"invited","username":"Zoe"}`, "ban-member": `{"reason":"x"}`,
	"post-message": `{"content":"x"}`, "edit-message": `{"content":"x"}`, "put-mark": `{"up_to":1}`, "post-typing": `{"is_typing":true}`,
	"put-user": `{"username":"Bob"}`, "revoke-token": `{"token_id":"t","user_id":"bob"}`,
}

// at returns the path of an operation for a room.
func at(pattern, room string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	return method, strings.NewReplacer("{room}", room, "{user}", "bob", "{id}", "1").Replace(path)
}

// Every route refuses alike what has nothing to do with what it does: who is
// not known, a room that is none, a body that is not JSON.
func TestEveryRouteRefuses(t *testing.T) {
	w := newWorld(t)
	alice, eve := w.as("alice"), w.as("eve")
	alice.makeRoom("r", "private")
	alice.do("POST", "/rooms/r/members/eve/ban", `{"username":"Eve"}`).want(http.StatusNoContent)
	for pattern, op := range operations(w.doc) {
		body := bodies[op.OperationID]
		if (body != "") != (op.RequestBody != nil) {
			t.Errorf("%s takes a body: %v, and the test has %q", pattern, op.RequestBody != nil, body)
		}
		t.Run(op.OperationID, func(t *testing.T) {
			w.t = t
			method, path := at(pattern, "r")
			alice.do(method, path+"?%zz", body).refused(chat.InvalidParameter)
			if action(op.Extensions["x-action"].(string)) != anyone {
				w.as("").do(method, path, body).refused(chat.Unauthenticated)
				w.as("late").do(method, path, body).refused(chat.TokenExpired)
			}
			if strings.Contains(pattern, "{room}") {
				refusesRooms(w, pattern, body)
				eve.do(method, path, body).refused(chat.Banned)
			}
			if op.RequestBody != nil {
				refusesBodies(alice, method, path, op)
			}
		})
	}
}

func refusesRooms(w *world, pattern, body string) {
	w.t.Helper()
	for room, code := range map[string]chat.Code{"none": chat.RoomNotFound, "inbox": chat.ReservedRoom, "dm:1": chat.ReservedRoom, "a%20b": chat.InvalidRoom, "a%2Fb": chat.InvalidRoom, "%C3": chat.InvalidRoom} {
		method, path := at(pattern, room)
		w.as("zoe").do(method, path, body).refused(code)
	}
	method, path := at(pattern, "r")
	w.as("zoe").do(method, path, body).refused(chat.RoomNotFound) // it is private
}

func refusesBodies(by caller, method, path string, op *huma.Operation) {
	by.w.t.Helper()
	by.do(method, path, bodies[op.OperationID], "Content-Type", "text/plain").refused(chat.UnsupportedMedia)
	by.do(method, path, strings.Repeat(" ", maxBodyBytes+1)).refused(chat.TooLarge)
	by.do(method, path, `{"`).refused(chat.InvalidJSON)
	by.do(method, path, "{\"a\":\"\xff\"}").refused(chat.InvalidJSON)
	by.do(method, path, `[]`).refused(chat.InvalidEvent)
	by.do(method, path, `{"unheard-of":1}`).refused(chat.InvalidEvent)
	if op.RequestBody.Required {
		by.do(method, path, "").refused(chat.InvalidJSON)
	}
}

// When the store is gone, every route that needs it says so.
func TestEveryRouteWithoutStore(t *testing.T) {
	w := newWorld(t)
	w.as("alice").makeRoom("r", "public")
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for pattern, op := range operations(w.doc) {
		if said := op.Responses["503"]; said == nil {
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			w.t = t
			method, path := at(pattern, "r")
			by := w.as("alice")
			if op.Extensions["x-action"] == string(service) {
				by = w.backend()
			}
			by.do(method, path, bodies[op.OperationID]).refused(chat.StoreUnavailable)
		})
	}
}
