package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/presence"
	"tertulia/internal/room"
	"tertulia/internal/store"
	"tertulia/wire"
)

// docs/protocol.md §9
const (
	errorsAllowed   = 20
	inFlightAllowed = 64
)

// docs/protocol.md §4.2, §4.4, §6.2: connected comes first, and message_sent
// before the author's own copy.
func TestFirstConversation(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.open(Hello{Identity: as(ana), Room: "1", History: 50})
		a.want(`{"type":"connected","room":"1","data":{"room_id":1,"active_users":[{"user_id":1,"username":"Ana"}],"active_count":1,"head":0,"history":[]}}`)
		a.wantIdle(time.Minute) // nothing unsolicited
		a.send(`{"type":"message","content":"Hola","id":"r1","nonce":"n1"}`)
		a.want(
			`{"type":"message_sent","re":"r1","room":"1","data":{"seq":1,"nonce":"n1"}}`,
			`{"type":"message","room":"1","seq":1,"data":{"user_id":1,"username":"Ana","content":"Hola","nonce":"n1"}}`)
		a.send(`{"type":"message","content":"Hola","id":"r2","nonce":"n1"}`)
		a.want(`{"type":"message_sent","re":"r2","data":{"seq":1,"duplicate":true}}`)
		a.send(`{"type":"message","content":"other","nonce":"n1"}`)
		a.want(`{"type":"error","code":"idempotency_conflict","data":{"nonce":"n1","retryable":false}}`)
		a.send(`{"type":"ping","t":5}`)
		a.want(`{"type":"pong","data":{"t":5}}`)
		a.wantIdle(time.Minute)
		a.leave(true)
	})
}

// docs/protocol.md §6.2: answers come in the order of the commands.
func TestRepliesKeepTheOrderOfCommands(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		release := n.store.hold()
		a.send(`{"type":"ping","id":"0"}`)
		a.want(`{"type":"pong","re":"0"}`) // nothing is waited for
		a.send(`{"type":"message","content":"a","id":"1"}`)
		synctest.Wait() // the first batch is with the store
		a.send(`{"type":"ping","id":"2"}`, `{"type":"message","content":"b","id":"3"}`, `{"type":"message","content":" ","id":"4"}`,
			`no json`, `{"type":"message","content":"c","id":"6"}`, `{"type":"ping","id":"7"}`)
		a.wantIdle(5 * time.Second)
		release()
		replies := a.replies(8)
		want := []string{
			`{"type":"message_sent","re":"1"}`, `{"type":"pong","re":"2"}`, `{"type":"message_sent","re":"3"}`, `{"type":"error","re":"4","code":"empty_content"}`,
			`{"type":"error","code":"invalid_json"}`, `{"type":"message_sent","re":"6"}`, `{"type":"pong","re":"7"}`,
		}
		for i := range want {
			if !matches(replies[i], want[i]) {
				t.Errorf("reply %d is %q, want %q", i+1, replies[i], want[i])
			}
		}
		a.leave(true)
	})
}

// replies takes all frames and returns those that are no events; missing ones
// are empty.
func (c *client) replies(n int) []string {
	var got []string
	for f := c.next(); f != ""; f = c.next() {
		if !matches(f, `{"type":"message"}`) {
			got = append(got, f)
		}
	}
	return append(got, make([]string, max(0, n-len(got)))...)
}

// docs/protocol.md §9: 64 commands may wait for their answers.
func TestReadingStopsAtSixtyFourInFlight(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		release := n.store.hold()
		const posts = 200
		for i := range posts {
			a.send(message(fmt.Sprint(i)))
		}
		synctest.Wait()
		if taken := posts - len(a.in); taken != inFlightAllowed+1 { // one more is in Receive
			t.Errorf("%d posts were taken from a client with none answered, want %d and one that waits", taken, inFlightAllowed)
		}
		release()
		if got := len(a.replies(0)); got != posts {
			t.Errorf("%d of %d posts were answered", got, posts)
		}
		a.leave(true)
	})
}

