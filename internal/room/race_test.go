package room

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// newRoom has Alice make a private room with more members.
func newRoom(t *testing.T, s *Service, id chat.RoomID, members ...chat.User) {
	t.Helper()
	c := Create{Room: id, Settings: chat.Settings{Access: chat.AccessPrivate, Title: "T"}, Members: members}
	if _, err := s.Create(t.Context(), byAlice, c); err != nil {
		t.Fatalf("Create(%q) = %v", id, err)
	}
}

func TestTwoOwnersWhoLeaveAtOnceLeaveOne(t *testing.T) {
	s := overSQLite(t, Config{})
	for i := range 30 {
		id := chat.RoomID(fmt.Sprint("r", i))
		newRoom(t, s, id, bob, chat.User{ID: "3", Name: "Carol"})
		if _, err := s.SetRole(t.Context(), byAlice, id, bob.ID, chat.RoleOwner); err != nil {
			t.Fatal(err)
		}
		var left atomic.Int32
		var both sync.WaitGroup
		for _, by := range []chat.Principal{byAlice, byBob} {
			both.Go(func() {
				switch err := s.Leave(t.Context(), by, id); {
				case err == nil:
					left.Add(1)
				case err != errLastOwner:
					t.Errorf("Leave = %v, want nil or %v", err, errLastOwner)
				}
			})
		}
		both.Wait()
		if left.Load() != 1 {
			t.Fatalf("%d of two owners have left, want one", left.Load())
		}
	}
}

func TestTheLastOwnerLeavesAsTheLastMember(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r", bob)
	if err := s.Leave(t.Context(), byAlice, "r"); err != errLastOwner {
		t.Errorf("the last owner's Leave = %v, want %v", err, errLastOwner)
	}
	if _, err := s.SetRole(t.Context(), byAlice, "r", alice.ID, chat.RoleMember); err != errLastOwner {
		t.Errorf("the last owner's SetRole = %v, want %v", err, errLastOwner)
	}
	for _, by := range []chat.Principal{byBob, byAlice} {
		if err := s.Leave(t.Context(), by, "r"); err != nil {
			t.Errorf("Leave(%s) = %v, want nil", by.User.Name, err)
		}
	}
}

// D9: after Remove has returned, no post of the removed is stored.
func TestNoPostIsStoredAfterARemoval(t *testing.T) {
	s := overSQLite(t, Config{})
	for i := range 20 {
		id := chat.RoomID(fmt.Sprint("r", i))
		newRoom(t, s, id, bob)
		stop, stopped := make(chan struct{}), make(chan struct{})
		started := make(chan struct{}, 1)
		go func() {
			defer close(stopped)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				err := wait(func(done func(Posted, error)) {
					s.Post(Post{Room: id, By: byBob, Content: fmt.Sprint(n)}, done)
				})
				if err != nil && !hasCode(err, chat.RoomNotFound) {
					t.Errorf("a post of the removed = %v, want room_not_found", err)
				}
				select {
				case started <- struct{}{}:
				default:
				}
			}
		}()
		<-started
		if err := s.Remove(t.Context(), byAlice, id, bob.ID, ""); err != nil {
			t.Fatal(err)
		}
		<-started // one more was answered
		close(stop)
		<-stopped
		checkNothingAfterRemoval(t, s, id)
	}
}

func checkNothingAfterRemoval(t *testing.T, s *Service, id chat.RoomID) {
	t.Helper()
	page, err := s.Log().After(t.Context(), id, 0, store.Limit{Events: 1 << 20, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if last := page.Events[len(page.Events)-1]; last.Kind != chat.KindMemberRemoved || last.Subject != bob.ID {
		t.Errorf("the log of %s ends with %+v, want Bob's removal", id, last)
	}
}

func TestMarksNeverGoBack(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r", bob)
	for range 40 {
		if err := wait(func(done func(Posted, error)) { s.Post(Post{Room: "r", By: byAlice, Content: "x"}, done) }); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			last := chat.Mark{}
			for i := range uint64(6) {
				want := (seed*7+i*11)%40 + 1
				got, err := s.Mark(t.Context(), byBob, "r", Mark{Read: want, Delivered: want + 2})
				if err != nil {
					t.Error(err)
				}
				if got.Read < want || got.Read < last.Read || got.Delivered < last.Delivered || got.Delivered < got.Read {
					t.Errorf("Mark(%d) = %+v after %+v: it went back", want, got, last)
				}
				last = got
			}
		})
	}
	all.Wait()
}
