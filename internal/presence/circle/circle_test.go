package circle

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Who is at one node is there for all, and gone for all.
func TestCircle(t *testing.T) {
	all := make([]*presence.Tracker, 3)
	for i := range all {
		b := local.New()
		defer b.Close()
		all[i] = presence.New(presence.Config{Bus: b})
	}
	c := Join(all...)
	count := func(want int) {
		t.Helper()
		c.Wait()
		for i, tracker := range all {
			if got := tracker.Snapshot("1").Count; got != want {
				t.Errorf("node %d has %d users in the room, want %d", i+1, got, want)
			}
		}
	}
	_, ana := all[0].Join("1", chat.User{ID: "1", Name: "Ana"})
	_, bob := all[1].Join("1", chat.User{ID: "2", Name: "Bob"})
	_, tab := all[2].Join("1", chat.User{ID: "2", Name: "Bob"})
	count(2)
	bob.Leave(true)
	count(2) // the other tab is there
	tab.Leave(true)
	count(1)
	ana.Leave(true)
	count(0)
	c.Close()
	for _, tracker := range all {
		tracker.Close()
	}
}
