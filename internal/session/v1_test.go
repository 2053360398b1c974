package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/room"
	"tertulia/internal/schematest"
	"tertulia/wire"
)

var linesV1 = hub.Dialect{Profile: hub.V1, Bye: lines.Bye, Ended: func(dst []byte, s *hub.Sub) []byte { return Ended(dst, s, lines.Text) }}

// connectV1 opens a session of v1 as a handshake does.
func (n *node) connectV1(hello HelloV1) (*client, error) {
	n.t.Helper()
	c, at := n.client(schematest.V1), n.nodes.next(n)
	c.conn = at.Hub.Connect(c.pipe, hello.User.ID, &linesV1)
	s, err := at.OpenV1(context.Background(), c.conn, hello)
	if err != nil {
		c.conn.Close(n.Farewell(err))
		return c, err
	}
	c.begin(n, s)
	return c, nil
}

// dial connects a user without a room, and takes hello.
func (n *node) dial(user chat.User) *client {
	n.t.Helper()
	return n.dialAs(HelloV1{Identity: as(user)})
}

func (n *node) dialAs(hello HelloV1) *client {
	n.t.Helper()
	c, err := n.connectV1(hello)
	if err != nil {
		n.t.Fatalf("OpenV1: %v", err)
	}
	c.want(`{"type":"hello","data":{"user":{"id":"` + string(hello.User.ID) + `"}}}`)
	return c
}

// subscribe enters a room and takes what comes with that.
func (c *client) subscribe(room string) {
	c.t.Helper()
	c.send(`{"type":"subscribe","rooms":[{"room":"` + room + `"}]}`)
	c.want(`{"type":"subscribed","room":"`+room+`"}`, `{"type":"caught_up","room":"`+room+`"}`)
}

// docs/protocol.md §12.3, §14.1, §15.1
func TestV1Hello(t *testing.T) {
	inBubble(t, func(n *node) {
		n.Server, n.Heartbeat, n.Inbox = "tertulia/test", 25*time.Second, nil
		a, err := n.connectV1(HelloV1{Identity: as(ana)})
		if err != nil {
			t.Fatal(err)
		}
		a.want(`{"type":"hello","data":{"server":"tertulia/test","user":{"id":"1","name":"Ana"},"limits":{"rooms":1000,"rooms_per_command":100},"features":["edit","delete","history","presence","receipts","typing"],"heartbeat_ms":25000}}`)
		a.wantIdle(time.Minute)
		a.send(`{"type":"hello","id":"h","client":"test","cursors":{"1":"` + n.Rooms.Log().Epoch() + `:0","stats":"x:0"}}`)
		a.want(`{"type":"error","re":"h","code":"reserved_room"}`)
		a.send(`{"type":"hello","id":"h","cursors":{"1":"` + n.Rooms.Log().Epoch() + `:0","2":"elsewhere:7"}}`)
		a.want(`{"type":"hello","re":"h"}`)
		a.wantAll( // rooms have no order between them
			`{"type":"subscribed","re":"h","room":"1","data":{"resumed":true,"head":0}}`, `{"type":"subscribed","re":"h","room":"2","data":{"resumed":false,"gap":{"reason":"epoch"}}}`,
			`{"type":"caught_up","room":"1","data":{"seq":0}}`, `{"type":"caught_up","room":"2","data":{"seq":0}}`)
		a.send(`{"type":"ping","id":"p","t":1}`, `{"type":"message","nonce":"n","content":"where?"}`, `{"type":"subscribe","id":"i","rooms":[{"room":"inbox"}]}`)
		a.want(`{"type":"pong","re":"p","data":{"t":1}}`, `{"type":"error","code":"invalid_event","data":{"nonce":"n"}}`, `{"type":"error","re":"i","room":"inbox","code":"room_not_found"}`)
		a.leave(true)
	})
}

// wantAll takes as many frames as are wanted, in any order.
func (c *client) wantAll(frames ...string) {
	c.t.Helper()
	missing := frames
	for range frames {
		got := c.next()
		i := 0
		for i < len(missing) && !matches(got, missing[i]) {
			i++
		}
		if i == len(missing) {
			c.t.Fatalf("got %q, want one of %q", got, missing)
		}
		missing = append(append([]string{}, missing[:i]...), missing[i+1:]...)
	}
}

