package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

// subscribed is a dialogue that is subscribed to room 1 at the end of a log.
func subscribed(t *testing.T, head int, opts ...Option) *dialogue {
	t.Helper()
	d := newDialogue(t, opts...)
	d.hello()
	d.p.subscribe("1", subscribeOptions{})
	d.want(`{"type":"subscribe","id":"s1","rooms":[{"room":"1"}]}`)
	d.receive(subscribedJSON("s1", "1", fmt.Sprintf("e1:%d:%08x", head, head), head, ""), caughtUpJSON("1", head))
	return d
}

func (d *dialogue) message(seq int) { d.receive(messageJSON("1", "e1", seq, 2, fmt.Sprint(seq), "")) }

func (d *dialogue) cursor() string { return d.p.rooms["1"].cursor.String() }

func TestCursorMovesWithDurableEvents(t *testing.T) {
	d := subscribed(t, 4)
	d.message(5)
	d.receive(`{"type":"room_painted","room":"1","seq":6,"epoch":"e1","tag":"00000006","data":{"id":106,"user_id":2,"username":"U2","created_at":"2026-11-23T19:00:00.000Z"}}`)
	d.receive(`{"type":"message","room":"1","seq":7,"epoch":"e1","tag":"00000007","data":{"nothing":"legible"}}`)
	if d.cursor() != "e1:7:00000007" || d.p.cause != nil {
		t.Errorf("the client is at %s (%v), want e1:7:00000007: kinds that it does not know move it too", d.cursor(), d.p.cause)
	}
	d.message(7)
	d.receive(`{"type":"skip","room":"1","data":{"to":9}}`, `{"type":"gap","room":"1","data":{"reason":"retention","from":10,"to":12}}`)
	d.message(13)
	if d.cursor() != "e1:13:0000000d" || d.p.cause != nil {
		t.Errorf("the client is at %s (%v), want e1:13:0000000d", d.cursor(), d.p.cause)
	}
	d.cut()
	d.hello()
	d.want(`{"type":"subscribe","id":"s2","rooms":[{"room":"1","after":"e1:13:0000000d"}]}`)
}

// A fault of the server ends the connection, and the client resumes.
func TestFaultsOfTheServer(t *testing.T) {
	for name, frame := range map[string]string{
		"a hole":        messageJSON("1", "e1", 6, 2, "x", ""),
		"another epoch": messageJSON("1", "e2", 5, 2, "x", ""),
		"not JSON":      `nonsense`,
		"no place":      `{"type":"message","room":"1","seq":5,"data":{}}`,
		"second hello":  `{"type":"hello","data":5}`,
	} {
		d := subscribed(t, 4)
		d.receive(frame)
		if w := d.work(); !w.drop {
			t.Errorf("%s: the client goes on", name)
		}
		d.cut()
		d.hello()
		d.want(`{"type":"subscribe","id":"s2","rooms":[{"room":"1","after":"e1:4:00000004"}]}`)
	}
}

func TestUnknownFramesAreIgnored(t *testing.T) {
	d := subscribed(t, 4)
	d.receive(`{"type":"weather","room":"1","data":{}}`, `{"type":"ok","re":"never","data":{}}`, `{"type":"pong","data":{}}`)
	if d.work().drop || d.p.cause != nil {
		t.Errorf("the client complains of %v", d.p.cause)
	}
}

// What was not acknowledged is sent again with its nonces, in order, before
// newer posts; a lost acknowledgement is made good by the own copy.
func TestPostsOverACut(t *testing.T) {
	d := subscribed(t, 0, WithPipeline(2))
	a, b, c := d.post("1", "na", "a"), d.post("1", "nb", "b"), d.post("1", "nc", "c")
	d.want(`{"type":"message","id":"m1","room":"1","nonce":"na","content":"a"}`, `{"type":"message","id":"m2","room":"1","nonce":"nb","content":"b"}`)
	d.wantIdle()
	d.receive(ackJSON("m1", "1", "na", 1))
	d.want(`{"type":"message","id":"m3","room":"1","nonce":"nc","content":"c"}`)
	d.cut()
	d.hello()
	e := d.post("1", "ne", "e")
	d.want(`{"type":"subscribe","id":"s2","rooms":[{"room":"1","after":"e1:0:00000000"}]}`,
		`{"type":"message","id":"m4","room":"1","nonce":"nb","content":"b"}`, `{"type":"message","id":"m5","room":"1","nonce":"nc","content":"c"}`)
	d.receive(subscribedJSON("s2", "1", "e1:0:00000000", 3, `"resumed":true,`), messageJSON("1", "e1", 1, 1, "a", "na"), messageJSON("1", "e1", 2, 1, "b", "nb"))
	if !a.settled || !b.settled || b.err != nil || b.sent.Seq != 2 || !b.sent.Duplicate {
		t.Errorf("the own copy acknowledges %+v, %v", b.sent, b.err)
	}
	d.receive(ackJSON("m5", "1", "nc", 3), ackJSON("m4", "1", "nb", 2))
	d.want(`{"type":"message","id":"m6","room":"1","nonce":"ne","content":"e"}`)
	if !c.settled || e.settled {
		t.Errorf("c is settled: %v, e: %v, want c alone", c.settled, e.settled)
	}
}

