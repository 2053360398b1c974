package presence

import (
	"testing"
	"testing/synctest"
	"time"

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

// A user in grace is here for everybody, and so for who asks.
func TestIsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{})
		alice := chat.User{ID: "1", Name: "Alice"}
		want := func(when string, here bool) {
			t.Helper()
			if got := f.IsHere("1"); got != here {
				t.Errorf("%s alice is here: %v, want %v", when, got, here)
			}
		}
		want("at first", false)
		_, first := f.Join("1", alice)
		_, second := f.Join("2", alice)
		want("in two rooms", true)
		first.Leave(true)
		want("in one room", true)
		second.Leave(false)
		want("in the grace", true)
		time.Sleep(DefaultGrace)
		synctest.Wait()
		want("afterwards", false)
		if f.IsHere("2") {
			t.Error("somebody is here who never came")
		}
	})
}
