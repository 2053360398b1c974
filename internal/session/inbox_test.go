package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/room"
)

// found makes a private room of Ana and Bob.
func (n *node) found(id chat.RoomID, settings chat.Settings) {
	n.t.Helper()
	by := chat.Principal{User: ana}
	if _, err := n.Rooms.Create(context.Background(), by, room.Create{Room: id, Settings: settings, Members: []chat.User{bob}}); err != nil {
		n.t.Fatal(err)
	}
}

const openInbox = `{"type":"subscribe","id":"s","rooms":[{"room":"inbox"}]}`

// docs/protocol.md §18: one subscription tells of all rooms.
func TestInbox(t *testing.T) {
	inBubble(t, func(n *node) {
		n.found("plans", chat.Settings{Access: chat.AccessPrivate, Title: "Plans"})
		a, b, phone := n.dial(ana), n.dial(bob), n.dial(bob)
		for _, c := range []*client{b, phone} {
			c.send(openInbox)
			c.want(`{"type":"inbox","re":"s","data":{"rooms":[{"room":"plans","settings":{"access":"private","title":"Plans"},"my":{"state":"joined","role":"member","read":0,"unread":0,"up_to":3}}],"more":false}}`)
			c.send(openInbox)
			c.want(`{"type":"ok","re":"s","room":"inbox"}`)
		}
		a.send(`{"type":"message","id":"m","room":"plans","nonce":"1","content":"Ola"}`)
		a.want(`{"type":"message_sent","re":"m"}`)
		time.Sleep(50 * time.Millisecond)
		for _, c := range []*client{b, phone} {
			c.want(`{"type":"unread","room":"plans","data":{"read":0,"unread":1,"up_to":4}}`)
		}
		phone.send(`{"type":"read","id":"r","room":"plans","up_to":4}`)
		time.Sleep(2 * time.Second)
		phone.want(`{"type":"ok","re":"r"}`)
		for _, c := range []*client{b, phone} {
			c.want(`{"type":"unread","room":"plans","data":{"read":4,"unread":0,"up_to":4}}`)
		}
		phone.send(`{"type":"unsubscribe","id":"u","rooms":["inbox"]}`, `{"type":"unsubscribe","id":"u","rooms":["inbox"]}`)
		phone.want(`{"type":"unsubscribed","re":"u","room":"inbox"}`, `{"type":"error","re":"u","room":"inbox","code":"not_subscribed"}`)
		if err := n.Rooms.Remove(context.Background(), chat.Principal{User: ana}, "plans", bob.ID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		b.want(`{"type":"room_changed","data":{"room":"plans","my":{"state":"none","role":"none"}}}`)
		a.send(`{"type":"message","room":"plans","nonce":"2","content":"Ola"}`)
		phone.wantIdle(2 * time.Minute)
		b.wantIdle(0)
		for _, c := range []*client{a, b, phone} {
			c.leave(true)
		}
	})
}

// hello names the inbox where it is served.
func TestInboxIsAFeature(t *testing.T) {
	inBubble(t, func(n *node) {
		c, err := n.connectV1(HelloV1{Identity: as(ana)})
		if err != nil {
			t.Fatal(err)
		}
		c.want(`{"type":"hello","data":{"features":["edit","delete","history","presence","receipts","typing","inbox"]}}`)
		c.send(openInbox)
		c.want(`{"type":"inbox","re":"s","data":{"rooms":[],"more":false}}`)
		c.leave(true)
	})
}

// A long list comes in several frames that every client can take.
func TestLongInbox(t *testing.T) {
	inBubble(t, func(n *node) {
		topic := strings.Repeat("t", chat.MaxTopicBytes)
		for i := range 70 {
			n.found(chat.RoomID(fmt.Sprint("r", i)), chat.Settings{Access: chat.AccessPrivate, Topic: topic})
		}
		c := n.dial(ana)
		c.send(openInbox)
		rooms := 0
		for more := true; more; {
			frame := c.next()
			if len(frame) > historyBytes || !strings.HasPrefix(frame, `{"type":"inbox"`) {
				t.Fatalf("got %d bytes that begin with %.40q, want an inbox of at most %d", len(frame), frame, historyBytes)
			}
			rooms += strings.Count(frame, `"settings"`)
			more = strings.HasSuffix(frame, `"more":true}}`)
			if more && rooms == 70 {
				t.Error("more is said to follow, and nothing does")
			}
		}
		if rooms != 70 {
			t.Errorf("got %d rooms, want 70", rooms)
		}
		c.leave(true)
	})
}

// A list that cannot be read is refused, and leaves nothing behind.
func TestInboxWithoutStore(t *testing.T) {
	inBubble(t, func(n *node) {
		n.Inbox.Close()
		c := n.dial(ana)
		c.send(openInbox)
		c.want(`{"type":"error","re":"s","room":"inbox","code":"shutting_down"}`)
		c.leave(true)
	})
}