// docs/protocol.md §9: the twentieth error within 10 s is the last, and what
// follows is not executed.
func TestTooManyErrors(t *testing.T) {
	inBubble(t, func(n *node) {
		a, b := n.enter(ana), n.enter(bob)
		a.want(`{"type":"user_joined"}`)
		for range errorsAllowed {
			a.send(`no json`)
		}
		a.send(message("not executed"), `{"type":"ping"}`, `no json`)
		for range errorsAllowed {
			a.want(`{"type":"error","code":"invalid_json"}`)
		}
		a.want("close 4509 too_many_errors")
		a.wantIdle(time.Minute)
		if !a.pipe.State().Finished {
			t.Error("the connection is still open")
		}
		b.wantIdle(time.Minute)
		a.leave(false)
		b.leave(true)
	})
}

// The answers to what was asked before come before the close frame.
func TestTooManyErrorsBehindPosts(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		release := n.store.hold()
		a.send(message("stored"))
		synctest.Wait()
		for range errorsAllowed {
			a.send(`no json`)
		}
		a.send(message("not executed"))
		a.wantIdle(time.Second)
		release()
		replies := a.replies(errorsAllowed + 2)
		if !matches(replies[0], `{"type":"message_sent","data":{"seq":1}}`) ||
			!matches(replies[errorsAllowed], `{"type":"error"}`) || replies[errorsAllowed+1] != "close 4509 too_many_errors" {
			t.Errorf("the answers are %q, want message_sent, %d errors and the close frame", replies, errorsAllowed)
		}
		a.leave(false)
		b := n.open(Hello{Identity: as(bob), Room: "1", History: 50})
		b.want(`{"type":"connected","data":{"head":1}}`)
		b.leave(true)
	})
}

// Fewer errors than that, in whichever 10 s one looks at, are forgiven.
func TestErrorsThatAreForgiven(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		errors := func(count int) {
			t.Helper()
			for range count {
				a.send(`no json`)
				a.want(`{"type":"error"}`)
			}
		}
		errors(errorsAllowed - 1)
		a.wantIdle(errorWindow) // all over
		errors(1)
		a.wantIdle(errorWindow - time.Second)
		errors(errorsAllowed - 2) // 19 in these 10 s
		a.wantIdle(time.Second)
		errors(1) // the first of the 20 was 10 s ago
		a.wantIdle(time.Second)
		errors(1) // 20, though not in 10 s that begin with an error after a pause
		a.want("close 4509 too_many_errors")
		a.leave(false)
	})
}

// Only what is the client's own fault counts.
func TestServerFaultsDoNotCount(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		n.store.fail(store.ErrUnavailable)
		for range 2 * errorsAllowed {
			a.send(message("x"))
			a.want(`{"type":"error","code":"store_unavailable","data":{"retryable":true}}`)
		}
		n.store.fail(nil)
		a.send(message("y"))
		a.want(`{"type":"message_sent"}`, `{"type":"message","seq":1}`)
		a.leave(true)
	})
}

