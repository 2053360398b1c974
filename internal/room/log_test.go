package room

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

var ten = store.Limit{Events: 10, Bytes: 1 << 20}

// reads are the ways to learn of room 1 through a Log; each returns the head
// that it has seen.
var reads = []struct {
	name string
	head func(context.Context, *Log) (uint64, error)
}{
	{"Room", func(ctx context.Context, l *Log) (uint64, error) {
		r, err := l.Room(ctx, "1")
		return r.Head, err
	}},
	{"Heads", func(ctx context.Context, l *Log) (uint64, error) {
		heads, err := l.Heads(ctx, []chat.RoomID{"0", "1", "2"})
		for _, h := range heads {
			if h.Room.ID == "1" {
				return h.Room.Head, err
			}
		}
		return 0, err
	}},
	{"After", func(ctx context.Context, l *Log) (uint64, error) {
		page, err := l.After(ctx, "1", 0, ten)
		return page.Room.Head, err
	}},
	{"Before", func(ctx context.Context, l *Log) (uint64, error) {
		page, err := l.Before(ctx, "1", 0, ten)
		return page.Room.Head, err
	}},
}

// visible sets up an event in room 1 that is stored and readable; in half a
// second the journal begins to tell its author, which takes as long again.
func visible(t *testing.T, lanes int) *stage {
	h := newHostile(lanes)
	s := newStage(t, h)
	s.post("0", "there before")
	s.post("2", "there before")
	synctest.Wait()
	s.taken()
	h.fate = func(int, []store.Append) fate { return fate{after: time.Second / 2} }
	s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: "a"}, func(p Posted, err error) {
		time.Sleep(time.Second / 2)
		s.noting("a")(p, err)
	})
	synctest.Wait()
	return s
}

func TestReadWaitsUntilTheAuthorIsAnswered(t *testing.T) {
	for _, read := range reads {
		t.Run(read.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := visible(t, 3)
				head, err := read.head(t.Context(), s.Log())
				if head != 1 || err != nil {
					t.Errorf("head = %d, %v, want 1", head, err)
				}
				if got := s.taken(); len(got) != 1 {
					t.Errorf("the read returned after the answers %q, want a's", got)
				}
			})
		})
	}
}

func TestReadObeysItsContext(t *testing.T) {
	for _, read := range reads {
		t.Run(read.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := visible(t, 1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				head, err := read.head(ctx, s.Log())
				if head != 0 || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("head = %d, %v, want nothing and %v", head, err, context.DeadlineExceeded)
				}
				pass(time.Second)
			})
		})
	}
}

func TestReadOfAnotherRoomDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := visible(t, 1)
		began := time.Now()
		for _, id := range []chat.RoomID{"0", "2", "unheard of"} {
			if _, err := s.Log().After(t.Context(), id, 0, ten); err != nil {
				t.Errorf("After(%q) = %v", id, err)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("reading rooms without a post in flight took %v, want no wait", waited)
		}
		pass(time.Second)
	})
}

func TestReadDoesNotWaitForWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := visible(t, 1)
		began := time.Now()
		s.post("1", "b") // in the next batch, not yet stored
		page, err := s.Log().After(t.Context(), "1", 0, ten)
		if len(page.Events) != 1 || err != nil || time.Since(began) != time.Second {
			t.Errorf("After = %d events, %v after %v, want 1 after a second", len(page.Events), err, time.Since(began))
		}
		pass(2 * time.Second)
	})
}

func TestErrorsOfTheStoreComeThrough(t *testing.T) {
	s := New(Config{Store: dark{newHostile(1), store.ErrUnavailable}, Bus: new(recorder)})
	defer s.Close()
	if _, err := s.Log().Room(t.Context(), "1"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Room = %v, want %v", err, store.ErrUnavailable)
	}
	if got := s.Log().Epoch(); got != "e1" {
		t.Errorf("Epoch = %q, want e1", got)
	}
}
