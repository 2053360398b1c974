package api

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
	"tertulia/internal/store"
	"tertulia/wire"
)

// Events are the very frames of the WebSocket, whatever their kind.
func TestEventsAreFrames(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	alice.makeRoom("r", "public")
	alice.do("PATCH", "/rooms/r", `{"title":"T"}`).want(http.StatusOK)
	w.as("7").do("POST", "/rooms/r/join", "").want(http.StatusOK)
	first := w.as("7").do("POST", "/rooms/r/messages", `{"content":"hola"}`).want(http.StatusCreated).header.Get("Location")
	w.as("7").do("PATCH", first, `{"content":"adiós"}`).want(http.StatusOK)
	w.as("7").do("DELETE", first, "").want(http.StatusNoContent)
	w.as("7").post("r", "more")
	alice.do("PUT", "/rooms/r/members/bob", `{"state":"invited","username":"Bob"}`).want(http.StatusOK)
	alice.do("DELETE", "/rooms/r/members/bob", "").want(http.StatusNoContent)
	alice.do("PUT", "/rooms/r/members/7", `{"role":"moderator"}`).want(http.StatusOK)
	alice.do("POST", "/rooms/r/members/7/ban", "").want(http.StatusNoContent)
	alice.do("POST", "/rooms/r/members/7/unban", "").want(http.StatusNoContent)
	w.backend().do("DELETE", "/users/7", "").want(http.StatusOK)

	var got struct {
		Items []jsontext.Value `json:"items"`
	}
	alice.do("GET", "/rooms/r/events", "").want(http.StatusOK).into(&got)
	all, err := w.rooms.Log().After(t.Context(), "r", 0, store.Limit{Events: 100, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Items) != len(all.Events) {
		t.Fatalf("there are %d items of %d events", len(got.Items), len(all.Events))
	}
	kinds := make(map[chat.Kind]bool)
	for i := range all.Events {
		kinds[all.Events[i].Kind] = true
		want := string(wire.AppendEvent(nil, &all.Events[i]))
		if err := got.Items[i].Compact(); err != nil || string(got.Items[i]) != want {
			t.Errorf("event %d is %s, %v, want the frame %s", i+1, got.Items[i], err, want)
		}
	}
	for kind := range chat.KindPresenceCount {
		if kind.Durable() && !kinds[kind] {
			t.Errorf("no event is a %s", store.KindName(kind))
		}
	}
}

// The log is walked with a filter: what is left out is passed over, and no
// page is taken for the last because it is short.
func TestEventTypes(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	alice.makeRoom("r", "public")
	for n := range 5 {
		alice.post("r", fmt.Sprint("m", n))
		alice.do("PATCH", "/rooms/r", fmt.Sprintf(`{"topic":"%d"}`, n)).want(http.StatusOK)
	}
	for _, types := range []string{"message", "message,member_banned"} {
		var got []uint64
		for at := "/rooms/r/events?limit=2&after=0&types=" + types; at != ""; {
			var page logPageJSON[eventFrame]
			at = alice.do("GET", at, "").want(http.StatusOK).into(&page).linked("next")
			for _, e := range page.Items {
				if e.Type != "message" {
					t.Errorf("of %s there is a %s", types, e.Type)
				}
				got = append(got, e.Seq)
			}
		}
		if want := []uint64{3, 5, 7, 9, 11}; !slices.Equal(got, want) {
			t.Errorf("of %s there are %d, want %d", types, got, want)
		}
	}
	for _, types := range []string{"messages", "message,", ",", "typing"} {
		alice.do("GET", "/rooms/r/events?types="+types, "").refused(chat.InvalidParameter)
	}
}

// The words for the types of events are those of the log.
func TestTypesOfEvents(t *testing.T) {
	doc, _ := described()
	var words []any
	for _, p := range operations(doc)["GET /rooms/{room}/events"].Parameters {
		if p.Name == "types" {
			words = p.Schema.Items.Enum
		}
	}
	for kind := range chat.KindPresenceCount + 1 {
		if name := store.KindName(kind); name != "" && !slices.Contains(words, any(name)) {
			t.Errorf("the parameter types does not have %s", name)
		}
	}
	for _, word := range words {
		if _, ok := store.ParseKind(word.(string)); !ok {
			t.Errorf("the parameter types has %s, which is no kind", word)
		}
	}
}

// eventFrame is what the tests look at in events.
type eventFrame struct {
	Type  string         `json:"type"`
	Room  string         `json:"room"`
	Seq   uint64         `json:"seq"`
	Epoch string         `json:"epoch"`
	Tag   string         `json:"tag"`
	Data  map[string]any `json:"data"`
}