// docs/protocol.md §14.2, §16: both profiles in one room.
func TestV1Conversation(t *testing.T) {
	inBubble(t, func(n *node) {
		seed := n.enter(bob)
		a := n.dial(ana)
		a.send(`{"type":"subscribe","id":"s","rooms":[{"room":"1","history":5,"presence":"list","receipts":true}]}`)
		a.want(`{"type":"subscribed","re":"s","room":"1","data":{"head":0,"settings":{"access":"open"},"my":{"state":"none","role":"member","unread":0,"up_to":0},"presence":{"count":2,"users":[{"id":"2"},{"id":"1"}]},"receipts":[],"history":[]}}`,
			`{"type":"caught_up","room":"1","data":{"seq":0}}`)
		seed.want(`{"type":"user_joined","data":{"user_id":1}}`)
		a.send(`{"type":"subscribe","id":"again","rooms":[{"room":"1"}]}`)
		a.want(`{"type":"ok","re":"again","room":"1","data":{}}`)

		a.send(`{"type":"message","id":"m","room":"1","nonce":"a1","content":"Ola"}`)
		a.want(`{"type":"message_sent","re":"m","message_id":1,"room":"1","data":{"seq":1,"nonce":"a1"}}`, `{"type":"message","room":"1","seq":1,"data":{"id":1,"user_id":1,"content":"Ola","nonce":"a1"}}`)
		seed.want(`{"type":"message","seq":1,"data":{"content":"Ola"}}`)
		a.send(`{"type":"edit","id":"e","room":"1","message_id":1,"content":"Hola","nonce":"a2","if_changed":0}`)
		a.want(`{"type":"ok","re":"e","room":"1","data":{"seq":2,"message_id":1,"nonce":"a2"}}`, `{"type":"message_edited","room":"1","seq":2,"data":{"target_seq":1,"message_id":1,"content":"Hola"}}`)
		a.send(`{"type":"edit","id":"e","room":"1","message_id":1,"content":"Hola","nonce":"a2","if_changed":0}`)
		a.want(`{"type":"ok","re":"e","room":"1","data":{"seq":2,"duplicate":true}}`)
		a.send(`{"type":"edit","id":"e","room":"1","message_id":1,"content":"x","nonce":"a3","if_changed":0}`,
			`{"type":"delete","id":"d","room":"1","message_id":99}`, `{"type":"edit","id":"b","room":"1","message_id":1,"content":" "}`)
		a.want(`{"type":"error","re":"e","room":"1","code":"version_conflict","data":{"nonce":"a3"}}`, `{"type":"error","re":"d","room":"1","code":"message_not_found"}`, `{"type":"error","re":"b","code":"empty_content"}`)

		seed.send(message("Buenas"))
		seed.want(`{"type":"message_sent","data":{"seq":3}}`, `{"type":"message","seq":3}`) // and no edit
		a.want(`{"type":"message","seq":3,"data":{"user_id":2}}`)
		a.send(`{"type":"delete","id":"d","room":"1","message_id":3}`)
		a.want(`{"type":"error","re":"d","code":"forbidden"}`)
		a.send(`{"type":"delete","id":"d","room":"1","message_id":1,"reason":"typo"}`)
		a.want(`{"type":"ok","re":"d","data":{"seq":4,"message_id":1}}`, `{"type":"message_deleted","seq":4,"data":{"target_seq":1,"reason":"typo"}}`)
		seed.wantIdle(0)

		a.send(`{"type":"history","id":"h","room":"1"}`)
		a.want(`{"type":"history","re":"h","room":"1","data":{"head":4,"earlier":false,"later":false,"events":[{"type":"message","seq":1,"data":{"changed":4,"deleted":true}},{"type":"message_edited","seq":2},{"type":"message","seq":3},{"type":"message_deleted","seq":4}]}}`)
		a.send(`{"type":"history","room":"1","only":"messages","before":3,"limit":1}`, `{"type":"history","room":"1","after":1,"limit":1}`, `{"type":"history","room":"1","around":2,"limit":1}`)
		a.want(`{"type":"history","data":{"events":[{"seq":1}],"earlier":false,"later":true}}`, `{"type":"history","data":{"events":[{"seq":2}],"earlier":true,"later":true}}`, `{"type":"history","data":{"events":[{"seq":2}]}}`)

		a.send(`{"type":"unsubscribe","id":"u","rooms":["1","2"]}`)
		a.want(`{"type":"unsubscribed","re":"u","room":"1","data":{"reason":"asked"}}`, `{"type":"error","re":"u","room":"2","code":"not_subscribed"}`)
		seed.want(`{"type":"user_left","data":{"user_id":1}}`)
		seed.send(message("sola"))
		a.wantIdle(time.Minute)
		a.send(`{"type":"message","id":"m","room":"1","nonce":"a9","content":"needs no subscription"}`)
		a.want(`{"type":"message_sent","re":"m","data":{"seq":6}}`)
		a.leave(true)
		seed.leave(true)
	})
}

