package wire

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

var at = time.Date(2026, 11, 23, 19, 0, 0, 123456789, time.UTC)

func message() chat.Event {
	return chat.Event{
		Room: "1", Kind: chat.KindMessage, Actor: chat.User{ID: "1", Name: "Juan"}, At: at,
		Seq: 13, ID: 40, Epoch: "k3v9x0ab", Tag: 0x1a2b3c4d, Msgs: 13, Body: chat.MessageBody("Hola"),
	}
}

// docs/protocol.md §11: the frames byte for byte.
func TestFrames(t *testing.T) {
	plain := message()
	named := message()
	named.Room, named.Actor = "sala:ñ", chat.User{ID: "u-1", Name: `José "P"`}
	named.Nonce, named.Body = "n1", chat.MessageBody("di \"hola\"\n👩‍👩‍👧 <b>")
	stored := message()
	stored.Nonce = " made by the store"
	joined := chat.Event{Room: "1", Kind: chat.KindUserJoined, Actor: chat.User{ID: "2", Name: "Bob"}, Version: 1}
	left, typing, stopped := joined, joined, joined
	left.Kind, typing.Kind, stopped.Kind = chat.KindUserLeft, chat.KindTyping, chat.KindTypingStopped
	frame := AppendEvent(nil, &plain)
	item := HistoryItem{Seq: 13, Frame: append([]byte("\x81\x7e\x01\x00"), frame...)}
	connected := Connected{
		Room: "1", Epoch: "k3v9x0ab", Head: 13, Cursor: plain.Cursor(),
		Active: []chat.User{{ID: "1", Name: "Juan"}, {ID: "b", Name: "Bob"}}, ActiveCount: 2, History: []HistoryItem{item, item},
	}
	fresh := Connected{Room: "x", Epoch: "k3v9x0ab", Cursor: chat.Cursor{Epoch: "k3v9x0ab"}}
	resumed, gap := fresh, fresh
	resumed.Resume = &Resume{}
	gap.Resume = &Resume{Reason: GapRetention, From: 3, To: 9}

	cases := []struct {
		name string
		got  []byte
		want string
	}{
		{"message", frame, `{"type":"message","room":"1","seq":13,"epoch":"k3v9x0ab","tag":"1a2b3c4d","data":{"id":40,"user_id":1,"username":"Juan","content":"Hola","created_at":"2026-11-23T19:00:00.123Z"}}`},
		{"message with names and nonce", AppendEvent(nil, &named), `{"type":"message","room":"sala:ñ","seq":13,"epoch":"k3v9x0ab","tag":"1a2b3c4d","data":{"id":40,"user_id":"u-1","username":"José \"P\"","content":"di \"hola\"\n👩‍👩‍👧 <b>","created_at":"2026-11-23T19:00:00.123Z","nonce":"n1"}}`},
		{"a store's own nonce stays inside", AppendEvent(nil, &stored), string(frame)},
		{"user_joined", AppendEvent(nil, &joined), `{"type":"user_joined","room":"1","data":{"user_id":2,"username":"Bob"}}`},
		{"user_left", AppendEvent(nil, &left), `{"type":"user_left","room":"1","data":{"user_id":2,"username":"Bob"}}`},
		{"typing", AppendEvent(nil, &typing), `{"type":"typing","room":"1","data":{"user_id":2,"username":"Bob","is_typing":true,"expires_in_ms":8000}}`},
		{"typing stopped", AppendEvent(nil, &stopped), `{"type":"typing","room":"1","data":{"user_id":2,"username":"Bob","is_typing":false}}`},
		{"message_sent", AppendMessageSent(nil, "", &plain, false), `{"type":"message_sent","message_id":40,"timestamp":"2026-11-23T19:00:00.123Z","room":"1","data":{"message_id":40,"timestamp":"2026-11-23T19:00:00.123Z","seq":13}}`},
		{"message_sent again", AppendMessageSent(nil, "c1", &named, true), `{"type":"message_sent","re":"c1","message_id":40,"timestamp":"2026-11-23T19:00:00.123Z","room":"sala:ñ","data":{"message_id":40,"timestamp":"2026-11-23T19:00:00.123Z","nonce":"n1","seq":13,"duplicate":true}}`},
		{"pong", AppendPong(nil, "", nil), `{"type":"pong","data":{}}`},
		{"pong with echo", AppendPong(nil, "a", []byte(`"id":"a","t":1`)), `{"type":"pong","re":"a","data":{"id":"a","t":1}}`},
		{"error", AppendError(nil, "", "", chat.Errorf(chat.EmptyContent, "Empty.")), `{"type":"error","message":"Empty.","code":"empty_content","data":{"message":"Empty.","code":"empty_content","num":1006,"retryable":false}}`},
		{"error about a post", AppendError(nil, "c1", "n1", &chat.Error{Code: chat.StoreUnavailable, Message: "Wait.", RetryAfter: time.Second}), `{"type":"error","re":"c1","message":"Wait.","code":"store_unavailable","data":{"message":"Wait.","code":"store_unavailable","num":1401,"retryable":true,"retry_after_ms":1000,"nonce":"n1"}}`},
		{"connected", AppendConnected(nil, &connected), `{"type":"connected","room":"1","epoch":"k3v9x0ab","data":{"room_id":1,"active_users":[{"user_id":1,"username":"Juan"},{"user_id":"b","username":"Bob"}],"active_count":2,"head":13,"cursor":"k3v9x0ab:13:1a2b3c4d","history":[{"seq":13,"id":40,"user_id":1,"username":"Juan","content":"Hola","created_at":"2026-11-23T19:00:00.123Z"},{"seq":13,"id":40,"user_id":1,"username":"Juan","content":"Hola","created_at":"2026-11-23T19:00:00.123Z"}]}}`},
		{"connected to an empty room", AppendConnected(nil, &fresh), `{"type":"connected","room":"x","epoch":"k3v9x0ab","data":{"room_id":"x","active_users":[],"active_count":0,"head":0,"cursor":"k3v9x0ab:0","history":[]}}`},
		{"connected again", AppendConnected(nil, &resumed), `{"type":"connected","room":"x","epoch":"k3v9x0ab","data":{"room_id":"x","active_users":[],"active_count":0,"head":0,"cursor":"k3v9x0ab:0","history":[],"resumed":true}}`},
		{"connected with a gap", AppendConnected(nil, &gap), `{"type":"connected","room":"x","epoch":"k3v9x0ab","data":{"room_id":"x","active_users":[],"active_count":0,"head":0,"cursor":"k3v9x0ab:0","history":[],"resumed":false,"gap":{"reason":"retention","from":3,"to":9}}}`},
		{"replay", AppendReplay(nil, "1", item), `{"type":"message","room":"1","data":{"replay":true,"seq":13,"id":40,"user_id":1,"username":"Juan","content":"Hola","created_at":"2026-11-23T19:00:00.123Z"}}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if string(c.got) != c.want {
				t.Errorf("got  %s\nwant %s", c.got, c.want)
			}
			checkJSON(t, c.got)
		})
	}
}

// checkJSON holds what was appended by hand against the JSON library: one
// object, strictly valid, that has a type and an object data (S-016, S-023).
func checkJSON(t *testing.T, b []byte) {
	t.Helper()
	var frame struct {
		Type string         `json:"type"`
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal(b, &frame); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if frame.Type == "" || frame.Data == nil {
		t.Errorf("%s has no type or no object data", b)
	}
}

// The hand-made message equals what the library makes of the same fields,
// whatever text is in it.
func FuzzAppendMessage(f *testing.F) {
	f.Add("1", "1", "Juan", "Hola", "n")
	f.Add("sala", "u\"1", "a\\b", "\x00\u2028\U0001F600", "")
	f.Fuzz(func(t *testing.T, room, user, name, content, nonce string) {
		if _, err := chat.ParseRoomID(room); err != nil {
			return
		}
		if _, err := chat.ParseUser(user, name); err != nil {
			return
		}
		if _, err := chat.ParseNonce(nonce); err != nil {
			nonce = ""
		}
		e := message()
		e.Room, e.Actor, e.Nonce = chat.RoomID(room), chat.User{ID: chat.UserID(user), Name: name}, chat.Nonce(nonce)
		e.Body = chat.MessageBody(content)
		var want strings.Builder
		enc := jsontext.NewEncoder(&want)
		type data struct {
			ID        int64          `json:"id"`
			UserID    jsontext.Value `json:"user_id"`
			Username  string         `json:"username"`
			Content   string         `json:"content"`
			CreatedAt string         `json:"created_at"`
			Nonce     string         `json:"nonce,omitempty"`
		}
		id := jsontext.Value(user)
		if !chat.IsCanonicalInteger(user) {
			id, _ = jsontext.AppendQuote(nil, user)
		}
		err := json.MarshalEncode(enc, struct {
			Type  string `json:"type"`
			Room  string `json:"room"`
			Seq   uint64 `json:"seq"`
			Epoch string `json:"epoch"`
			Tag   string `json:"tag"`
			Data  data   `json:"data"`
		}{"message", room, 13, "k3v9x0ab", "1a2b3c4d", data{40, id, name, string([]rune(content)), "2026-11-23T19:00:00.123Z", nonce}})
		if err != nil {
			t.Fatal(err)
		}
		got := AppendEvent(nil, &e)
		a, b := jsontext.Value(got), jsontext.Value(strings.TrimSpace(want.String()))
		if a.Canonicalize() != nil || b.Canonicalize() != nil || string(a) != string(b) {
			t.Errorf("AppendEvent = %s\nwant %s", got, want.String())
		}
	})
}

func BenchmarkAppendMessage(b *testing.B) {
	e := message()
	e.Body = chat.MessageBody(strings.Repeat("x", 64))
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEvent(buf[:0], &e)
	}
}