// The posts of one room wait for each other, those of another room do not.
func TestRefusedForTheMoment(t *testing.T) {
	d := newDialogue(t)
	d.hello()
	a, _, _ := d.post("1", "na", "a"), d.post("1", "nb", "b"), d.post("2", "nc", "c")
	d.want(`{"type":"message","id":"m1","room":"1","nonce":"na","content":"a"}`, `{"type":"message","id":"m2","room":"2","nonce":"nc","content":"c"}`)
	d.receive(refusalJSON("m1", "1", chat.RateLimited, true))
	d.wantIdle()
	if a.mayBeStored() {
		t.Error("a post that was refused by rate may be stored")
	}
	d.pass(500 * time.Millisecond)
	d.want(`{"type":"message","id":"m3","room":"1","nonce":"na","content":"a"}`)
	d.receive(refusalJSON("m3", "1", chat.StoreUnavailable, true))
	if !a.mayBeStored() {
		t.Error("a post whose outcome is unknown cannot be stored")
	}
	d.receive(refusalJSON("m2", "2", chat.Forbidden, false))
	d.pass(time.Second)
	d.want(`{"type":"message","id":"m4","room":"1","nonce":"na","content":"a"}`)
	d.pass(10 * time.Minute)
	if !errors.Is(a.err, ErrExpired) || !errors.Is(a.err, ErrUnknown) {
		t.Errorf("after 10 minutes the post failed with %v, want expired and unknown", a.err)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	d := newDialogue(t, WithOutbox(2, -1))
	d.post("1", "na", "a")
	d.post("1", "nb", "b")
	if o := d.post("1", "nc", "c"); !errors.Is(o.err, ErrOutboxFull) {
		t.Errorf("a third post failed with %v, want %v", o.err, ErrOutboxFull)
	}
	d.pass(1000 * time.Hour)
	if len(d.p.outbox) != 2 {
		t.Errorf("%d posts are left, want 2: they wait for ever", len(d.p.outbox))
	}
}

// Requests are asked again after a cut, save pings.
func TestRequestsOverACut(t *testing.T) {
	d := newDialogue(t)
	d.hello()
	encode := func(b []byte, id string) []byte {
		return appendHistory(b, id, "1", HistoryQuery{forward: true, after: 3, limit: 2})
	}
	r := &request{prefix: "h", encode: encode, done: make(chan struct{})}
	ping := &request{prefix: "p", once: true, encode: encode, done: make(chan struct{})}
	d.p.ask(r)
	d.p.ask(ping)
	d.want(`{"type":"history","id":"h1","room":"1","after":3,"limit":2}`, `{"type":"history","id":"p1","room":"1","after":3,"limit":2}`)
	d.cut()
	d.hello()
	if !errors.Is(ping.err, ErrOffline) {
		t.Errorf("the ping ended with %v, want %v", ping.err, ErrOffline)
	}
	d.want(`{"type":"history","id":"h2","room":"1","after":3,"limit":2}`)
	d.receive(refusalJSON("h2", "1", chat.StoreUnavailable, true))
	d.wantIdle()
	d.pass(time.Second)
	d.want(`{"type":"history","id":"h3","room":"1","after":3,"limit":2}`)
	d.receive(`{"type":"history","re":"h3","room":"1","epoch":"e1","data":{"head":4,"earlier":true,"later":false,"events":[` + messageJSON("1", "e1", 4, 2, "x", "") + `]}}`)
	if in, ok := r.in.(historyFrame); !ok || len(in.page.Events) != 1 || !in.page.Earlier || r.err != nil {
		t.Errorf("the answer is %+v, %v", r.in, r.err)
	}
}

// How long the client waits before it comes back: protocol.md §6.4.
func TestWaits(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(d *dialogue)
		wait time.Duration
	}{
		{"first failure", func(d *dialogue) { d.lose() }, 500 * time.Millisecond},
		{"third failure", func(d *dialogue) { d.cut(); d.cut(); d.lose() }, 2 * time.Second},
		{"a connection that did not stand", func(d *dialogue) { d.cut(); d.hello(); d.pass(9 * time.Second); d.lose() }, time.Second},
		{"a connection that stood", func(d *dialogue) {
			d.cut()
			d.hello()
			for range 10 {
				d.pass(time.Second)
				d.receive(`{"type":"pong","data":{}}`)
			}
			d.lose()
		}, 500 * time.Millisecond},
		{"reconnect", func(d *dialogue) {
			d.hello()
			d.receive(`{"type":"reconnect","data":{"after_ms":1480,"reason":"restart"}}`)
			d.p.lost(d.now, &CloseError{Code: 4000})
		}, 1980 * time.Millisecond},
		{"reason of the close", func(d *dialogue) { d.p.lost(d.now, &CloseError{4000, "restart; retry in 700 ms"}) }, 1200 * time.Millisecond},
		{"too long a reason", func(d *dialogue) { d.p.lost(d.now, &CloseError{4000, "restart; retry in 7000000 ms"}) }, 5*time.Minute + 500*time.Millisecond},
		{"Retry-After", func(d *dialogue) { d.p.lost(d.now, &HandshakeError{Status: 503, RetryAfter: 3 * time.Second}) }, 3500 * time.Millisecond},
	} {
		d := newDialogue(t)
		test.do(d)
		if got := d.p.status.RetryAt.Sub(d.now); d.p.status.State != Waiting || got != test.wait {
			t.Errorf("%s: %v for %v, want %v", test.name, d.p.status.State, got, test.wait)
		}
	}
}

