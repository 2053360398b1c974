package seedtest

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Server to client: docs/protocol.md §4.
func TestEvents(t *testing.T) {
	addr := anyServer(t)

	t.Run("S-040 S-041 S-042 connected comes first, with the room and who is in it", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		_, connected := join(t, addr, room, "1", "Juan")
		connected.field("room_id", room).field("active_count", 1).field("head", 0).field("resumed", nil).field("gap", nil)
		if connected.Room != room || connected.Epoch == "" {
			t.Errorf("room = %q, epoch = %q, want %q and some epoch", connected.Room, connected.Epoch, room)
		}
		if got := connected.list("history"); len(got) != 0 {
			t.Errorf("history = %v, want none in a new room", got)
		}
	})

	t.Run("S-042 S-076 A5 A6 active users are unique, in the order of joining, oneself included", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		join(t, addr, room, "3", "Carla")
		join(t, addr, room, "1", "Alice")
		join(t, addr, room, "3", "Carla")
		_, connected := join(t, addr, room, "2", "Bob")
		got := connected.list("active_users")
		want := []map[string]any{
			{"user_id": 3.0, "username": "Carla"}, {"user_id": 1.0, "username": "Alice"}, {"user_id": 2.0, "username": "Bob"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("active_users = %v, want %v", got, want)
		}
		connected.field("active_count", 3)
	})

	t.Run("A5 §4.5 a large room lists 200 users and oneself, counts the rest and does not announce them", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		first, _ := join(t, addr, room, "0", "U")
		for i := range 199 {
			join(t, addr, room, fmt.Sprint(i+1), "U")
			first.want("user_joined").field("user_id", i+1)
		}
		for i := range 5 {
			_, connected := join(t, addr, room, fmt.Sprint(i+200), "U")
			connected.field("active_count", 201+i)
			if got := len(connected.list("active_users")); got != 201 {
				t.Errorf("active_users has %d users, want 200 and oneself", got)
			}
		}
		first.wantIdle()
		first.post("hola a todos")
	})

	t.Run("S-044 S-045 S-046 message_sent names the message by a safe integer", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(`{"type":"message","content":"hola"}`)
		sent, message := c.want("message_sent"), c.want("message")
		id, ok := message.Data["id"].(float64)
		if !ok || id < 1 || id > 1<<53-1 || id != float64(int64(id)) {
			t.Errorf("message.data.id = %#v, want an integer from 1 to 2^53-1", message.Data["id"])
		}
		sent.field("message_id", id).field("seq", float64(message.Seq)).field("nonce", nil).field("duplicate", nil)
		if !strings.Contains(message.raw, fmt.Sprintf(`"id":%d,`, int64(id))) {
			t.Errorf("the id is not written as an integer: %s", message)
		}
		sent.field("timestamp", message.Data["created_at"])
	})

	t.Run("S-047 S-048 joining and leaving name the user", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "b", "Bob")
		alice.want("user_joined").field("user_id", "b").field("username", "Bob")
		bob.close()
		alice.want("user_left").field("user_id", "b").field("username", "Bob")
	})

	t.Run("S-051 A10 an error has a sentence, a word and a number", func(t *testing.T) {
		t.Parallel()
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		c.send(`{"type":"dance"}`)
		e := c.wantError("unknown_type")
		e.field("code", "unknown_type").field("num", 1003).field("retryable", false).field("message", e.Message)
		if !strings.Contains(e.Message, "dance") {
			t.Errorf("message = %q, want the type in it", e.Message)
		}
	})

	t.Run("S-052 A9 instants are RFC 3339 in UTC with milliseconds", func(t *testing.T) {
		t.Parallel()
		form := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
		c, _ := join(t, addr, newRoom(), "1", "Juan")
		before := time.Now().Add(-time.Second)
		sent := c.post("hola")
		at, err := time.Parse(time.RFC3339, sent.Timestamp)
		if err != nil || !form.MatchString(sent.Timestamp) {
			t.Fatalf("timestamp = %q, %v", sent.Timestamp, err)
		}
		if at.Before(before) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("timestamp = %v, want now, %v", at, time.Now())
		}
	})

	t.Run("A21 the latest name holds for the user, each message keeps its own", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		first, _ := join(t, addr, room, "1", "Juan")
		first.post("uno")
		second, connected := join(t, addr, room, "1", "Juan Carlos")
		if got := connected.column("active_users", "username"); !reflect.DeepEqual(got, []any{"Juan Carlos"}) {
			t.Errorf("active_users has %v, want the latest name", got)
		}
		second.send(`{"type":"message","content":"dos"}`)
		second.want("message_sent")
		second.want("message").field("username", "Juan Carlos")
		_, connected = join(t, addr, room, "2", "Bob")
		if got := connected.column("history", "username"); !reflect.DeepEqual(got, []any{"Juan", "Juan Carlos"}) {
			t.Errorf("history has names %v, want those at the time", got)
		}
	})

	t.Run("A17 history comes inside connected, as frames, or not at all", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		c, _ := join(t, addr, room, "1", "Juan")
		var ids []any
		for i := range 60 {
			c.send(messageFrame(fmt.Sprint(i+1), fmt.Sprintf("n%d", i+1)))
			ids = append(ids, c.want("message_sent").Data["message_id"])
			c.want("message")
		}
		for _, tt := range []struct {
			query string
			want  int
		}{{"", 50}, {"history=0", 0}, {"history=1", 1}, {"history=60", 60}, {"history=200", 60}} {
			_, connected := join(t, addr, room, "1", "Juan", tt.query)
			connected.field("head", 60)
			history := connected.list("history")
			if len(history) != tt.want {
				t.Fatalf("?%s: history has %d messages, want %d", tt.query, len(history), tt.want)
			}
			for i, item := range history {
				n := 60 - tt.want + i
				want := map[string]any{
					"seq": float64(n + 1), "id": ids[n], "user_id": 1.0, "username": "Juan", "content": fmt.Sprint(n + 1),
					"created_at": item["created_at"], "nonce": fmt.Sprintf("n%d", n+1),
				}
				if !reflect.DeepEqual(item, want) {
					t.Fatalf("?%s: history[%d] = %v, want %v", tt.query, i, item, want)
				}
			}
		}

		replayed, connected := join(t, addr, room, "1", "Juan", "history=events")
		if got := connected.list("history"); len(got) != 0 {
			t.Errorf("?history=events: history has %d messages, want none", len(got))
		}
		for i := range 50 {
			e := replayed.want("message").field("replay", true).field("seq", 11+i).field("content", fmt.Sprint(11+i))
			if e.Seq != 0 {
				t.Fatalf("a replayed message has a top-level seq: %s", e)
			}
		}
		replayed.wantIdle()
	})
}

