package room

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// asked is a store that counts what is asked about rooms and standings.
type asked struct {
	store.Store
	reads atomic.Int64
}

func (a *asked) Room(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	a.reads.Add(1)
	return a.Store.Room(ctx, id)
}

func (a *asked) Member(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Room, chat.Member, error) {
	a.reads.Add(1)
	return a.Store.Member(ctx, room, user)
}

func (a *asked) Members(ctx context.Context, room chat.RoomID, states []chat.State, after chat.UserID, limit int) ([]chat.Member, error) {
	a.reads.Add(1)
	return a.Store.Members(ctx, room, states, after, limit)
}

func (a *asked) Arrivals(ctx context.Context, asked []store.Arrival) ([]store.Arrived, error) {
	a.reads.Add(1)
	return a.Store.Arrivals(ctx, asked)
}

// A thousand users who come at once, each into rooms of which some may not be
// read, cost few reads; each learns what the rooms are to them.
func TestStormArrives(t *testing.T) {
	st := &asked{Store: openSQLite(t, t.TempDir())}
	defer st.Close()
	s := New(Config{Store: st, Bus: local.New(), AutoCreate: true})
	defer s.Close()
	say(t, s, byAlice, "r", "hola")
	if err := s.Ban(t.Context(), service, "r", chat.User{ID: "u7"}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutAccount(t.Context(), service, chat.Account{User: chat.User{ID: "u8", Name: "u8"}, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	before := st.reads.Load()
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			id := chat.UserID("u" + strconv.Itoa(i))
			at := s.EnterAll(t.Context(), chat.Principal{User: chat.User{ID: id}}, []chat.RoomID{"r", "s", chat.RoomID("dm:u1:u2")}, false)
			switch {
			case id == "u8":
				if !hasCode(at[0].Err, chat.Forbidden) || !hasCode(at[1].Err, chat.Forbidden) {
					t.Errorf("a disabled user: %v, %v, want %s", at[0].Err, at[1].Err, chat.Forbidden)
				}
			case id == "u7":
				if !hasCode(at[0].Err, chat.Banned) || at[1].Err != nil {
					t.Errorf("who is banned: %v, %v, want %s and nil", at[0].Err, at[1].Err, chat.Banned)
				}
			case at[0].Err != nil || at[0].Room.Head == 0 || at[0].Member.User.ID != id || at[1].Err != nil || at[1].Room.Exists || at[2].Err == nil:
				t.Errorf("%s arrives with %+v", id, at)
			}
		})
	}
	all.Wait()
	// Twenty at once, and ten a second, on whatever machine this is.
	if n := st.reads.Load() - before; n > 300 {
		t.Errorf("the store was asked %d times for a thousand users, want some twenty", n)
	}
}

// A thousand users who enter an open room at once cost two reads of it, and
// later ones none, until somebody is banned.
func TestStormEntersAnOpenRoom(t *testing.T) {
	st := &asked{Store: openSQLite(t, t.TempDir())}
	defer st.Close()
	s := New(Config{Store: st, Bus: local.New(), AutoCreate: true})
	defer s.Close()
	say(t, s, byAlice, "r", "hola")
	enter := func(user string) error {
		return s.EnterAt(t.Context(), chat.Principal{User: chat.User{ID: chat.UserID(user)}}, "r", st.Epoch(), 1)
	}
	storm := func() {
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				if err := enter("u" + strconv.Itoa(i)); err != nil {
					t.Errorf("EnterAt: %v", err)
				}
			})
		}
		all.Wait()
	}
	for _, want := range []int64{2, 0} {
		before := st.reads.Load()
		if storm(); st.reads.Load()-before != want {
			t.Errorf("the store was asked %d times, want %d", st.reads.Load()-before, want)
		}
	}
	if err := s.Ban(t.Context(), service, "r", chat.User{ID: "u7"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := enter("u7"); !hasCode(err, chat.Banned) {
		t.Errorf("after a ban: %v, want %s", err, chat.Banned)
	}
	if err := enter("u8"); err != nil {
		t.Errorf("of whom is not banned: %v", err)
	}
	if err := s.Unban(t.Context(), service, "r", "u7"); err != nil {
		t.Fatal(err)
	}
	if err := enter("u7"); err != nil {
		t.Errorf("after the ban was lifted: %v", err)
	}
}
