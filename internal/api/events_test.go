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

// Events are the very frames of the WebSocket.
func TestEventsAreFrames(t *testing.T) {
	w := newWorld(t)
	w.backend().makeRoom("r", "open")
	w.as("7").post("r", "hola")
	page := w.as("7").do("GET", "/rooms/r/events?types=message", "").want(http.StatusOK)
	var got struct {
		Items []jsontext.Value `json:"items"`
	}
	page.into(&got)
	var frames []string
	all, err := w.rooms.Log().After(t.Context(), "r", 0, store.Limit{Events: 10, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all.Events {
		if all.Events[i].Kind == chat.KindMessage {
			frames = append(frames, string(wire.AppendEvent(nil, &all.Events[i])))
		}
	}
	if len(got.Items) != 1 || len(frames) != 1 {
		t.Fatalf("there are %d items and %d frames, want 1", len(got.Items), len(frames))
	}
	item := got.Items[0]
	if err := item.Compact(); err != nil || string(item) != frames[0] {
		t.Errorf("the event is %s, %v, want the frame %s", item, err, frames[0])
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
			var page logPageJSON[eventJSON]
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