// Promises: docs/protocol.md §6.
func TestPromises(t *testing.T) {
	addr := anyServer(t)

	t.Run("§6.3 a nonce is posted once", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		bob, _ := join(t, addr, room, "2", "Bob")
		alice.want("user_joined")

		alice.send(messageFrame("hola", "n-1"))
		first := alice.want("message_sent").field("nonce", "n-1").field("duplicate", nil)
		alice.want("message").field("nonce", "n-1")
		bob.want("message").field("nonce", "n-1")

		again, _ := join(t, addr, room, "1", "Alice")
		for _, c := range []*client{alice, again} {
			c.send(messageFrame("hola", "n-1"))
			c.want("message_sent").field("nonce", "n-1").field("duplicate", true).
				field("message_id", first.Data["message_id"]).field("timestamp", first.Timestamp).field("seq", first.Data["seq"])
			c.send(messageFrame("otra cosa", "n-1"))
			c.wantError("idempotency_conflict").field("nonce", "n-1")
		}
		// The same nonce is another one for another user.
		bob.send(messageFrame("hola", "n-1"))
		bob.want("message_sent").field("duplicate", nil)
		for _, c := range []*client{alice, bob, again} {
			c.want("message").field("user_id", 2).field("nonce", "n-1")
			c.wantIdle()
		}
	})

	t.Run("§6.4 A19 a cursor is continued without loss or repetition", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, connected := join(t, addr, room, "1", "Alice")
		cursors := []string{connected.Data["cursor"].(string)}
		for i := range 30 {
			alice.send(messageFrame(fmt.Sprint(i+1), ""))
			alice.want("message_sent")
			cursors = append(cursors, alice.want("message").cursor())
		}
		for _, from := range []int{0, 1, 17, 29, 30} {
			for _, cursor := range []string{cursors[from], fmt.Sprintf("%s:%d", connected.Epoch, from)} {
				bob, resumed := join(t, addr, room, "1", "Alice", "after="+cursor)
				resumed.field("resumed", true).field("gap", nil).field("head", 30)
				if got := resumed.list("history"); len(got) != 0 {
					t.Errorf("after %s: history has %d messages, want none", cursor, len(got))
				}
				// The cursor is where the frames begin: a client that keeps it
				// and is cut off now misses nothing.
				if got := resumed.Data["cursor"].(string); !strings.HasPrefix(got, fmt.Sprintf("%s:%d", connected.Epoch, from)) {
					t.Errorf("after %s: cursor = %s, want the place where the frames begin", cursor, got)
				}
				for seq := from + 1; seq <= 30; seq++ {
					if e := bob.want("message").field("content", fmt.Sprint(seq)); e.Seq != uint64(seq) || e.cursor() != cursors[seq] {
						t.Fatalf("after %s: got %s, want seq %d", cursor, e, seq)
					}
				}
				bob.wantAlive()
				bob.drop()
			}
		}
		if got := cursors[30]; got != mustString(t, connectedAgain(t, addr, room).Data["cursor"]) {
			t.Errorf("the cursor of a fresh connection is not that of the last message, %s", got)
		}
	})

	t.Run("§6.4 a cursor of another log is said to be one", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, connected := join(t, addr, room, "1", "Alice")
		for range 3 {
			alice.post("hola")
		}
		epoch := connected.Epoch
		for name, cursor := range map[string]string{
			"another epoch": "zzzzzzzz:2",
			"another tag":   epoch + ":2:00000000",
			"ahead":         epoch + ":4",
			"far ahead":     epoch + ":9007199254740991:01020304",
			"largest":       epoch + ":18446744073709551615",
		} {
			c := dial(t, addr, roomPath(room, "1", "Alice", "after="+cursor))
			e := c.next()
			if e.Type == "error" && name == "largest" { // beyond 2^53-1 it is no cursor
				c.wantClose(4500)
				continue
			}
			e.field("resumed", false).field("head", 3)
			gap, _ := e.Data["gap"].(map[string]any)
			if gap["reason"] != "epoch" {
				t.Errorf("%s: gap = %v, want reason epoch", name, gap)
			}
			if got := len(e.list("history")); got != 3 {
				t.Errorf("%s: history has %d messages, want those of a fresh connection, 3", name, got)
			}
			c.wantIdle()
		}
	})

	t.Run("§6.4 a gap names what is in neither history nor frames", func(t *testing.T) {
		t.Parallel()
		room := newRoom()
		alice, _ := join(t, addr, room, "1", "Alice")
		for range 5 {
			alice.post("hola")
		}
		_, connected := join(t, addr, room, "1", "Alice", "after=zzzzzzzz:2", "history=2")
		if got, want := connected.Data["gap"], (map[string]any{"reason": "epoch", "from": 1.0, "to": 3.0}); !reflect.DeepEqual(got, want) {
			t.Errorf("gap = %v, want %v", got, want)
		}
	})
}

func connectedAgain(t *testing.T, addr, room string) event {
	t.Helper()
	_, connected := join(t, addr, room, "1", "Alice")
	return connected
}

func enteredAgain(t *testing.T, addr, room string) event {
	t.Helper()
	_, connected := enter(t, addr, room, "1", "Alice")
	return connected
}

func mustString(t *testing.T, v any) string {
	t.Helper()
	s, ok := v.(string)
	if !ok {
		t.Fatalf("got %#v, want a string", v)
	}
	return s
}