// An expired credential is asked for again once in a row.
func TestExpiredCredential(t *testing.T) {
	d := newDialogue(t)
	d.p.lost(d.now, &CloseError{Code: 4003})
	d.now = d.p.status.RetryAt
	d.open()
	d.hello()
	d.pass(time.Hour)
	d.p.lost(d.now, &CloseError{Code: 4003})
	if d.p.status.State != Waiting {
		t.Fatalf("after an hour the client is %v, want waiting", d.p.status.State)
	}
	d.now = d.p.status.RetryAt
	d.open()
	d.receive(refusalJSON("", "", chat.TokenExpired, true))
	d.p.lost(d.now, &CloseError{Code: 4003})
	if r, ok := errors.AsType[*RefusedError](d.p.status.Err); d.p.status.State != Closed || !ok || r.Code != 4003 {
		t.Errorf("after two in a row the client is %v, %v, want closed", d.p.status.State, d.p.status.Err)
	}
}

// A dead network is noticed within 35 s.
func TestLiveness(t *testing.T) {
	d := subscribed(t, 0)
	d.pass(12 * time.Second)
	if d.p.pingAt.IsZero() {
		t.Fatal("no ping after 12 s of silence")
	}
	d.now = d.now.Add(10 * time.Second)
	if !d.work().drop {
		t.Error("the client does not notice 22 s of silence")
	}
	d = newDialogue(t)
	d.now = d.now.Add(greetingWait)
	if !d.work().drop {
		t.Error("the client waits for hello for ever")
	}
}

func TestOffline(t *testing.T) {
	d := subscribed(t, 3)
	d.p.goOffline()
	if !d.work().drop {
		t.Error("the connection is not cut")
	}
	d.lose()
	d.pass(time.Hour)
	if d.p.status.State != Offline {
		t.Fatalf("the client is %v, want offline", d.p.status.State)
	}
	d.p.hurry()
	d.open()
	d.hello()
	d.want(`{"type":"subscribe","id":"s2","rooms":[{"room":"1","after":"e1:3:00000003"}]}`)
}

// Many rooms are subscribed to a hundred at a time; the refusal of one does
// not touch the others, one for the moment is tried again.
func TestSubscribeMany(t *testing.T) {
	d := newDialogue(t)
	for i := range 250 {
		d.p.subscribe(chat.RoomID(fmt.Sprintf("r%03d", i)), subscribeOptions{presence: PresenceNone})
	}
	d.hello()
	d.work()
	if len(d.out) != 3 || strings.Count(d.out[0], `"room"`) != 100 || strings.Count(d.out[2], `"room"`) != 50 {
		t.Fatalf("%d frames subscribe to 250 rooms", len(d.out))
	}
	d.out = nil
	d.receive(subscribedJSON("s1", "r000", "e1:0", 0, ""), refusalJSON("s1", "r001", chat.RoomNotFound, false), refusalJSON("s1", "r002", chat.StoreUnavailable, true),
		`{"type":"ok","re":"s1","room":"r003","data":{}}`, refusalJSON("s2", "", chat.RateLimited, true))
	for room, live := range map[chat.RoomID]bool{"r000": true, "r001": false, "r002": false, "r003": true, "r150": false} {
		if d.p.rooms[room].live != live {
			t.Errorf("room %s is live: %v, want %v", room, !live, live)
		}
	}
	if hasErr := d.p.rooms["r001"].err; hasErr == nil || d.p.rooms["r001"].wanted {
		t.Error("a room that is not there is tried again")
	}
	d.wantIdle()
	d.pass(time.Second)
	d.work()
	if len(d.out) != 2 || strings.Count(d.out[0]+d.out[1], `"room"`) != 101 || !strings.Contains(d.out[0], `"r002"`) {
		t.Errorf("after the wait %d frames come: %.200q", len(d.out), d.out)
	}
}

