package room

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

// openSQLite opens the store in dir, to be closed by the caller.
func openSQLite(t testing.TB, dir string) store.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestWhatWasAcknowledgedIsThereAfterARestart: eight authors post to three
// rooms over SQLite; the node stops while they do, and starts again.
func TestWhatWasAcknowledgedIsThereAfterARestart(t *testing.T) {
	const authors, posts = 8, 50
	dir := t.TempDir()
	rooms := []chat.RoomID{"1", "2", "3"}
	post := func(author, n int) Post {
		return Post{
			Room:    rooms[n%len(rooms)],
			By:      chat.Principal{User: chat.User{ID: chat.UserID(fmt.Sprint(author)), Name: "A"}},
			Nonce:   chat.Nonce(fmt.Sprint(n)),
			Content: fmt.Sprintf("%d by %d", n, author),
		}
	}

	acked := make(map[string]chat.Event)
	st := openSQLite(t, dir)
	s := New(Config{Store: st, Bus: local.New(), AutoCreate: true})
	var mu sync.Mutex
	var all sync.WaitGroup
	for author := range authors {
		all.Go(func() {
			answered := make(chan struct{}, 1)
			for n := range posts {
				p := post(author, n)
				s.Post(p, func(got Posted, err error) {
					mu.Lock()
					defer mu.Unlock()
					answered <- struct{}{}
					if err == nil {
						acked[p.Content] = got.Event
					} else if chat.AsError(err).Code != chat.ShuttingDown {
						t.Errorf("Post(%q) = %v", p.Content, err)
					}
				})
				if author == 0 && n == posts/2 {
					s.Close()
				}
				<-answered
			}
		})
	}
	all.Wait()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = openSQLite(t, dir)
	s = New(Config{Store: st, Bus: local.New(), AutoCreate: true})
	for _, id := range rooms {
		page, err := s.Log().After(t.Context(), id, 0, store.Limit{Events: 1000, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		want := wantLog(acked, id)
		if !slices.EqualFunc(page.Events, want, sameEvent) {
			t.Errorf("after the restart room %s holds %d events, want the %d acknowledged", id, len(page.Events), len(want))
		}
	}
	for author := range authors {
		p := post(author, 0)
		first, was := acked[p.Content]
		s.Post(p, func(got Posted, err error) {
			if err != nil || got.Duplicate != was || was && !sameEvent(got.Event, first) {
				t.Errorf("repeating %q = %+v, %v, want %+v again", p.Content, got, err, first)
			}
		})
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// wantLog returns the acknowledged events of a room in the order of their
// seqs.
func wantLog(acked map[string]chat.Event, id chat.RoomID) []chat.Event {
	var log []chat.Event
	for _, e := range acked {
		if e.Room == id {
			log = append(log, e)
		}
	}
	slices.SortFunc(log, func(a, b chat.Event) int { return int(a.Seq) - int(b.Seq) })
	return log
}

func sameEvent(a, b chat.Event) bool {
	return a.Room == b.Room && a.Seq == b.Seq && a.ID == b.ID && a.Tag == b.Tag && a.Epoch == b.Epoch &&
		a.Actor == b.Actor && a.Nonce == b.Nonce && a.At.Equal(b.At) && string(a.Body) == string(b.Body)
}

func BenchmarkSQLite(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("rooms=100/inflight=%d", inFlight), func(b *testing.B) {
			st := openSQLite(b, b.TempDir())
			defer st.Close()
			s := New(Config{Store: st, Bus: local.New(), AutoCreate: true})
			defer s.Close()
			benchmarkStore(b, s, inFlight)
		})
	}
}