// docs/protocol.md §6.4, §14.3: what was missed comes in its place, and
// caught_up after it.
func TestV1Resume(t *testing.T) {
	inBubble(t, func(n *node) {
		b := n.dialAs(HelloV1{Identity: as(bob), Room: "1"})
		b.want(`{"type":"subscribed","room":"1"}`, `{"type":"caught_up"}`)
		a := n.dial(ana)
		a.subscribe("1")
		b.want(`{"type":"presence_diff","room":"1","data":{"joined":[{"id":"1","name":"Ana"}],"left":[]}}`)
		b.send(`{"type":"message","nonce":"1","content":"uno"}`)
		var cursor string
		for f := a.next(); f != ""; f = a.next() {
			cursor = cursorOf(t, f)
		}
		a.leave(false)
		b.send(`{"type":"message","nonce":"2","content":"dos"}`, `{"type":"edit","message_id":1,"content":"UNO"}`)
		synctest.Wait()
		a = n.dial(ana)
		a.send(`{"type":"subscribe","rooms":[{"room":"1","after":"` + cursor + `"}]}`)
		a.want(`{"type":"subscribed","data":{"resumed":true,"head":3,"cursor":"`+cursor+`","history":[],"my":{"unread":2,"up_to":3}}}`,
			`{"type":"message","seq":2}`, `{"type":"message_edited","seq":3}`, `{"type":"caught_up","data":{"seq":3}}`)
		a.leave(true)
		b.leave(true)
	})
}

// cursorOf returns the cursor after a frame.
func cursorOf(t *testing.T, frame string) string {
	t.Helper()
	f := decoded(t, frame)
	return fmt.Sprintf("%s:%.0f:%s", f["epoch"], f["seq"], f["tag"])
}

// docs/protocol.md §15.6, §17.1, §17.2
func TestV1TypingAndPresence(t *testing.T) {
	inBubble(t, func(n *node) {
		a, b, quiet := n.dial(ana), n.dial(bob), n.dial(chat.User{ID: "3", Name: "Carla"})
		quiet.send(`{"type":"subscribe","rooms":[{"room":"1","presence":"none"}]}`)
		quiet.want(`{"type":"subscribed"}`, `{"type":"caught_up"}`)
		b.subscribe("1")
		a.send(`{"type":"typing","room":"1","is_typing":true}`, `{"type":"presence","id":"p","room":"1"}`)
		a.want(`{"type":"error","room":"1","code":"not_subscribed"}`, `{"type":"error","re":"p","code":"not_subscribed"}`)
		a.subscribe("1")
		b.want(`{"type":"presence_diff","data":{"joined":[{"id":"1"}]}}`)
		a.send(`{"type":"presence","id":"p","room":"1"}`, `{"type":"typing","id":"t","room":"1","is_typing":true}`)
		a.want(`{"type":"presence","re":"p","room":"1","data":{"count":3,"users":[{"id":"3","name":"Carla"},{"id":"2"},{"id":"1"}]}}`, `{"type":"ok","re":"t","room":"1"}`)
		b.want(`{"type":"typing","room":"1","data":{"user":{"id":"1","name":"Ana"},"is_typing":true,"expires_in_ms":8000}}`)
		b.after(8*time.Second, `{"type":"typing","data":{"is_typing":false}}`)
		a.send(`{"type":"typing","room":"1","is_typing":true}`)
		b.want(`{"type":"typing","data":{"is_typing":true}}`)
		a.send(`{"type":"unsubscribe","rooms":["1"]}`)
		a.want(`{"type":"unsubscribed"}`)
		// From another node they come by two ways, with no order between them.
		b.wantAll(`{"type":"typing","data":{"is_typing":false}}`, `{"type":"presence_diff","data":{"joined":[],"left":[{"id":"1"}]}}`)
		quiet.want(`{"type":"typing"}`, `{"type":"typing"}`, `{"type":"typing"}`, `{"type":"typing"}`)
		quiet.wantIdle(time.Minute) // no presence
		for _, c := range []*client{a, b, quiet} {
			c.leave(true)
		}
	})
}