// docs/protocol.md §4.6
func TestTyping(t *testing.T) {
	const begins, stops = `{"type":"typing","data":{"user_id":1,"is_typing":true,"expires_in_ms":8000}}`, `{"type":"typing","data":{"user_id":1,"is_typing":false}}`
	const on, off = `{"type":"typing","is_typing":true}`, `{"type":"typing","is_typing":false}`
	stage := func(name string, f func(a, b *client)) {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(n *node) {
				n.t = t
				a := n.enter(ana)
				tab := n.enter(ana)
				b := n.enter(bob)
				for _, c := range []*client{a, tab} {
					c.want(`{"type":"user_joined"}`)
				}
				f(a, b)
				tab.wantIdle(time.Minute) // never to a connection of the user who types
				tab.leave(true)
				b.leave(true)
			})
		})
	}
	stage("begins and stops", func(a, b *client) {
		a.send(on)
		b.want(begins)
		a.send(off)
		b.want(stops)
		b.wantIdle(time.Minute)
		a.leave(true)
	})
	stage("repeated, at most once in 2 s", func(a, b *client) {
		a.send(on)
		b.want(begins)
		for range 20 {
			a.send(on)
			time.Sleep(99 * time.Millisecond)
		}
		b.wantIdle(0)
		time.Sleep(20 * time.Millisecond)
		a.send(on, on, on)
		b.want(begins)
		b.wantIdle(0)
		a.send(off)
		b.want(stops)
		a.leave(true)
	})
	stage("expires 8 s after it was last repeated", func(a, b *client) {
		a.send(on)
		b.want(begins)
		time.Sleep(time.Second)
		a.send(on) // passed on to nobody, and counts nevertheless
		b.after(8*time.Second, stops)
		b.wantIdle(time.Minute)
		a.send(on)
		b.want(begins)
		a.leave(true)
		b.want(stops)
	})
	stage("repeated at the last moment", func(a, b *client) {
		a.send(on)
		b.want(begins)
		time.Sleep(8*time.Second - 1)
		a.send(on)
		b.want(begins)
		b.after(8*time.Second, stops)
		a.leave(true)
	})
	stage("ends with the connection", func(a, b *client) {
		a.send(on)
		b.want(begins)
		a.leave(false)
		b.want(stops)
		b.wantIdle(time.Minute)
	})
}

// docs/protocol.md §4.5: users, not connections.
func TestJoiningAndLeaving(t *testing.T) {
	const joined, left = `{"type":"user_joined","data":{"user_id":1,"username":"Ana"}}`, `{"type":"user_left","data":{"user_id":1,"username":"Ana"}}`
	inBubble(t, func(n *node) {
		b := n.enter(bob)
		a := n.enter(ana)
		b.want(joined)
		tab := n.open(Hello{Identity: as(ana), Room: "1"})
		tab.want(`{"type":"connected","data":{"active_count":2,"active_users":[{"user_id":2},{"user_id":1}]}}`)
		a.send(message("hola"))
		a.want(`{"type":"message_sent"}`, `{"type":"message","seq":1}`)
		tab.want(`{"type":"message","seq":1}`) // both tabs, one acknowledgement
		b.want(`{"type":"message","seq":1}`)
		a.leave(true)
		b.wantIdle(time.Minute) // the other tab is there
		tab.leave(true)
		b.want(left) // at once

		a = n.enter(ana)
		b.want(joined)
		a.leave(false)
		b.wantIdle(9 * time.Second)
		a = n.enter(ana)
		b.wantIdle(time.Minute) // neither left nor joined
		a.leave(false)
		b.after(10*time.Second, left)

		other := n.open(Hello{Identity: as(ana), Room: "2"})
		other.want(`{"type":"connected","room":"2","data":{"active_count":1}}`)
		b.wantIdle(time.Minute) // another room
		other.leave(true)
		b.leave(true)
	})
}

// docs/protocol.md §4.2, §4.5: a large room.
func TestLargeRoom(t *testing.T) {
	inBubble(t, func(n *node) {
		const users = 250
		crowd := make([]*client, users)
		for i := range crowd {
			crowd[i] = n.open(Hello{Identity: as(chat.User{ID: chat.UserID(fmt.Sprint(i)), Name: "u"}), Room: "1"})
		}
		synctest.Wait()
		last := crowd[users-1]
		var frame wireConnected
		frame.read(t, last.next())
		if got := len(frame.Data.Active); got != 201 || frame.Data.Count != users || frame.Data.Active[200].ID != users-1 {
			t.Errorf("%d active users of %d, want 200 and oneself at the end", got, frame.Data.Count)
		}
		last.wantIdle(0)
		for _, c := range crowd {
			c.leave(true)
		}
	})
}

