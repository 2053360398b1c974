package room

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

func TestWhatQueuesMeanwhileIsTheNextBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second})
		s := newStage(t, h)
		s.post("1", "first")
		synctest.Wait()
		for _, room := range []chat.RoomID{"2", "1", "2", "3"} {
			s.post(room, "in "+string(room))
		}
		pass(2 * time.Second)
		if len(h.calls) != 2 || h.calls[0].rows != 1 || h.calls[1].rows != 4 {
			t.Errorf("batches = %v, want 1 row, then 4", h.calls)
		}
		// The two posts to room 2 have one nonce and are one event.
		s.wantPublished("1:1", "2:1", "1:2", "3:1")
	})
}

func TestOnePublishForEachRoomAndBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second})
		s := newStage(t, h)
		for _, content := range []string{"a", "b", "c"} {
			s.post("1", content)
			synctest.Wait() // a is in flight alone
		}
		s.post("2", "x")
		s.post("1", "a") // a duplicate, older than what stands before it
		s.post("1", "c") // a duplicate within the batch
		s.post("2", "y")
		pass(2 * time.Second)
		s.wantPublished("1:1", "1:1,2,3", "2:1,2")
		s.wantAnswers("a 1", "b 2", "c 3", "x 1", "a again 1", "c again 3", "y 2")
	})
}

func TestBatchesAreBounded(t *testing.T) {
	tests := []struct {
		name    string
		content string
		posts   int
		want    int // rows of the first full batch
	}{
		{"by rows", "short", 2000, maxBatchRows},
		{"by bytes", strings.Repeat("x", 16_000), 100, maxBatchBytes / (16_000 + len(`{"content":""}`) + len("1"+"1"+"Alice") + rowOverhead)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHostile(1)
				h.fate = fates(fate{before: time.Second})
				s := newStage(t, h)
				s.post("1", "first")
				synctest.Wait()
				for range test.posts {
					s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: test.content}, s.noting("x"))
				}
				pass(2 * time.Second)
				sum := 0
				for _, c := range h.calls {
					sum += c.rows
				}
				if h.calls[1].rows != test.want || sum != test.posts+1 {
					t.Errorf("batches = %v, want the second to have %d rows of %d in all", h.calls, test.want, test.posts+1)
				}
				if got := len(s.taken()); got != test.posts+1 {
					t.Errorf("%d answers, want %d", got, test.posts+1)
				}
			})
		})
	}
}

func TestLanesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(2)
		s := newStage(t, h)
		slow, quick := roomsOfTwoLanes(s.Service)
		h.fate = func(_ int, batch []store.Append) fate {
			if batch[0].Room == slow {
				return fate{before: time.Second}
			}
			return fate{}
		}
		s.post(slow, "slow")
		s.post(quick, "quick")
		synctest.Wait()
		s.wantAnswers("quick 1")
		pass(2 * time.Second)
	})
}

// roomsOfTwoLanes returns two rooms of different lanes.
func roomsOfTwoLanes(s *Service) (a, b chat.RoomID) {
	a = "0"
	for i := 1; ; i++ {
		b = chat.RoomID(fmt.Sprint(i))
		if l, _ := s.lane(b); l != firstLane(s, a) {
			return a, b
		}
	}
}

func firstLane(s *Service, id chat.RoomID) *lane {
	l, _ := s.lane(id)
	return l
}

func TestUnavailableIsAnsweredAndNothingIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{err: store.ErrUnavailable})
		s := newStage(t, h)
		s.post("1", "a")
		synctest.Wait()
		s.post("1", "a")
		synctest.Wait()
		s.wantAnswers("a store_unavailable", "a 1")
		s.wantPublished("1:1")
	})
}

