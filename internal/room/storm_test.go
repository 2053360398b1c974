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