// docs/protocol.md §4.2: history, and history as events.
func TestHistory(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		for i := range 5 {
			a.send(message(fmt.Sprint("m", i+1)))
			a.want(`{"type":"message_sent"}`, `{"type":"message"}`)
		}
		b := n.open(Hello{Identity: as(bob), Room: "1", History: 3})
		b.want(`{"type":"connected","data":{"head":5,"history":[{"seq":3,"content":"m3","user_id":1},{"seq":4,"content":"m4"},{"seq":5,"content":"m5"}]}}`)
		a.want(`{"type":"user_joined"}`)
		a.send(message("m6"))
		b.want(`{"type":"message","seq":6}`) // without gap and without overlap
		b.leave(true)

		c := n.open(Hello{Identity: as(chat.User{ID: "3", Name: "Carla"}), Room: "1", History: 2, Replay: true})
		c.want(`{"type":"connected","data":{"head":6,"history":[]}}`)
		for _, want := range []string{"m5", "m6"} {
			got := c.next()
			if !matches(got, `{"type":"message","room":"1","data":{"replay":true,"content":"`+want+`"}}`) || strings.HasPrefix(got, `{"type":"message","room":"1","seq"`) {
				t.Errorf("got %s, want %s as a replay without top-level seq", got, want)
			}
		}
		a.send(message("m7"))
		c.want(`{"type":"message","seq":7}`)
		c.leave(true)
		a.leave(true)
	})
}

// Who joins while another connects is in active_users, and is not announced
// to him again.
func TestJoiningWhileConnecting(t *testing.T) {
	inBubble(t, func(n *node) {
		const posts = 70 // more than a feed reads on opening
		a := n.enter(ana)
		for range posts {
			a.send(message("hola"))
			a.want(`{"type":"message_sent"}`, `{"type":"message"}`)
		}
		a.leave(true)
		time.Sleep(3 * time.Minute) // the feed is closed
		var carla *presence.Visit
		reads := 0
		n.store.before = func(int) {
			if reads++; reads == 2 { // the feed has been opened, and the history is being read
				_, carla = n.Presence.Join("1", chat.User{ID: "3", Name: "Carla"})
			}
		}
		b := n.open(Hello{Identity: as(bob), Room: "1", History: posts})
		b.want(`{"type":"connected","data":{"active_users":[{"username":"Carla"},{"username":"Bob"}]}}`)
		b.wantIdle(time.Minute)
		if carla == nil {
			t.Fatal("nobody joined meanwhile")
		}
		carla.Leave(true)
		b.want(`{"type":"user_left"}`)
		b.leave(true)
	})
}

// What is longer than 192 KiB is cut at its old end.
func TestHistoryIsBoundedInBytes(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		for range 30 {
			a.send(message(strings.Repeat("x", 16000)))
			a.want(`{"type":"message_sent"}`, `{"type":"message"}`)
		}
		b := n.open(Hello{Identity: as(bob), Room: "1", History: 200})
		got := b.next()
		var frame wireConnected
		frame.read(t, got)
		if h := frame.Data.History; len(got) > historyBytes+1000 || len(h) != 12 || h[11].Seq != 30 {
			t.Errorf("connected has %d bytes and %d messages, want the 12 newest that fit into %d", len(got), len(frame.Data.History), historyBytes)
		}
		a.leave(true)
		b.leave(true)
	})
}

// wireConnected is what tests look at in connected.
type wireConnected struct {
	Data struct {
		Active []struct {
			ID int `json:"user_id"`
		} `json:"active_users"`
		Count   int    `json:"active_count"`
		Cursor  string `json:"cursor"`
		History []struct {
			Seq int `json:"seq"`
		} `json:"history"`
	} `json:"data"`
}

func (c *wireConnected) read(t *testing.T, frame string) { unmarshal(t, frame, c) }