func TestUnknownOutcomeIsRunAgainUntilItIsKnown(t *testing.T) {
	tests := []struct {
		name  string
		fates []fate
		want  []string
	}{
		{"not stored", repeat(3, fate{err: store.ErrUnknown}), []string{"a 2", "b 3"}},
		{"stored", []fate{{err: store.ErrUnknown, commits: true}, {err: store.ErrUnknown}}, []string{"a again 2", "b again 3"}},
		{"then unavailable", []fate{{err: store.ErrUnknown, commits: true}, {err: store.ErrUnavailable}}, []string{"a again 2", "b again 3"}},
		{"then something else", []fate{{err: store.ErrUnknown}, {err: errors.New("?")}}, []string{"a 2", "b 3"}},
		{"something else at once", []fate{{err: errors.New("?"), commits: true}}, []string{"a again 2", "b again 3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHostile(1)
				h.fate = fates(append([]fate{{before: time.Second}}, test.fates...)...)
				s := newStage(t, h)
				s.post("1", "first")
				synctest.Wait()
				s.post("1", "a")
				s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: "b"}, s.noting("b")) // the store gives the nonce
				pass(2 * time.Second)
				s.wantAnswers(append([]string{"first 1"}, test.want...)...)
				s.wantPublished("1:1", "1:2,3")
			})
		})
	}
}

func TestRerunsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(repeat(20, fate{err: store.ErrUnknown})...)
		s := newStage(t, h)
		began := time.Now()
		s.post("1", "a")
		pass(time.Minute)
		var at []time.Duration
		for _, c := range h.calls {
			at = append(at, c.at.Sub(began))
		}
		for i, want := range []time.Duration{0, 4, 12, 28, 60, 124, 252, 508, 1020, 2020, 3020} {
			if want *= time.Millisecond; at[i] != want {
				t.Errorf("run %d came after %v, want %v", i, at[i], want)
			}
		}
		if len(at) != 21 || at[20]-at[19] != maxPause {
			t.Errorf("runs came after %v, want 21, the last ones %v apart", at, maxPause)
		}
	})
}

// What was posted behind a message that is not stored would be stored before it
// when that is sent again, so it is refused too: of the same connection, in the
// same room.
func TestUnavailableIsAnsweredToThoseBehindToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second, err: store.ErrUnavailable})
		s := newStage(t, h)
		post := func(conn uint32, room chat.RoomID, content string) {
			s.Post(Post{Room: room, By: byAlice, Nonce: chat.Nonce(content), Content: content, Conn: conn}, s.noting(content))
		}
		post(1, "1", "a")
		synctest.Wait() // with the store
		post(1, "1", "b")
		post(2, "1", "another connection")
		post(1, "2", "another room")
		post(0, "1", "no connection")
		post(1, "1", "c")
		pass(2 * time.Second)
		post(1, "1", "a")
		post(1, "1", "b")
		post(1, "1", "c")
		pass(time.Second)
		want := []string{
			"a store_unavailable", "b store_unavailable", "c store_unavailable",
			"another connection 1", "another room 1", "no connection 2",
			"a 3", "b 4", "c 5",
		}
		s.wantAnswers(want...)
		l := firstLane(s.Service, "1")
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.queuedBytes != 0 || len(l.queue) != 0 {
			t.Errorf("%d bytes in %d batches are queued, want none", l.queuedBytes, len(l.queue))
		}
	})
}

// A queue of nothing but what is refused leaves nothing to be stored.
func TestNothingIsStoredOfAQueueThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second, err: store.ErrUnavailable})
		s := newStage(t, h)
		for _, content := range []string{"a", "b", "c"} {
			s.Post(Post{Room: "1", By: byAlice, Nonce: chat.Nonce(content), Content: content, Conn: 1}, s.noting(content))
			synctest.Wait()
		}
		pass(time.Minute)
		s.wantAnswers("a store_unavailable", "b store_unavailable", "c store_unavailable")
		if n := len(h.calls); n != 1 {
			t.Errorf("the store was called %d times, want once", n)
		}
	})
}

