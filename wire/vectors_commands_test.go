package wire

import (
	"fmt"
	"strings"
	"testing"

	"tertulia/chat"
)

type commandVector struct {
	Name    string         `json:"name"`
	Profile string         `json:"profile"`
	Frame   string         `json:"frame"`
	Command map[string]any `json:"command,omitzero"`
	Error   chat.Code      `json:"error,omitzero"`
}

// A frame for each command, in each form that it has, and for each way of
// getting it wrong: docs/protocol.md §3, §5, §15.
var commandFrames = []struct{ name, profile, frame string }{
	{"message", "seed", `{"type":"message","content":"Hola"}`},
	{"message in data", "seed", `{"type":"message","data":{"content":"Hola"}}`},
	{"message with nonce and id", "seed", `{"type":"message","id":"c1","nonce":"n-1","content":"Hola"}`},
	{"message with escapes", "seed", `{"type":"message","content":"a\n\"\u00f1\ud83d\ude00"}`},
	{"message in both places, the same", "seed", `{"type":"message","content":"x","data":{"content":"\u0078"}}`},
	{"message in both places, different", "seed", `{"type":"message","content":"x","data":{"content":"y"}}`},
	{"typing", "seed", `{"type":"typing","is_typing":true}`},
	{"typing stopped", "seed", `{"type":"typing","is_typing":false}`},
	{"ping", "seed", `{"type":"ping"}`},
	{"ping with payload", "seed", `{"type":"ping","id":"a","t":12.5}`},
	{"not json", "seed", `hola`},
	{"two objects", "seed", `{"type":"ping"}{"type":"ping"}`},
	{"member twice", "seed", `{"type":"message","content":"a","content":"b"}`},
	{"lone surrogate", "seed", `{"type":"message","content":"\ud800"}`},
	{"array", "seed", `[]`},
	{"no type", "seed", `{"content":"x"}`},
	{"v1's type in the seed profile", "seed", `{"type":"subscribe","rooms":[{"room":"1"}]}`},
	{"no content", "seed", `{"type":"message"}`},
	{"nonce with a space", "seed", `{"type":"message","content":"a","nonce":"a b"}`},
	{"id too long", "seed", `{"type":"ping","id":"` + strings.Repeat("i", 65) + `"}`},
	{"ping too long", "seed", `{"type":"ping","t":"` + strings.Repeat("t", 256) + `"}`},

	{"hello", "v1", `{"type":"hello"}`},
	{"hello with cursors", "v1", `{"type":"hello","id":"1","client":"test/1","cursors":{"1":"k3v9x0ab:12:1a2b3c4d","sala:ñ":"k3v9x0ab:0"}}`},
	{"hello with a bad cursor", "v1", `{"type":"hello","cursors":{"1":"12"}}`},
	{"hello with cursors in an array", "v1", `{"type":"hello","cursors":["k3v9x0ab:0"]}`},
	{"auth", "v1", `{"type":"auth","token":"a.b.c"}`},
	{"auth without token", "v1", `{"type":"auth"}`},
	{"auth with an empty token", "v1", `{"type":"auth","token":""}`},
	{"subscribe", "v1", `{"type":"subscribe","id":"s1","rooms":[{"room":"1"},{"room":"2","after":"k3v9x0ab:12:1a2b3c4d","history":50,"presence":"list","receipts":true}]}`},
	{"subscribe in data", "v1", `{"type":"subscribe","data":{"rooms":[{"room":"1","presence":"none","after":null}]}}`},
	{"subscribe to the inbox", "v1", `{"type":"subscribe","rooms":[{"room":"inbox"}]}`},
	{"subscribe to nothing", "v1", `{"type":"subscribe","rooms":[]}`},
	{"subscribe without rooms", "v1", `{"type":"subscribe"}`},
	{"subscribe to a string", "v1", `{"type":"subscribe","rooms":["1"]}`},
	{"subscribe twice to a room", "v1", `{"type":"subscribe","rooms":[{"room":"1"},{"room":"1"}]}`},
	{"subscribe to a number", "v1", `{"type":"subscribe","rooms":[{"room":1}]}`},
	{"subscribe to no valid room", "v1", `{"type":"subscribe","rooms":[{"room":"a b"}]}`},
	{"subscribe to a reserved room", "v1", `{"type":"subscribe","rooms":[{"room":"stats"}]}`},
	{"subscribe with a bad cursor", "v1", `{"type":"subscribe","rooms":[{"room":"1","after":"x"}]}`},
	{"subscribe with a number for a cursor", "v1", `{"type":"subscribe","rooms":[{"room":"1","after":12}]}`},
	{"subscribe with too much history", "v1", `{"type":"subscribe","rooms":[{"room":"1","history":201}]}`},
	{"subscribe with another presence", "v1", `{"type":"subscribe","rooms":[{"room":"1","presence":"all"}]}`},
	{"subscribe to 101 rooms", "v1", subscribeMany(101)},
	{"unsubscribe", "v1", `{"type":"unsubscribe","id":"u1","rooms":["1","inbox"]}`},
	{"unsubscribe from an object", "v1", `{"type":"unsubscribe","rooms":[{"room":"1"}]}`},
	{"message", "v1", `{"type":"message","id":"m1","room":"1","nonce":"n-1","content":"Hola"}`},
	{"message to the room of the URL", "v1", `{"type":"message","nonce":"n-1","content":"Hola"}`},
	{"message without nonce", "v1", `{"type":"message","room":"1","content":"Hola"}`},
	{"message to a number", "v1", `{"type":"message","room":1,"nonce":"n-1","content":"Hola"}`},
	{"edit", "v1", `{"type":"edit","room":"1","message_id":40,"content":"Hola","nonce":"n-2","if_changed":0}`},
	{"edit without message_id", "v1", `{"type":"edit","room":"1","content":"Hola"}`},
	{"edit of message 0", "v1", `{"type":"edit","room":"1","message_id":0,"content":"Hola"}`},
	{"edit with a string for an id", "v1", `{"type":"edit","room":"1","message_id":"40","content":"Hola"}`},
	{"edit without content", "v1", `{"type":"edit","room":"1","message_id":40}`},
	{"delete", "v1", `{"type":"delete","room":"1","message_id":40,"reason":"typo","if_changed":14}`},
	{"delete with an exponent", "v1", `{"type":"delete","room":"1","message_id":4e1}`},
	{"typing", "v1", `{"type":"typing","room":"1","is_typing":true}`},
	{"typing without is_typing", "v1", `{"type":"typing","room":"1"}`},
	{"read", "v1", `{"type":"read","room":"1","up_to":12}`},
	{"read in private", "v1", `{"type":"read","room":"1","up_to":12,"private":true}`},
	{"read a negative seq", "v1", `{"type":"read","room":"1","up_to":-1}`},
	{"read without up_to", "v1", `{"type":"read","room":"1"}`},
	{"read with another private", "v1", `{"type":"read","room":"1","up_to":1,"private":1}`},
	{"delivered", "v1", `{"type":"delivered","room":"1","up_to":9007199254740991}`},
	{"delivered beyond the integers", "v1", `{"type":"delivered","room":"1","up_to":9007199254740992}`},
	{"history", "v1", `{"type":"history","id":"h1","room":"1"}`},
	{"history before", "v1", `{"type":"history","room":"1","before":12,"limit":200,"only":"messages"}`},
	{"history after", "v1", `{"type":"history","room":"1","after":0,"limit":1}`},
	{"history around", "v1", `{"type":"history","room":"1","around":12}`},
	{"history before and after", "v1", `{"type":"history","room":"1","before":12,"after":1}`},
	{"history without end", "v1", `{"type":"history","room":"1","limit":201}`},
	{"history of nothing", "v1", `{"type":"history","room":"1","limit":0}`},
	{"history of other kinds", "v1", `{"type":"history","room":"1","only":"edits"}`},
	{"presence", "v1", `{"type":"presence","id":"p1","room":"1"}`},
	{"ping", "v1", `{"type":"ping","id":"a"}`},
	{"unknown type", "v1", `{"type":"shout","room":"1"}`},
	{"server's type", "v1", `{"type":"subscribed","room":"1"}`},
	{"unknown members", "v1", `{"type":"presence","room":"1","colour":{"r":1}}`},
	{"too many members", "v1", `{"type":"ping"` + strings.Repeat(`,"k":1`, 512) + `}`},
}