func unmarshal(t *testing.T, frame string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(frame), v); err != nil {
		t.Fatalf("frame %q: %v", frame, err)
	}
}

// docs/protocol.md §6.4
func TestResume(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		var cursors []string
		for i := range 4 {
			a.send(message(fmt.Sprint("m", i+1)))
			a.want(`{"type":"message_sent"}`)
			var m struct {
				Epoch string `json:"epoch"`
				Seq   uint64 `json:"seq"`
				Tag   string `json:"tag"`
			}
			unmarshal(t, a.next(), &m)
			cursors = append(cursors, fmt.Sprintf("%s:%d:%s", m.Epoch, m.Seq, m.Tag))
		}
		a.leave(false)
		resume := func(cursor string) *client {
			t.Helper()
			after, err := chat.ParseCursor(cursor)
			if err != nil {
				t.Fatal(err)
			}
			return n.open(Hello{Identity: as(ana), Room: "1", After: &after, History: 2})
		}
		a = resume(cursors[1])
		a.want(`{"type":"connected","data":{"resumed":true,"head":4,"history":[],"cursor":"`+cursors[1]+`"}}`,
			`{"type":"message","seq":3}`, `{"type":"message","seq":4}`)
		a.send(message("m5"))
		a.want(`{"type":"message_sent"}`, `{"type":"message","seq":5}`)
		a.leave(true)
		for name, cursor := range map[string]string{
			"another epoch": "other:2",
			"another tag":   strings.TrimSuffix(cursors[1], cursors[1][len(cursors[1])-8:]) + "00000000",
			"ahead":         strings.Split(cursors[0], ":")[0] + ":6",
		} {
			a = resume(cursor)
			got := a.next()
			if !matches(got, `{"type":"connected","data":{"resumed":false,"gap":{"reason":"epoch","from":1,"to":3},"history":[{"seq":4},{"seq":5}]}}`) {
				t.Errorf("%s: got %s", name, got)
			}
			a.wantIdle(time.Minute)
			a.leave(true)
		}
	})
}

// docs/protocol.md §6.2: what waits behind a message that could not be stored is
// refused with it, so that sending all again keeps their order.
func TestOrderOverAStoreThatFails(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		n.store.fail(store.ErrUnavailable)
		release := n.store.hold()
		posts := []string{"one", "two", "three"}
		for _, content := range posts {
			a.send(message(content))
			synctest.Wait()
		}
		n.store.fail(nil)
		release()
		for range posts {
			a.want(`{"type":"error","code":"store_unavailable","data":{"retryable":true}}`)
		}
		for i, content := range posts {
			a.send(message(content))
			a.want(`{"type":"message_sent"}`, fmt.Sprintf(`{"type":"message","seq":%d,"data":{"content":%q}}`, i+1, content))
		}
		a.leave(true)
	})
}

// docs/protocol.md §6.1: an error that says try again, and the connection
// stays.
func TestStoreThatFails(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.enter(ana)
		n.store.fail(store.ErrUnavailable)
		a.send(`{"type":"message","content":"x","nonce":"n1","id":"r"}`)
		a.want(`{"type":"error","re":"r","code":"store_unavailable","data":{"retryable":true,"retry_after_ms":1000,"nonce":"n1"}}`)
		a.send(`{"type":"ping"}`)
		a.want(`{"type":"pong"}`)

		n.store.fail(store.ErrUnknown) // a batch whose fate nobody knows
		a.send(`{"type":"message","content":"x","nonce":"n2"}`)
		a.after(10*time.Second, `{"type":"error","code":"store_unavailable","data":{"retryable":true,"nonce":"n2"}}`)
		n.store.fail(nil)
		time.Sleep(2 * time.Second) // the batch is run again, and its event published
		a.want(`{"type":"message","seq":1,"data":{"nonce":"n2"}}`)
		a.send(`{"type":"message","content":"x","nonce":"n2"}`)
		a.want(`{"type":"message_sent","data":{"seq":1,"duplicate":true}}`)
		a.send(`{"type":"message","content":"x","nonce":"n1"}`)
		a.want(`{"type":"message_sent","data":{"seq":2}}`, `{"type":"message","seq":2}`)
		a.leave(true)
	})
}