func TestUnknownForTooLongIsAnsweredAndStillPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(repeat(40, fate{err: store.ErrUnknown, commits: true})...)
		s := newStage(t, h)
		s.post("1", "a")
		synctest.Wait()
		s.post("1", "behind")

		pass(patience - time.Millisecond)
		if got := s.taken(); len(got) != 0 {
			t.Errorf("answers before %v = %q, want none", patience, got)
		}
		pass(2 * time.Millisecond)
		want := []string{"a store_unavailable", "behind store_unavailable"}
		if got := s.taken(); !slices.Equal(got, want) {
			t.Errorf("answers after %v = %q, want %q", patience, got, want)
		}
		s.post("1", "refused")
		if got, want := s.taken(), []string{"refused store_unavailable"}; !slices.Equal(got, want) {
			t.Errorf("meanwhile Post answered %q, want %q at once", got, want)
		}
		if page, err := s.Log().After(t.Context(), "1", 0, store.Limit{Events: 10}); err != nil || len(page.Events) != 1 {
			t.Errorf("meanwhile After = %v, %v, want the event that is stored", page.Events, err)
		}

		pass(time.Minute)
		if got := s.taken(); len(got) != 0 {
			t.Errorf("the post was answered again: %q", got)
		}
		s.wantPublished("1:1")
		s.post("1", "a")
		s.post("1", "b")
		synctest.Wait()
		if got, want := s.taken(), []string{"a again 1", "b 2"}; !slices.Equal(got, want) {
			t.Errorf("afterwards answers = %q, want %q", got, want)
		}
	})
}

func TestSilentStoreIsAnUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Hour}, fate{before: time.Hour})
		s := newStage(t, h)
		for _, content := range []string{"a", "b"} {
			s.post("1", content)
			pass(patience - 1)
			if got := s.taken(); len(got) != 0 {
				t.Errorf("answers before %v = %q, want none", patience, got)
			}
			pass(1)
			if got, want := s.taken(), []string{content + " store_unavailable"}; !slices.Equal(got, want) {
				t.Errorf("answers after %v = %q, want %q", patience, got, want)
			}
			pass(2 * time.Hour)
		}
		s.wantPublished("1:1", "1:2")
		if got := s.taken(); len(got) != 0 {
			t.Errorf("the posts were answered again: %q", got)
		}
	})
}

func TestBrokenStoreEndsTheJournal(t *testing.T) {
	tests := []struct {
		name  string
		fates []fate
	}{
		{"at once", []fate{{before: time.Second / 2}, {before: time.Second, err: store.ErrBroken}}},
		{"after an unknown outcome", []fate{{before: time.Second / 2}, {before: time.Second, err: store.ErrUnknown}, {err: store.ErrBroken}}},
		{"after the clients were told", append([]fate{{before: time.Second / 2}},
			append(repeat(30, fate{err: store.ErrUnknown}), fate{err: store.ErrBroken})...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHostile(2)
				h.fate = fates(test.fates...)
				s := newStage(t, h)
				one, other := roomsOfTwoLanes(s.Service)
				s.post(one, "a")
				synctest.Wait()
				s.post(other, "b") // the call that breaks
				synctest.Wait()
				s.post(other, "c") // queued behind
				pass(time.Minute)
				s.post(one, "d")
				s.wantAnswers("a 1", "b store_unavailable", "c store_unavailable", "d store_unavailable")
				if len(s.fatal) != 1 || !errors.Is(s.fatal[0], store.ErrBroken) {
					t.Errorf("Fatal was called with %v, want once with %v", s.fatal, store.ErrBroken)
				}
				if n := len(h.calls); n != len(test.fates) {
					t.Errorf("the store was called %d times, want %d: not after it broke", n, len(test.fates))
				}
				if err := s.Drain(t.Context()); err != nil {
					t.Errorf("Drain = %v, want nil", err)
				}
			})
		})
	}
}

func TestFatalIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(2)
		h.fate = func(int, []store.Append) fate { return fate{before: time.Second, err: store.ErrBroken} }
		s := newStage(t, h)
		one, other := roomsOfTwoLanes(s.Service)
		s.post(one, "a")
		s.post(other, "b")
		pass(2 * time.Second)
		if got := s.taken(); len(h.calls) != 2 || len(got) != 2 {
			t.Errorf("%d calls and answers %q, want two of each", len(h.calls), got)
		}
		if len(s.fatal) != 1 {
			t.Errorf("Fatal was called with %v, want one call", s.fatal)
		}
	})
}

// short is a store that forgets a result.
type short struct{ *hostile }