// docs/protocol.md §15.7, §17.3
func TestV1Receipts(t *testing.T) {
	inBubble(t, func(n *node) {
		a, b := n.dial(ana), n.dial(bob)
		a.subscribe("1")
		b.subscribe("1")
		a.want(`{"type":"presence_diff"}`)
		for i := range 3 {
			a.send(fmt.Sprintf(`{"type":"message","room":"1","nonce":"%d","content":"x"}`, i))
			a.want(`{"type":"message_sent"}`, `{"type":"message"}`)
			b.want(`{"type":"message"}`)
		}
		b.send(`{"type":"delivered","room":"1","up_to":3}`)
		time.Sleep(time.Second)
		b.wantIdle(0) // without an id there is no answer
		a.want(`{"type":"receipt","data":{"user":{"id":"2"},"delivered":3}}`)
		b.send(`{"type":"read","id":"r","room":"1","up_to":2}`)
		time.Sleep(time.Second)
		b.want(`{"type":"ok","re":"r","room":"1","data":{"read":2,"delivered":3}}`)
		a.want(`{"type":"receipt","room":"1","data":{"user":{"id":"2"},"read":2,"delivered":3}}`)
		b.send(`{"type":"read","id":"r","room":"1","up_to":1}`)
		time.Sleep(time.Second)
		b.want(`{"type":"ok","re":"r","data":{"read":2,"delivered":3}}`)
		b.send(`{"type":"read","id":"r","room":"1","up_to":99,"private":true}`)
		time.Sleep(time.Second)
		b.want(`{"type":"ok","re":"r","data":{"read":3,"delivered":3,"private":true}}`)
		a.wantIdle(time.Minute)
		b.send(`{"type":"read","room":"1","up_to":-1}`)
		b.want(`{"type":"error","room":"1","code":"invalid_event"}`)
		a.send(`{"type":"unsubscribe","rooms":["1"]}`, `{"type":"subscribe","rooms":[{"room":"1","receipts":true}]}`)
		a.want(`{"type":"unsubscribed"}`, `{"type":"subscribed","data":{"receipts":[],"my":{"read":0,"unread":3,"up_to":3}}}`, `{"type":"caught_up"}`)
		a.leave(true)
		b.leave(true)
	})
}

