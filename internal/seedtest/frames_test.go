package seedtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// Event types and envelope: docs/protocol.md §3 and §4.
func TestFrames(t *testing.T) {
	addr := anyServer(t)

	// client.parse holds every frame of every test to these rules; here one
	// conversation is made to bring all types.
	t.Run("S-016 S-020 S-021 S-022 S-023 every type, one object a frame, with type and data", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		seen := map[string]bool{"connected": true}
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		bob.send(`{"type":"typing","is_typing":true}`)
		bob.send(`{"type":"message","content":"hola"}`)
		bob.send(`{"type":"ping"}`)
		bob.send(`?`)
		for range 4 {
			seen[bob.next().Type] = true // message_sent, pong, error; message among them
		}
		for !seen["user_joined"] { // who comes and goes in an instant may not be seen from another node
			seen[alice.next().Type] = true
		}
		bob.close()
		for !seen["user_left"] {
			seen[alice.next().Type] = true
		}
		for _, typ := range serverTypes {
			if !seen[typ] {
				t.Errorf("no event of type %s", typ)
			}
		}
	})

	t.Run("S-015 white space around a frame", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		for _, frame := range []string{"{\"type\":\"ping\"}\n", "{\"type\":\"ping\"}\r\n", "  {\"type\":\"ping\"}  ", "\n\n\t{ \"type\" : \"ping\" }\n"} {
			c.send(frame)
			c.want("pong")
		}
	})

	t.Run("S-017 no frame is larger than a client takes", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		c, _ := join(t, addr, room, "1", "Juan")
		// Control characters grow sixfold in JSON.
		for _, content := range []string{strings.Repeat("x", 16<<10), strings.Repeat("é", 8<<10), strings.Repeat(`"`, 8<<10), "a" + strings.Repeat("\x01", 8<<10)} {
			for range 10 {
				c.post(content)
			}
		}
		_, connected := join(t, addr, room, "1", "Juan", "history=200") // parse holds the limit
		got := len(connected.list("history"))
		if got == 0 || got == 40 {
			t.Errorf("history has %d messages, want some and not all of 40, which are more than 192 KiB", got)
		}
		if last := connected.column("history", "seq")[got-1]; last != 40.0 {
			t.Errorf("history ends with seq %v, want the head, 40", last)
		}
	})

	t.Run("S-024 A1 message_sent has its fields at the top level and in data", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		sent := c.post("hola")
		sent.field("message_id", sent.MessageID).field("timestamp", sent.Timestamp)
		if sent.MessageID == 0 || sent.Timestamp == "" {
			t.Errorf("message_sent = %s, want message_id and timestamp", sent)
		}
	})

	t.Run("S-024 A1 error has its fields at the top level and in data", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send("[]")
		e := c.wantError("invalid_event")
		e.field("message", e.Message).field("code", e.Code).field("num", 1002).field("retryable", false)
	})

	t.Run("S-025 A2 members stand flat or in data", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		for _, frame := range []string{
			`{"type":"message","content":"hola"}`,
			`{"type":"message","data":{"content":"hola"}}`,
			`{"data":{"content":"hola"},"type":"message"}`,
			`{"type":"message","content":"hola","data":{"content":"hola"}}`,
			`{"type":"message","content":"hola","data":{"content":"hol\u0061"}}`,
			`{"type":"message","content":"hola","data":{}}`,
			`{"type":"message","content":"hola","data":null}`,
		} {
			c.send(frame)
			if e := c.next(); e.Type != "message_sent" {
				t.Fatalf("%s: got %s, want message_sent", frame, e)
			}
			c.want("message").field("content", "hola")
		}
		c.send(`{"type":"message","content":"hola","data":{"content":"adiós"}}`)
		c.wantError("conflicting_fields")
		c.send(`{"type":"typing","is_typing":true,"data":{"is_typing":false}}`)
		c.wantError("conflicting_fields")
		c.wantIdle()
	})

	t.Run("S-026 unknown members are ignored", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(`{"type":"message","content":"hola","color":"red","Content":"no","deep":{"a":[1,{"b":null}]},"data":{"other":1}}`)
		c.want("message_sent")
		c.want("message").field("content", "hola").field("color", nil)
	})

	t.Run("S-027 an unknown type is an error, not the end", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		for _, typ := range []string{"", "Message", "connected", "message_sent", "user_joined", "pong", "error", "subscribe", strings.Repeat("x", 5000), `a\u0000b`} {
			c.sendf(`{"type":"%s"}`, typ)
			if e := c.wantError("unknown_type"); len(e.Message) > 300 {
				t.Errorf("the error repeats a type of %d bytes in %d bytes", len(typ), len(e.Message))
			}
		}
		c.wantAlive()
	})

	t.Run("S-028 content comes back as it was sent", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		c, _ := join(t, addr, room, "1", "Juan")
		contents := []string{
			"Hola mundo!", "¿Qué tal? ñandú", "👩‍👩‍👧‍👦 🏴‍☠️", "日本語", "\u202eabc\u202c", "tab\tline\nreturn\r", `"quotes" \ / <b>&amp;</b>`,
			"\ufeffbom", "  spaces kept  ", "a\u2028b\u2029c", "\U0010FFFF", "e\u0301 is not é", "\x7f",
		}
		for _, content := range contents {
			c.post(content)
		}
		// An escape and the character itself are the same content.
		c.send(`{"type":"message","content":"\u00e9\ud83e\udd91\/"}`)
		c.want("message_sent")
		c.want("message").field("content", "é🦑/")
		contents = append(contents, "é🦑/")

		_, connected := join(t, addr, room, "1", "Juan")
		for i, got := range connected.column("history", "content") {
			if got != contents[i] {
				t.Errorf("history[%d].content = %q, want %q", i, got, contents[i])
			}
		}
	})

	t.Run("§4 re repeats the id of a request", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		long := strings.Repeat("i", 64)
		for _, tt := range []struct{ frame, typ, re string }{
			{`{"type":"ping","id":"p1"}`, "pong", "p1"},
			{`{"type":"ping"}`, "pong", ""},
			{`{"type":"ping","id":"` + long + `"}`, "pong", long},
			{`{"type":"ping","id":"` + long + `i"}`, "error", ""},
			{`{"type":"ping","id":{}}`, "error", ""},
			{`{"type":"message","id":"m1"}`, "error", "m1"},
			{`{"type":"typing","id":"t1","is_typing":1}`, "error", "t1"},
			{`{"type":"what","id":"w\"1"}`, "error", `w"1`},
		} {
			c.send(tt.frame)
			if e := c.want(tt.typ); e.Re != tt.re {
				t.Errorf("%s: re = %q, want %q", cut(tt.frame), e.Re, tt.re)
			}
		}
		c.send(`{"type":"message","id":"m2","content":"hola"}`)
		if e := c.want("message_sent"); e.Re != "m2" {
			t.Errorf("message_sent.re = %q, want m2", e.Re)
		}
		if e := c.want("message"); e.Top["re"] != nil {
			t.Errorf("message has re %q, want none", e.Re)
		}
	})

	t.Run("A3 pong repeats id and t, and nothing else", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		for frame, want := range map[string]string{
			`{"type":"ping"}`:                             `{"type":"pong","data":{}}`,
			`{"type":"ping","t":1763924400123,"x":1}`:     `{"type":"pong","data":{"t":1763924400123}}`,
			`{"type":"ping","t":12345678901234567890.00}`: `{"type":"pong","data":{"t":12345678901234567890.00}}`,
			`{"type":"ping","data":{"t":"ahora"}}`:        `{"type":"pong","data":{"t":"ahora"}}`,
			`{"type":"ping","id":"p","t":null}`:           `{"type":"pong","re":"p","data":{"id":"p","t":null}}`,
		} {
			c.send(frame)
			if got := c.want("pong").raw; got != want {
				t.Errorf("%s: got %s, want %s", frame, got, want)
			}
		}
		c.sendf(`{"type":"ping","t":"%s"}`, strings.Repeat("t", 300))
		c.wantError("too_large")
	})
}