// docs/protocol.md §2.1: why a client is not let in, and whether it should
// come back.
func TestFarewell(t *testing.T) {
	inBubble(t, func(n *node) {
		n.store.fail(store.ErrUnavailable)
		_, unreadable := n.connect(Hello{Identity: as(ana), Room: "1"})
		n.store.fail(store.ErrBroken)
		_, broken := n.connect(Hello{Identity: as(ana), Room: "1"})
		n.store.fail(nil)
		_, missing := n.connect(Hello{Identity: as(ana), Room: "2"})
		n.Hub.Close()
		_, stopping := n.connect(Hello{Identity: as(ana), Room: "1"})
		for _, c := range []struct {
			err    error
			code   chat.Code
			close  wire.CloseCode
			logged bool
		}{
			{unreadable, chat.StoreUnavailable, 4005, true},
			{broken, chat.StoreUnavailable, 4005, true},
			{missing, chat.RoomNotFound, 4504, false},
			{stopping, chat.ShuttingDown, 4000, false},
			{&Refusal{Code: wire.CloseOrigin, Err: chat.Errorf(chat.Forbidden, "no")}, chat.Forbidden, 4511, false},
			{chat.Errorf(chat.Forbidden, "no"), chat.Forbidden, 4503, false},
			{chat.Errorf(chat.Banned, "no"), chat.Banned, 4503, false},
			{chat.Errorf(chat.Unauthenticated, "no"), chat.Unauthenticated, 4501, false},
			{chat.Errorf(chat.TokenExpired, "no"), chat.TokenExpired, 4003, false},
			{chat.Errorf(chat.InvalidRoom, "no"), chat.InvalidRoom, 4500, false},
			{chat.Errorf(chat.ReservedRoom, "no"), chat.ReservedRoom, 4500, false},
			{chat.Errorf(chat.MissingParameter, "no"), chat.MissingParameter, 4500, false},
			{chat.Errorf(chat.InvalidParameter, "no"), chat.InvalidParameter, 4500, false},
			{chat.Errorf(chat.CursorInvalid, "no"), chat.CursorInvalid, 4500, false},
			{errors.New("a secret"), chat.Internal, 1011, true},
		} {
			n.log.Reset()
			told, bye, _ := strings.Cut(strings.TrimPrefix(string(n.Farewell(c.err, "remote", "here")), "\n"), "\n")
			if want := fmt.Sprintf("close %d %s", c.close, c.code); !matches(told, `{"type":"error","code":"`+string(c.code)+`"}`) || bye != want {
				t.Errorf("Farewell(%v) = %s, %q, want code %s and %q", c.err, told, bye, c.code, want)
			}
			if strings.Contains(told, "secret") || (n.log.Len() > 0) != c.logged {
				t.Errorf("Farewell(%v) tells %s and logs %q", c.err, told, &n.log)
			}
		}
		if here := n.Presence.Snapshot("1"); here.Count != 0 {
			t.Errorf("%d users are in the room that nobody was let into", here.Count)
		}
	}, func(c *room.Config) { c.AutoCreate, c.Initial = false, []chat.RoomID{"1"} })
}

func TestByeOfEveryReason(t *testing.T) {
	for reason, want := range map[hub.Reason]string{hub.Slow: "\nclose 4001 ", hub.Rewritten: "\nclose 4004 ", hub.Unreadable: "\nclose 4005 ", hub.Removed: "\nclose 4503 "} {
		if got := string(lines.Bye(reason)); !strings.HasPrefix(got, want) {
			t.Errorf("Bye(%d) = %q, want %q and a reason", reason, got, want)
		}
	}
}
