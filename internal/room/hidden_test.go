package room

import (
	"context"
	"slices"
	"sync"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// witness notes what a store is asked for.
type witness struct {
	store.Store

	mu    sync.Mutex
	asked []string
}

func (w *witness) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, what)
}

// take returns what was asked for since the last call.
func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

func (w *witness) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	w.note("Append")
	return w.Store.Append(ctx, batch)
}

func (w *witness) Room(ctx context.Context, id chat.RoomID) (chat.Room, error) {
	w.note("Room")
	return w.Store.Room(ctx, id)
}

func (w *witness) Heads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	w.note("Heads")
	return w.Store.Heads(ctx, ids)
}

func (w *witness) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	w.note("After")
	return w.Store.After(ctx, id, after, limit)
}

func (w *witness) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	w.note("Before")
	return w.Store.Before(ctx, id, before, limit)
}

func (w *witness) Member(ctx context.Context, id chat.RoomID, user chat.UserID) (chat.Room, chat.Member, error) {
	w.note("Member")
	return w.Store.Member(ctx, id, user)
}

func (w *witness) Members(ctx context.Context, id chat.RoomID, states []chat.State, after chat.UserID, limit int) ([]chat.Member, error) {
	w.note("Members")
	return w.Store.Members(ctx, id, states, after, limit)
}

func (w *witness) Find(ctx context.Context, id chat.RoomID, message int64) (chat.Event, error) {
	w.note("Find")
	return w.Store.Find(ctx, id, message)
}

func (w *witness) Account(ctx context.Context, id chat.UserID) (chat.Account, bool, error) {
	w.note("Account")
	return w.Store.Account(ctx, id)
}

// Whether a room is hidden from somebody or is not there at all is told
// neither by the answer nor by the time that it takes: the store is asked for
// the same.
func TestAHiddenRoomCostsWhatAMissingOneDoes(t *testing.T) {
	w := &witness{Store: openSQLite(t, t.TempDir())}
	b := local.New()
	s := New(Config{Store: w, Bus: b, Fatal: func(err error) { t.Error(err) }})
	t.Cleanup(func() {
		s.Close()
		b.Close()
		w.Close()
	})
	private := Create{Room: "hidden", Settings: chat.Settings{Access: chat.AccessPrivate}}
	if _, err := s.Create(t.Context(), byAlice, private); err != nil {
		t.Fatal(err)
	}
	title := "mine"
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context, id chat.RoomID) error
	}{
		{"Room", func(ctx context.Context, id chat.RoomID) error { _, err := s.Room(ctx, byBob, id); return err }},
		{"Enter", func(ctx context.Context, id chat.RoomID) error { _, err := s.Enter(ctx, byBob, id); return err }},
		{"Join", func(ctx context.Context, id chat.RoomID) error { _, err := s.Join(ctx, byBob, id); return err }},
		{"Leave", func(ctx context.Context, id chat.RoomID) error { return s.Leave(ctx, byBob, id) }},
		{"Post", func(_ context.Context, id chat.RoomID) error {
			done := make(chan error, 1)
			s.Post(Post{Room: id, By: byBob, Content: "x", Source: FromREST}, func(_ Posted, err error) { done <- err })
			return <-done
		}},
		{"History", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.History(ctx, byBob, id, Range{Limit: 10})
			return err
		}},
		{"Message", func(ctx context.Context, id chat.RoomID) error { _, err := s.Message(ctx, byBob, id, 1); return err }},
		{"Members", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.Members(ctx, byBob, id, nil, "", 10)
			return err
		}},
		{"Member", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.Member(ctx, byBob, id, alice.ID)
			return err
		}},
		{"Invite", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.Invite(ctx, byBob, id, chat.User{ID: "9", Name: "Eva"})
			return err
		}},
		{"Ban", func(ctx context.Context, id chat.RoomID) error { return s.Ban(ctx, byBob, id, alice, "") }},
		{"Mark", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.Mark(ctx, byBob, id, Mark{Read: 1})
			return err
		}},
		{"Marks", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.Marks(ctx, byBob, id, "", 10)
			return err
		}},
		{"Typing", func(ctx context.Context, id chat.RoomID) error { return s.Typing(ctx, byBob, id, true) }},
		{"Update", func(ctx context.Context, id chat.RoomID) error {
			_, err := s.Update(ctx, byBob, id, Changes{Title: &title})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := func(id chat.RoomID) (asked []string, told *chat.Error) {
				w.take()
				err := tt.do(t.Context(), id)
				if err == nil {
					t.Fatalf("%s of %q = nil, want an error", tt.name, id)
				}
				return w.take(), chat.AsError(err)
			}
			ask("absent") // what is known of the user is known from here on
			absent, of := ask("absent")
			hidden, oh := ask("hidden")
			if !slices.Equal(hidden, absent) || len(hidden) == 0 {
				t.Errorf("the store was asked for %v, and for a missing room for %v; want the same", hidden, absent)
			}
			if oh.Code != of.Code {
				t.Errorf("the answer is %v, and for a missing room %v; want the same", oh, of)
			}
		})
	}
}
