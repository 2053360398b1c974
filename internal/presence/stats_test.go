package presence

import (
	"testing"
	"testing/synctest"

	"tertulia/chat"
)

// A user in two rooms is one user; one in grace, and the room it was in, are
// not counted.
func TestOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{})
		alice, bob := chat.User{ID: "1", Name: "Alice"}, chat.User{ID: "2", Name: "Bob"}
		f.Join("1", alice)
		f.Join("2", alice)
		_, visit := f.Join("3", bob)
		if users, rooms := f.Online(); users != 2 || rooms != 3 {
			t.Errorf("%d users in %d rooms, want 2 in 3", users, rooms)
		}
		visit.Leave(false)
		if users, rooms := f.Online(); users != 1 || rooms != 2 {
			t.Errorf("%d users in %d rooms after one was cut off, want 1 in 2", users, rooms)
		}
	})
}