// docs/protocol.md §14.4: the subscription ends with the removal, and the
// connection stays.
func TestV1Removal(t *testing.T) {
	inBubble(t, func(n *node) {
		ctx := context.Background()
		service := chat.Principal{Service: true}
		if _, err := n.Rooms.Create(ctx, service, room.Create{Room: "taller", Settings: chat.Settings{Access: chat.AccessPrivate, Title: "Taller"}, Members: []chat.User{ana, bob}}); err != nil {
			t.Fatal(err)
		}
		a, b := n.dial(ana), n.dial(bob)
		a.send(`{"type":"subscribe","rooms":[{"room":"taller"}]}`)
		a.want(`{"type":"subscribed","data":{"settings":{"access":"private","title":"Taller","members":2},"my":{"state":"joined","role":"member"}}}`, `{"type":"caught_up"}`)
		b.subscribe("taller")
		a.want(`{"type":"presence_diff"}`)
		if err := n.Rooms.Remove(ctx, service, "taller", bob.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		b.want(`{"type":"member_removed","room":"taller","data":{"member":{"user_id":"2","state":"none"},"reason":"enough"}}`, `{"type":"unsubscribed","room":"taller","data":{"reason":"removed"}}`)
		a.wantAll(`{"type":"member_removed"}`, `{"type":"presence_diff","data":{"left":[{"id":"2"}]}}`)
		b.send(`{"type":"message","room":"taller","nonce":"1","content":"x"}`, `{"type":"subscribe","rooms":[{"room":"taller"}]}`, `{"type":"history","room":"taller"}`)
		b.want(`{"type":"error","code":"room_not_found"}`, `{"type":"error","room":"taller","code":"room_not_found"}`, `{"type":"error","code":"room_not_found"}`)
		a.send(`{"type":"message","room":"taller","nonce":"1","content":"x"}`)
		b.wantIdle(time.Minute)
		if _, err := n.connectV1(HelloV1{Identity: as(bob), Room: "taller"}); asError(err).Code != chat.RoomNotFound {
			t.Errorf("OpenV1 of a removed user: %v, want room_not_found", err)
		}
		a.leave(true)
		b.leave(true)
	})
}

// docs/protocol.md §12.5, §15.2
func TestV1Expiry(t *testing.T) {
	inBubble(t, func(n *node) {
		verify := func(_ context.Context, token string) (Identity, error) {
			switch token {
			case "other":
				return as(bob), nil
			case "bad":
				return Identity{}, chat.Errorf(chat.Unauthenticated, "no")
			}
			id := as(ana)
			id.ExpiresAt = time.Now().Add(time.Hour)
			return id, nil
		}
		id, _ := verify(context.Background(), "good")
		a := n.dialAs(HelloV1{Identity: id, Verify: verify})
		time.Sleep(50 * time.Minute)
		a.send(`{"type":"auth","id":"1","token":"other"}`, `{"type":"auth","id":"2","token":"bad"}`, `{"type":"auth","id":"3","token":"good"}`)
		a.want(`{"type":"error","re":"1","code":"forbidden"}`, `{"type":"error","re":"2","code":"unauthenticated"}`, `{"type":"ok","re":"3","data":{"expires_at":"2000-01-01T01:50:00.000Z"}}`)
		a.wantIdle(time.Hour - 1)
		time.Sleep(1)
		a.want(`{"type":"error","code":"token_expired"}`, "close 4003 token_expired")
		a.leave(false)

		b := n.dial(bob)
		b.send(`{"type":"auth","token":"good"}`)
		b.want(`{"type":"error","code":"forbidden"}`)
		b.leave(true)
	})
}

// docs/protocol.md §20: a revocation ends sessions of both profiles, at once
// when it is heard of and within 10 s otherwise.
func TestRevocation(t *testing.T) {
	inBubble(t, func(n *node) {
		var void atomic.Value // chat.UserID
		var stopped atomic.Int32
		var mu sync.Mutex
		heard := map[chat.UserID][]func(Revocation){}
		doubts := map[chat.UserID]func(){}
		began := time.Now()
		n.Watch = NewWatch(func(_ context.Context, ids []Identity) []error {
			errs := make([]error, len(ids))
			for i, id := range ids {
				errs[i] = errors.New("the store is away")
				if id.User.ID == void.Load() {
					errs[i] = chat.Errorf(chat.Unauthenticated, "void")
				}
			}
			return errs
		}, func(user chat.UserID, h func(Revocation), doubt func()) func() {
			mu.Lock()
			defer mu.Unlock()
			heard[user] = append(heard[user], h)
			doubts[user] = doubt
			return func() { stopped.Add(1) }
		})
		revoke := func(user chat.UserID, r Revocation) {
			mu.Lock()
			defer mu.Unlock()
			for _, h := range heard[user] {
				h(r)
			}
		}
		defer n.Watch.Close()
		issued := func(u chat.User, token string) Identity {
			id := as(u)
			id.IssuedAt, id.TokenID = time.Now(), token
			return id
		}
		a, b := n.dialAs(HelloV1{Identity: issued(ana, "t1")}), n.open(Hello{Identity: issued(bob, "t2"), Room: "1"})
		b.want(`{"type":"connected"}`)
		other := n.dialAs(HelloV1{Identity: issued(ana, "t3")})
		revoke(ana.ID, Revocation{TokenID: "t1"})
		a.want(`{"type":"error","code":"unauthenticated"}`, "close 4501 unauthenticated")
		revoke(ana.ID, Revocation{Before: time.Now()}) // issued at that instant, not before
		other.wantIdle(9 * time.Second)
		void.Store(bob.ID)
		time.Sleep(10 * time.Second)
		b.want(`{"type":"error","code":"unauthenticated"}`, "close 4501 unauthenticated")
		other.wantIdle(time.Minute)
		barred := n.dialAs(HelloV1{Identity: issued(chat.User{ID: "9", Name: "Eva"}, "t4")})
		revoke("9", Revocation{Disabled: true, Before: time.Now()}) // whenever the token was issued
		barred.want(`{"type":"error","code":"forbidden"}`, "close 4503 forbidden")
		time.Sleep(recheckEvery - time.Since(began)%recheckEvery + time.Second) // no look comes by itself now
		void.Store(ana.ID)
		for range 3 {
			mu.Lock()
			doubts[ana.ID]()
			mu.Unlock()
		}
		other.wantIdle(doubtWait - 1)
		time.Sleep(1)
		other.want(`{"type":"error","code":"unauthenticated"}`, "close 4501 unauthenticated")
		for _, c := range []*client{a, b, other, barred} {
			c.leave(false)
		}
		if got := stopped.Load(); got != 4 {
			t.Errorf("%d of 4 sessions listen no more", got)
		}
	})
}

// docs/protocol.md §20: 1,000 subscriptions, and all of them resumed.
func TestV1ManyRooms(t *testing.T) {
	inBubble(t, func(n *node) {
		a, b := n.dial(ana), n.dial(bob)
		for first := 0; first < MaxSubscriptions; first += wire.MaxRooms {
			a.send(subscribeTo(first, wire.MaxRooms, func(int) string { return "" }))
		}
		if got := len(a.frames(`{"type":"subscribed"}`)); got != MaxSubscriptions {
			t.Fatalf("%d rooms were subscribed to, want %d", got, MaxSubscriptions)
		}
		a.send(subscribeTo(MaxSubscriptions, 1, func(int) string { return "" }))
		a.want(`{"type":"error","room":"r1000","code":"too_many_rooms"}`)
		// One that is refused takes no place from those behind it.
		if err := n.Rooms.Ban(context.Background(), chat.Principal{Service: true}, "no", ana, ""); err != nil {
			t.Fatal(err)
		}
		a.send(`{"type":"unsubscribe","rooms":["r0"]}`, `{"type":"subscribe","rooms":[{"room":"no"},{"room":"r0"},{"room":"r1000"}]}`)
		a.want(`{"type":"unsubscribed","room":"r0"}`, `{"type":"error","room":"no","code":"banned"}`)
		a.wantAll(`{"type":"subscribed","room":"r0"}`, `{"type":"caught_up","room":"r0"}`, `{"type":"error","room":"r1000","code":"too_many_rooms"}`)
		a.leave(true)
		for i := range MaxSubscriptions {
			b.send(fmt.Sprintf(`{"type":"message","room":"r%d","nonce":"n","content":"x"}`, i))
		}
		synctest.Wait()
		a = n.dial(ana)
		for first := 0; first < MaxSubscriptions; first += wire.MaxRooms {
			a.send(subscribeTo(first, wire.MaxRooms, func(int) string { return `,"after":"` + n.Rooms.Log().Epoch() + `:0","presence":"none"` }))
		}
		all := a.frames(`{}`)
		counts := map[any]int{}
		for _, f := range all {
			counts[decoded(t, f)["type"]]++
		}
		for _, typ := range []string{"subscribed", "message", "caught_up"} {
			if counts[typ] != MaxSubscriptions {
				t.Errorf("%d frames %s, want %d", counts[typ], typ, MaxSubscriptions)
			}
		}
		a.leave(true)
		b.leave(true)
	})
}

// subscribeTo is a command for n rooms from the first on.
func subscribeTo(first, n int, more func(i int) string) string {
	var rooms []string
	for i := first; i < first+n; i++ {
		rooms = append(rooms, fmt.Sprintf(`{"room":"r%d"%s}`, i, more(i)))
	}
	return `{"type":"subscribe","rooms":[` + strings.Join(rooms, ",") + `]}`
}

// frames takes all frames, and returns those that are wanted.
func (c *client) frames(want string) (got []string) {
	c.t.Helper()
	for f := c.next(); f != ""; f = c.next() {
		if matches(f, want) {
			got = append(got, f)
		}
	}
	return got
}

// A command beyond the limits is not done, and does not count as a fault.
func TestV1Limit(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.dialAs(HelloV1{Identity: as(ana), Limit: func(typ string, room chat.RoomID) error {
			if typ == wire.TypeMessage && room == "1" {
				return &chat.Error{Code: chat.RateLimited, Message: "Slower.", RetryAfter: time.Second}
			}
			return nil
		}})
		for range 2 * errorsAllowed {
			a.send(`{"type":"message","room":"1","nonce":"n","content":"x"}`)
			a.want(`{"type":"error","room":"1","code":"rate_limited","data":{"retry_after_ms":1000,"nonce":"n"}}`)
		}
		a.send(`{"type":"message","room":"2","nonce":"n","content":"x"}`)
		a.want(`{"type":"message_sent","room":"2"}`)
		for range errorsAllowed {
			a.send(`no json`)
			a.want(`{"type":"error","code":"invalid_json"}`)
		}
		a.want("close 4509 too_many_errors")
		a.leave(false)
	})
}