func subscribeMany(n int) string {
	var rooms []string
	for i := range n {
		rooms = append(rooms, fmt.Sprintf(`{"room":"%d"}`, i))
	}
	return `{"type":"subscribe","rooms":[` + strings.Join(rooms, ",") + `]}`
}

func TestCommandVectors(t *testing.T) {
	var made []commandVector
	seen := map[string]bool{}
	for _, c := range commandFrames {
		v := commandVector{Name: c.name, Profile: c.profile, Frame: c.frame}
		r, err := decodeAs(c.profile, c.frame)
		if err != nil {
			v.Error = chat.AsError(err).Code
		} else {
			v.Command = told(&r)
			seen[r.Type] = true
		}
		if key := c.profile + " " + c.name; seen[key] {
			t.Errorf("two vectors are called %s", key)
		} else {
			seen[key] = true
		}
		made = append(made, v)
	}
	for typ := range requestFillers {
		if !seen[typ] {
			t.Errorf("no vector has the command %s", typ)
		}
	}
	vectors(t, "commands.json", made)
}

func decodeAs(profile, frame string) (Request, error) {
	if profile == "v1" {
		return DecodeRequest([]byte(frame))
	}
	c, err := DecodeCommand([]byte(frame))
	return Request{Command: c}, err
}

// told is what a request asks for, without what its type does not use.
func told(r *Request) map[string]any {
	m := map[string]any{"type": r.Type}
	put := func(name string, value any, there bool) {
		if there {
			m[name] = value
		}
	}
	put("id", r.ID, r.ID != "")
	put("room", r.Room, r.Room != "")
	put("nonce", r.Nonce, r.Nonce != "")
	put("content", r.Content, r.Content != "")
	put("is_typing", r.IsTyping, r.Type == TypeTyping)
	put("echo", "{"+string(r.Echo)+"}", r.Type == TypePing)
	put("token", r.Token, r.Token != "")
	put("client", r.Client, r.Client != "")
	put("message_id", r.Message, r.Message != 0)
	put("if_changed", r.IfChanged, r.IfChanged != nil)
	put("reason", r.Reason, r.Reason != "")
	put("up_to", r.UpTo, r.Type == TypeRead || r.Type == TypeDelivered)
	put("private", r.Private, r.Private != nil)
	put("after", r.After, r.After != nil)
	put("before", r.Before, r.Before != nil)
	put("around", r.Around, r.Around != nil)
	put("limit", r.Limit, r.Limit != 0)
	put("only", "messages", r.Only == chat.KindMessage)
	put("unsubscribe", r.Unsubscribe, r.Unsubscribe != nil)
	var rooms []map[string]any
	for _, s := range r.Subscribe {
		room := map[string]any{"room": s.Room, "history": s.History, "presence": []string{"count", "none", "list"}[s.Presence], "receipts": s.Receipts}
		if s.After != nil {
			room["after"] = s.After.String()
		}
		rooms = append(rooms, room)
	}
	put("subscribe", rooms, rooms != nil)
	return m
}

