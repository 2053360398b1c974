package wire

import (
	"strings"
	"testing"

	"tertulia/chat"
)

func TestDecodeCommand(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	cases := []struct {
		name string
		in   string
		want Command
	}{
		{"prototype message", `{"type": "message", "content": "Hola mundo!"}`, Command{Type: "message", Content: "Hola mundo!"}},
		{"in data (A2)", `{"type":"message","data":{"content":"x"}}`, Command{Type: "message", Content: "x"}},
		{"in both, the same", `{"type":"message","content":"x","data":{"content":"\u0078"}}`, Command{Type: "message", Content: "x"}},
		{"with id and nonce", `{"type":"message","id":"c17","nonce":"n1","content":"x"}`, Command{Type: "message", ID: "c17", Nonce: "n1", Content: "x"}},
		{"unknown fields (S-026)", `{"type":"message","content":"x","colour":{"r":1},"data":{"y":[1,2]}}`, Command{Type: "message", Content: "x"}},
		{"surrounding space (S-015)", " \n{\"type\":\"ping\"}\r\n ", Command{Type: "ping"}},
		{"escapes", `{"type":"message","content":"a\n\"\u00f1\ud83d\ude00"}`, Command{Type: "message", Content: "a\n\"ñ😀"}},
		{"typing", `{"type":"typing","is_typing":true}`, Command{Type: "typing", IsTyping: true}},
		{"typing stops", `{"type":"typing","data":{"is_typing":false}}`, Command{Type: "typing"}},
		{"ping with payload", `{"type":"ping","id":"a","t":12.5}`, Command{Type: "ping", ID: "a", Echo: []byte(`"id":"a","t":12.5`)}},
		{"colons in a string are no members", `{"type":"message","content":"` + strings.Repeat(":", 200) + `"}`, Command{Type: "message", Content: strings.Repeat(":", 200)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeCommand([]byte(c.in))
			if err != nil {
				t.Fatalf("DecodeCommand(%s): %v", c.in, err)
			}
			if got.Type != c.want.Type || got.ID != c.want.ID || got.Nonce != c.want.Nonce || got.Content != c.want.Content ||
				got.IsTyping != c.want.IsTyping || string(got.Echo) != string(c.want.Echo) {
				t.Errorf("DecodeCommand(%s) = %+v, want %+v", c.in, got, c.want)
			}
		})
	}
	refused := []struct {
		name, in string
		code     chat.Code
	}{
		{"empty", "", chat.InvalidJSON},
		{"text", "not json", chat.InvalidJSON},
		{"cut off", `{"type":"mess`, chat.InvalidJSON},
		{"two objects", `{"type":"ping"}{"type":"ping"}`, chat.InvalidJSON},
		{"trailing comma", `{"type":"ping",}`, chat.InvalidJSON},
		{"duplicate key", `{"type":"message","content":"a","content":"b"}`, chat.InvalidJSON},
		{"duplicate key within an ignored member", `{"type":"ping","x":{"a":1,"a":2}}`, chat.InvalidJSON},
		{"invalid UTF-8", "{\"type\":\"message\",\"content\":\"\xff\"}", chat.InvalidJSON},
		{"lone surrogate", `{"type":"message","content":"\ud800"}`, chat.InvalidJSON},
		{"raw control character", "{\"type\":\"message\",\"content\":\"a\x01\"}", chat.InvalidJSON},
		{"array", `[]`, chat.InvalidEvent},
		{"string", `"message"`, chat.InvalidEvent},
		{"number", `1`, chat.InvalidEvent},
		{"null", `null`, chat.InvalidEvent},
		{"no type", `{"content":"x"}`, chat.InvalidEvent},
		{"type is a number", `{"type":1}`, chat.InvalidEvent},
		{"type in another case", `{"Type":"ping"}`, chat.InvalidEvent},
		{"unknown type", `{"type":"shout"}`, chat.UnknownType},
		{"server's type", `{"type":"message_sent"}`, chat.UnknownType},
		{"no content", `{"type":"message"}`, chat.InvalidEvent},
		{"content is a number", `{"type":"message","content":5}`, chat.InvalidEvent},
		{"content is null", `{"type":"message","content":null}`, chat.InvalidEvent},
		{"is_typing is a string", `{"type":"typing","is_typing":"true"}`, chat.InvalidEvent},
		{"no is_typing", `{"type":"typing"}`, chat.InvalidEvent},
		{"contradiction (A2)", `{"type":"message","content":"a","data":{"content":"b"}}`, chat.ConflictingFields},
		{"nonce is a number", `{"type":"message","content":"a","nonce":1}`, chat.InvalidEvent},
		{"nonce with a space", `{"type":"message","content":"a","nonce":"a b"}`, chat.InvalidEvent},
		{"long id", `{"type":"ping","id":"` + strings.Repeat("i", 65) + `"}`, chat.InvalidEvent},
		{"long echo", `{"type":"ping","t":"` + strings.Repeat("t", 300) + `"}`, chat.TooLarge},
		{"too deep", `{"type":"ping","x":` + deep + `}`, chat.InvalidEvent},
		{"too many members", `{"type":"ping"` + strings.Repeat(`,"k":1`, MaxKeys) + `}`, chat.InvalidEvent},
	}
	for _, c := range refused {
		t.Run("refuse "+c.name, func(t *testing.T) {
			_, err := DecodeCommand([]byte(c.in))
			if got := chat.AsError(err); err == nil || got.Code != c.code {
				t.Errorf("DecodeCommand(%s): %v, want code %s", c.in, err, c.code)
			}
		})
	}
}

// A refusal names the request that it answers, and the post.
func TestRefusalNamesItsRequest(t *testing.T) {
	cmd, err := DecodeCommand([]byte(`{"type":"message","id":"c1","nonce":"n1","content":7}`))
	if err == nil || cmd.ID != "c1" || cmd.Nonce != "n1" {
		t.Errorf("DecodeCommand = %+v, %v, want an error with id c1 and nonce n1", cmd, err)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	for _, s := range []string{
		`{"type":"message","content":"Hola"}`, `{"type":"typing","is_typing":true}`, `{"type":"ping"}`, `[]`, `{"type":`,
		`{"type":"message","data":{"content":"\ud83d\ude00","nonce":"x"},"id":"1"}`, `{"a":{"b":{"c":[1,{"d":null}]}}}`, "\xff", `""`, `{"type":"ping","t":{"x":[1,2]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cmd, err := DecodeCommand(b)
		if err != nil {
			told := chat.AsError(err)
			if told.Code == chat.Internal {
				t.Fatalf("DecodeCommand(%q): %v, want an error for the client", b, err)
			}
			checkJSON(t, AppendError(nil, cmd.ID, cmd.Nonce, told))
			return
		}
		if cmd.Type == TypePing {
			checkJSON(t, AppendPong(nil, cmd.ID, cmd.Echo))
		}
	})
}

func BenchmarkDecodeCommand(b *testing.B) {
	frame := []byte(`{"type":"message","nonce":"0123456789abcdef","content":"` + strings.Repeat("x", 64) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeCommand(frame); err != nil {
			b.Fatal(err)
		}
	}
}
