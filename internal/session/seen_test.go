package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
)

// S-123: when a user was here last outlives the connection, in both profiles.
func TestSessionsSayWhenAUserWasHere(t *testing.T) {
	for name, enter := range map[string]func(n *node) *client{
		"seed": func(n *node) *client { return n.enter(ana) },
		"v1":   func(n *node) *client { return n.dial(ana) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(n *node) {
				c := enter(n)
				time.Sleep(time.Hour)
				left := time.Now()
				c.leave(true)
				time.Sleep(time.Minute)
				synctest.Wait()
				a, err := n.Rooms.Account(context.Background(), chat.Principal{Service: true}, ana.ID)
				if since := a.SeenAt.Sub(left); err != nil || since < 0 || since > time.Second {
					t.Errorf("the user was seen at %v, %v, want about %v", a.SeenAt, err, left)
				}
			})
		})
	}
}