// The store fails: what cannot be read is answered, and the session stays.
func TestV1StoreFails(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.dial(ana)
		a.subscribe("1")
		n.store.fail(errors.New("away"))
		a.send(`{"type":"subscribe","id":"s","rooms":[{"room":"2"}]}`)
		a.want(`{"type":"error","re":"s","room":"2"}`)
		n.store.fail(nil)
		a.send(`{"type":"ping"}`)
		a.want(`{"type":"pong"}`)
		a.leave(true)
	})
}

// Nobody waits long for others: a client that comes into one room after the
// other does so once, and the rooms of a command are opened together.
func TestV1RoomsComeSoon(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.dial(ana)
		const rooms = 50
		for i := range rooms {
			a.send(subscribeTo(i, 1, func(int) string { return "" }))
		}
		time.Sleep(time.Second)
		if got := len(a.frames(`{"type":"subscribed"}`)); got != rooms {
			t.Errorf("%d of %d rooms were subscribed to one after the other within a second", got, rooms)
		}
		n.store.before = func(int) { time.Sleep(100 * time.Millisecond) } // those who open rooms wait for one another
		a.send(subscribeTo(rooms, rooms, func(int) string { return "" }))
		time.Sleep(time.Second)
		if got := len(a.frames(`{"type":"subscribed"}`)); got != rooms {
			t.Errorf("%d of %d rooms of a command were subscribed to within a second", got, rooms)
		}
		a.leave(true)
	})
}

// Each room of a command has its time, however slow those before it were.
func TestV1SlowReceipts(t *testing.T) {
	inBubble(t, func(n *node) {
		a := n.dial(ana)
		n.store.members = func() { time.Sleep(commandTime / 4) }
		const rooms = 10
		a.send(subscribeTo(0, rooms, func(int) string { return `,"receipts":true` }))
		time.Sleep(rooms * commandTime)
		if got := len(a.frames(`{"type":"subscribed"}`)); got != rooms {
			t.Errorf("%d of %d rooms were subscribed to", got, rooms)
		}
		a.leave(true)
	})
}