// Removal ends the subscription, and no reconnect brings it back.
func TestRemoved(t *testing.T) {
	d := subscribed(t, 3)
	d.receive(`{"type":"unsubscribed","room":"1","data":{"reason":"removed"}}`)
	if _, ok := errors.AsType[*RemovedError](d.p.rooms["1"].err); !ok {
		t.Errorf("the subscription ends with %v", d.p.rooms["1"].err)
	}
	d.cut()
	d.hello()
	d.wantIdle()
}

func TestPresence(t *testing.T) {
	d := newDialogue(t)
	d.hello()
	d.p.subscribe("1", subscribeOptions{presence: PresenceList})
	d.work()
	d.receive(subscribedJSON("s1", "1", "e1:0", 0, `"presence":{"version":3,"count":2,"users":[{"id":"1","name":"Juan"},{"id":"2","name":"Bob"}]},`))
	s := d.p.rooms["1"]
	for _, step := range []struct{ frame, want string }{
		{`{"type":"presence_diff","room":"1","data":{"version":3,"joined":[{"id":"9","name":"Old"}],"left":[]}}`, "2 [{1 Juan} {2 Bob}]"},
		{`{"type":"presence_diff","room":"1","data":{"version":4,"joined":[{"id":"3","name":"Eva"}],"left":[]}}`, "3 [{1 Juan} {2 Bob} {3 Eva}]"},
		{`{"type":"presence_diff","room":"1","data":{"version":5,"joined":[],"left":[{"id":"2","name":"Bob"}],"count":2}}`, "2 [{1 Juan} {3 Eva}]"},
		{`{"type":"presence_diff","room":"1","data":{"count":412}}`, "412 [{1 Juan} {3 Eva}]"},
	} {
		d.receive(step.frame)
		if got := fmt.Sprint(s.presence.Count, " ", s.presence.Users); got != step.want {
			t.Errorf("after %s: %s, want %s", step.frame, got, step.want)
		}
	}
}

func TestTyping(t *testing.T) {
	d := subscribed(t, 0)
	on, off := `{"type":"typing","room":"1","is_typing":true}`, `{"type":"typing","room":"1","is_typing":false}`
	d.p.setTyping(d.now, "1", true)
	d.want(on)
	d.p.setTyping(d.now, "1", true)
	d.wantIdle()
	d.pass(typingRepeat)
	d.p.setTyping(d.now, "1", true)
	d.p.setTyping(d.now, "1", false)
	d.want(off)
	d.lose()
	d.p.setTyping(d.now, "1", true)
	d.comeBack()
	d.hello()
	d.want(`{"type":"subscribe","id":"s2","rooms":[{"room":"1","after":"e1:0:00000000"}]}`)
	d.wantIdle()
}

// Each attempt goes to the next server, with a credential of its own.
func TestTargets(t *testing.T) {
	asked := 0
	o, err := newOptions("ws://a:1/base/", []Option{WithServers("https://b"), WithToken(func(context.Context) (string, error) {
		asked++
		return fmt.Sprint("token", asked), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"ws://a:1/base/ws Bearer token1", "wss://b/ws Bearer token2", "ws://a:1/base/ws Bearer token3"} {
		u, header, err := o.target(t.Context(), i)
		if got := fmt.Sprint(u, " ", header.Get("Authorization")); got != want || err != nil {
			t.Errorf("attempt %d goes to %s, %v, want %s", i, got, err, want)
		}
	}
	o, _ = newOptions("ws://a", []Option{WithTicket(func(context.Context) (string, error) { return "t+1", nil }), WithUser(chat.User{ID: "1", Name: "Ñ"})})
	if u, _, err := o.target(t.Context(), 0); err != nil || u.String() != "ws://a/ws?ticket=t%2B1&user_id=1&username=%C3%91" {
		t.Errorf("with a ticket the target is %s, %v", u, err)
	}
	for _, bad := range []string{"", "localhost:8000", "ftp://x", "ws://", "ws://u:p@x", "ws://x?y=1", "ws://x#y", "ws://x y"} {
		if _, err := newOptions(bad, nil); err == nil {
			t.Errorf("%q is taken for a server", bad)
		}
	}
}