// Client to server: docs/protocol.md §5.
func TestCommands(t *testing.T) {
	addr := anyServer(t)

	t.Run("S-030 S-043 S-053 a message goes to the room of the URL, as the user of the connection", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(`{"type":"message","content":"soy yo","user_id":99,"username":"Eva","id":"q","created_at":"1970-01-01T00:00:00Z","seq":77,"room":"other","data":{"user_id":98}}`)
		c.want("message_sent")
		m := c.want("message").field("user_id", 1).field("username", "Juan").field("content", "soy yo")
		for _, name := range []string{"id", "user_id", "username", "content", "created_at"} {
			if m.Data[name] == nil {
				t.Errorf("message.data has no %s: %s", name, m)
			}
		}
		if m.Seq != 1 {
			t.Errorf("seq = %d, want 1", m.Seq)
		}
	})

	t.Run("S-031 S-049 typing begins and stops", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined")
		bob.send(`{"type":"typing","is_typing":true}`)
		alice.want("typing").field("user_id", 2).field("username", "Bob").field("is_typing", true).field("expires_in_ms", 8000)
		bob.send(`{"type":"typing","data":{"is_typing":false}}`)
		alice.want("typing").field("user_id", 2).field("username", "Bob").field("is_typing", false)
	})

	t.Run("S-032 S-050 ping is answered with pong", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(`{"type":"ping"}`)
		if got, want := c.want("pong").raw, `{"type":"pong","data":{}}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})

	for _, tt := range []struct{ name, frame, code string }{
		{"S-033 message without content", `{"type":"message"}`, "invalid_event"},
		{"S-033 message with number content", `{"type":"message","content":5}`, "invalid_event"},
		{"S-033 message with null content", `{"type":"message","content":null}`, "invalid_event"},
		{"S-033 message with object content", `{"type":"message","content":{"text":"x"}}`, "invalid_event"},
		{"S-033 message with list content", `{"type":"message","content":["x"]}`, "invalid_event"},
		{"S-033 message with a wrong nonce", `{"type":"message","content":"x","nonce":5}`, "invalid_event"},
		{"S-033 message with an empty nonce", `{"type":"message","content":"x","nonce":""}`, "invalid_event"},
		{"S-033 message with a spaced nonce", `{"type":"message","content":"x","nonce":"a b"}`, "invalid_event"},
		{"S-033 message with a long nonce", `{"type":"message","content":"x","nonce":"` + strings.Repeat("n", 65) + `"}`, "invalid_event"},
		{"§5.1 content with U+0000", `{"type":"message","content":"a\u0000b"}`, "invalid_event"},
		{"S-034 empty content", `{"type":"message","content":""}`, "empty_content"},
		{"S-034 blank content", `{"type":"message","content":" \n\t\u00a0\u2003"}`, "empty_content"},
		{"S-035 typing without is_typing", `{"type":"typing"}`, "invalid_event"},
		{"S-035 typing with string is_typing", `{"type":"typing","is_typing":"true"}`, "invalid_event"},
		{"S-035 typing with number is_typing", `{"type":"typing","is_typing":1}`, "invalid_event"},
		{"S-036 content of 16 KiB and one byte", messageFrame(strings.Repeat("x", 16<<10+1), ""), "too_large"},
		{"S-036 content of 60 KiB", messageFrame(strings.Repeat("x", 60<<10), ""), "too_large"},
		{"S-036 content long in bytes, not characters", messageFrame(strings.Repeat("é", 8<<10)+"x", ""), "too_large"},
		{"S-037 not JSON", `not json`, "invalid_json"},
		{"S-037 empty frame", ``, "invalid_json"},
		{"S-037 cut JSON", `{"type":"mess`, "invalid_json"},
		{"S-037 single quotes", `{'type':'ping'}`, "invalid_json"},
		{"S-037 trailing comma", `{"type":"ping",}`, "invalid_json"},
		{"S-037 comment", `{"type":"ping"} // hola`, "invalid_json"},
		{"S-037 NaN", `{"type":"ping","t":NaN}`, "invalid_json"},
		{"S-037 two objects", `{"type":"ping"}{"type":"ping"}`, "invalid_json"},
		{"S-037 duplicate key", `{"type":"ping","type":"message","content":"x"}`, "invalid_json"},
		{"S-037 duplicate key, escaped", `{"type":"ping","\u0074ype":"message"}`, "invalid_json"},
		{"S-037 duplicate key, deep", `{"type":"ping","data":{"a":[{"b":1,"b":2}]}}`, "invalid_json"},
		{"S-037 half a surrogate pair", `{"type":"message","content":"\ud83e"}`, "invalid_json"},
		{"S-037 raw control character", "{\"type\":\"message\",\"content\":\"a\nb\"}", "invalid_json"},
		{"S-037 byte order mark", "\ufeff{\"type\":\"ping\"}", "invalid_json"},
		{"S-038 array", `[{"type":"ping"}]`, "invalid_event"},
		{"S-038 string", `"ping"`, "invalid_event"},
		{"S-038 number", `5`, "invalid_event"},
		{"S-038 null", `null`, "invalid_event"},
		{"S-038 empty object", `{}`, "invalid_event"},
		{"S-038 number type", `{"type":1}`, "invalid_event"},
		{"S-038 null type", `{"type":null}`, "invalid_event"},
		{"S-038 type in data", `{"data":{"type":"ping"}}`, "invalid_event"},
		{"§3.2 nested too deep", `{"type":"ping","x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, "invalid_event"},
		{"§3.2 nested much too deep", `{"type":"ping","x":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, "invalid_event"},
		{"§3.2 too many members", `{"type":"ping"` + members(64) + `}`, "invalid_event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			room := newRoom()
			c, _ := join(t, addr, room, "1", "Juan")
			bystander, _ := join(t, addr, room, "1", "Juan") // the same user: no joining is announced
			c.send(tt.frame)
			if e := c.wantError(tt.code); !strings.HasSuffix(e.Message, ".") || len(e.Message) < 15 {
				t.Errorf("message = %q, want a sentence", e.Message)
			}
			c.wantAlive()
			bystander.wantAlive()
			_, connected := join(t, addr, room, "1", "Juan")
			connected.field("head", 0)
		})
	}

	t.Run("S-036 content of exactly 16 KiB is posted", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.post(strings.Repeat("x", 16<<10))
		// Escaped, the same is longer on the wire and no longer as content.
		c.send(`{"type":"message","content":"` + strings.Repeat(`\u0078`, 10<<10) + `"}`)
		c.want("message_sent")
		c.want("message").field("content", strings.Repeat("x", 10<<10))
	})

	t.Run("S-036 the error names the limit", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(messageFrame(strings.Repeat("x", 16<<10+1), "n-1"))
		if e := c.wantError("too_large").field("nonce", "n-1"); !strings.Contains(e.Message, "16384") && !strings.Contains(e.Message, "16 KiB") {
			t.Errorf("message = %q, want the limit in it", e.Message)
		}
	})

	t.Run("§3.2 the deepest and the widest that is allowed", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(`{"type":"ping","x":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`)
		c.want("pong")
		c.send(`{"type":"ping"` + members(63) + `}`)
		c.want("pong")
	})

	t.Run("S-039 a client sends many commands without waiting, answers keep their order", func(t *testing.T) {
		t.Parallel()
		const n = 300
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		var packet []byte
		for i := range n {
			switch i % 3 {
			case 0:
				packet = append(packet, masked(ws.NewTextFrame(fmt.Appendf(nil, `{"type":"message","id":"%d","content":"%d"}`, i, i)))...)
			case 1:
				packet = append(packet, masked(ws.NewTextFrame(fmt.Appendf(nil, `{"type":"ping","id":"%d"}`, i)))...)
			case 2:
				packet = append(packet, masked(ws.NewTextFrame(fmt.Appendf(nil, `{"type":"typing","id":"%d","is_typing":true}`, i)))...)
			}
		}
		c.write(packet)
		var answers, wanted []string
		var messages int
		for messages < n/3 || len(answers) < n*2/3 {
			e := c.next()
			switch e.Type {
			case "message":
				messages++
				if e.Seq != uint64(messages) {
					t.Fatalf("seq = %d, want %d", e.Seq, messages)
				}
			default:
				answers = append(answers, e.Type+" "+e.Re)
			}
		}
		for i := range n {
			switch i % 3 {
			case 0:
				wanted = append(wanted, fmt.Sprintf("message_sent %d", i))
			case 1:
				wanted = append(wanted, fmt.Sprintf("pong %d", i))
			}
		}
		if !slices.Equal(answers, wanted) {
			t.Errorf("answers = %v, want %v", answers, wanted)
		}
		c.wantIdle()
	})
}

// members is n members of an object, each after a comma.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":0`, i)
	}
	return b.String()
}
