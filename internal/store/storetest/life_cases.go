package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"tertulia/chat"
	"tertulia/internal/store"
)

var lifeCases = []testCase{
	{"returned events survive closing and opening", func(w *world) {
		var want []chat.Event
		for i := range 4 {
			for _, r := range w.append(posts("r", 1+i*10)...) {
				want = append(want, r.Event)
			}
			room := w.room("r")
			w.reopen()
			w.wantEvents(w.log("r"), want)
			if got := w.room("r"); got != room {
				w.Errorf("Room after reopening = %+v, want %+v", got, room)
			}
		}
	}},
	{"the epoch is of letters and digits and stays", func(w *world) {
		epoch := w.s.Epoch()
		if _, err := chat.ParseCursor(chat.Cursor{Epoch: epoch, Seq: 1}.String()); err != nil {
			w.Errorf("Epoch = %q, which no cursor can name: %v", epoch, err)
		}
		w.append(posts("r", 1)...)
		w.reopen()
		if got := w.s.Epoch(); got != epoch {
			w.Errorf("Epoch after reopening = %q, want %q", got, epoch)
		}
	}},
	{"epochs of two stores differ", func(w *world) {
		other := w.factory.Open(w.t)
		defer other.Close()
		if w.s.Epoch() == other.Epoch() {
			w.Errorf("both have the epoch %q", other.Epoch())
		}
	}},
	{"a healthy store answers ping", func(w *world) {
		for range 2 {
			if err := w.s.Ping(context.Background()); err != nil {
				w.Errorf("Ping = %v, want nil", err)
			}
			w.append(posts("r", 1)...)
		}
	}},
	{"a closed store is unavailable, and closes again", func(w *world) {
		w.append(posts("r", 1)...)
		w.close()
		calls := reads(context.Background(), w.s)
		maps.Copy(calls, writes(context.Background(), w.s))
		calls["Append"] = func() error { _, err := w.s.Append(context.Background(), posts("r", 1)); return err }
		calls["Ping"] = func() error { return w.s.Ping(context.Background()) }
		for name, call := range calls {
			if err := call(); !errors.Is(err, store.ErrUnavailable) {
				w.Errorf("%s = %v, want %v", name, err, store.ErrUnavailable)
			}
		}
		w.close()
	}},
	{"closing waits for calls under way", func(w *world) {
		var (
			calls    sync.WaitGroup
			returned []chat.Event // guarded by calls
			begun    = make(chan struct{})
			begin    = sync.OnceFunc(func() { close(begun) })
		)
		calls.Go(func() {
			for {
				results, err := appendUntilKnown(context.Background(), w.s, posts("r", 3))
				if err != nil {
					if !errors.Is(err, store.ErrUnavailable) {
						w.Errorf("Append = %v, want %v", err, store.ErrUnavailable)
					}
					begin()
					return
				}
				for _, r := range results {
					returned = append(returned, r.Event)
				}
				begin()
			}
		})
		for range 2 {
			calls.Go(func() {
				for {
					page, err := w.s.After(context.Background(), "r", 0, everything)
					if err != nil {
						if !errors.Is(err, store.ErrUnavailable) {
							w.Errorf("After = %v, want %v", err, store.ErrUnavailable)
						}
						return
					}
					if !slices.Equal(seqs(page.Events), upTo(page.Room.Head)) {
						w.Errorf("After = %v beside head %d", seqs(page.Events), page.Room.Head)
					}
				}
			})
		}
		<-begun
		w.close()
		calls.Wait()
		w.reopen()
		w.wantEvents(w.log("r"), returned)
	}},
	{"the store behaves like a model of it", checkModel},
}