func (s short) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	results, err := s.hostile.Append(ctx, batch)
	return results[:len(results)-1], err
}

func TestMissingResultIsABrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fatal error
		s := New(Config{Store: short{newHostile(1)}, Bus: new(recorder), AutoCreate: true, Fatal: func(err error) { fatal = err }})
		defer s.Close()
		var got string
		s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: "a"}, func(p Posted, err error) { got = outcome(p, err) })
		synctest.Wait()
		if got != string(chat.StoreUnavailable) || !errors.Is(fatal, store.ErrBroken) {
			t.Errorf("answer %q, Fatal(%v), want %s and %v", got, fatal, chat.StoreUnavailable, store.ErrBroken)
		}
	})
}

func TestPanicInACallbackHarmsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second})
		s := newStage(t, h)
		s.post("1", "a")
		synctest.Wait()
		s.Post(Post{Room: "1", By: chat.Principal{User: alice}, Content: "b"}, func(Posted, error) { panic("oh") })
		s.post("1", "c")
		pass(2 * time.Second)
		s.post("1", "d")
		synctest.Wait()
		s.wantAnswers("a 1", "c 3", "d 4")
		s.wantPublished("1:1", "1:2,3", "1:4")
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(2)
		h.fate = func(int, []store.Append) fate { return fate{before: time.Second} }
		s := newStage(t, h)
		s.post("1", "a")
		synctest.Wait()
		s.post("1", "b")
		drained := make(chan error, 1)
		go func() { drained <- s.Drain(t.Context()) }()
		synctest.Wait()
		s.post("1", "late")
		if got, want := s.taken(), []string{"late shutting_down"}; !slices.Equal(got, want) {
			t.Errorf("answers = %q, want %q at once", got, want)
		}
		if err := <-drained; err != nil {
			t.Errorf("Drain = %v, want nil", err)
		}
		if got, want := s.taken(), []string{"a 1", "b 2"}; !slices.Equal(got, want) {
			t.Errorf("when Drain returned the answers were %q, want %q", got, want)
		}
		if got, want := s.bus.seqs(), []string{"1:1", "1:2"}; !slices.Equal(got, want) {
			t.Errorf("when Drain returned %q was published, want %q", got, want)
		}
		if err := s.Drain(t.Context()); err != nil {
			t.Errorf("second Drain = %v, want nil", err)
		}
	})
}

func TestDrainObeysItsContextAndCloseEndsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(repeat(1000, fate{err: store.ErrUnknown})...)
		s := newStage(t, h)
		s.post("1", "a")
		synctest.Wait()
		s.post("1", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain = %v, want %v", err, context.DeadlineExceeded)
		}
		if got := s.taken(); len(got) != 0 {
			t.Errorf("answers = %q, want none yet", got)
		}
		s.Close()
		s.wantAnswers("a store_unavailable", "b shutting_down")
	})
}

func TestCloseWaitsForTheCommitUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Second})
		s := newStage(t, h)
		s.post("1", "a")
		synctest.Wait()
		s.post("1", "b")
		s.Close()
		s.Close()
		s.post("1", "c")
		s.wantAnswers("a 1", "b shutting_down", "c shutting_down")
		s.wantPublished("1:1")
	})
}

// ended is a store that takes nothing once the context has ended.
type ended struct {
	*hostile
	end func()
}

func (e ended) Append(ctx context.Context, _ []store.Append) ([]store.Result, error) {
	e.end()
	return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
}

// Close may come between a batch's being taken and its reaching the store.
func TestABatchThatMeetsCloseIsToldOfTheShutdown(t *testing.T) {
	var s *Service
	st := &ended{hostile: newHostile(1)}
	st.end = func() {
		s.refuse(errShuttingDown)
		s.halt()
	}
	s = New(Config{Store: st, Bus: new(recorder), AutoCreate: true})
	defer s.Close()
	err := wait(func(done func(Posted, error)) { s.Post(Post{Room: "1", By: byAlice, Content: "x"}, done) })
	if err != errShuttingDown {
		t.Errorf("Post = %v, want %v", err, errShuttingDown)
	}
}