// A refusal names the request that it answers, its room, and the post.
func TestRefusalOfRequest(t *testing.T) {
	r, err := DecodeRequest([]byte(`{"type":"message","id":"c1","room":"1","nonce":"n1","content":7}`))
	if err == nil || r.ID != "c1" || r.Nonce != "n1" || r.Room != "1" {
		t.Errorf("DecodeRequest = %+v, %v, want an error with id c1, room 1 and nonce n1", r, err)
	}
}

// A subscribe with all that it may hold is within the limits.
func TestLargestSubscribe(t *testing.T) {
	var rooms []string
	for i := range MaxRooms {
		name := strings.Repeat("r", chat.MaxRoomIDBytes-3) + fmt.Sprintf("%03d", i)
		rooms = append(rooms, fmt.Sprintf(`{"room":%q,"after":"%s:9007199254740991:1a2b3c4d","history":200,"presence":"list","receipts":true}`, name, strings.Repeat("e", 16)))
	}
	frame := `{"type":"subscribe","id":"s","rooms":[` + strings.Join(rooms, ",") + `]}`
	r, err := DecodeRequest([]byte(frame))
	if err != nil || len(r.Subscribe) != MaxRooms {
		t.Fatalf("DecodeRequest of %d bytes: %d rooms, %v, want %d", len(frame), len(r.Subscribe), err, MaxRooms)
	}
	if len(frame) > chat.MaxFrameBytes {
		t.Errorf("the frame has %d bytes, more than the %d that a client may send", len(frame), chat.MaxFrameBytes)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, c := range commandFrames {
		if len(c.frame) < 1<<10 {
			f.Add([]byte(c.frame))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			told := chat.AsError(err)
			if told.Code == chat.Internal {
				t.Fatalf("DecodeRequest(%q): %v, want an error for the client", b, err)
			}
			checkJSON(t, AppendRefusal(nil, r.ID, r.Room, r.Nonce, told))
			return
		}
		if len(r.Subscribe) > MaxRooms || len(r.Unsubscribe) > MaxRooms || r.Limit > MaxHistory {
			t.Fatalf("DecodeRequest(%q) = %+v, beyond the limits", b, r)
		}
	})
}
