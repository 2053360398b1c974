package session

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
)

// questions are what a watch has asked.
type questions struct {
	mu    sync.Mutex
	sizes []int
	times map[string][]time.Time // by token
	slow  time.Duration
}

func (q *questions) recheck(_ context.Context, ids []Identity) []error {
	time.Sleep(q.slow)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sizes = append(q.sizes, len(ids))
	for _, id := range ids {
		q.times[id.TokenID] = append(q.times[id.TokenID], time.Now())
	}
	return make([]error, len(ids))
}

// watchMany begins the sessions of n users.
func watchMany(q *questions, n int) (*Watch, []*life) {
	q.times = make(map[string][]time.Time)
	w := NewWatch(q.recheck, func(chat.UserID, func(Revocation), func()) func() { return func() {} })
	lives := make([]*life, n)
	for i := range lives {
		lives[i] = new(life)
		lives[i].begin(Identity{IssuedAt: time.Now(), TokenID: fmt.Sprint(i)}, w, func(*chat.Error) {})
	}
	return w, lives
}

// docs/protocol.md §20: every credential is looked at within 10 s, and the store
// is asked little, and evenly: 20 questions of 500 for 10,000 sessions.
func TestCredentialsAreLookedAtInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions, intervals = 10_000, 3
		var q questions
		w, lives := watchMany(&q, sessions)
		time.Sleep(intervals*recheckEvery + time.Millisecond)
		synctest.Wait()
		if n := len(q.sizes); n != intervals*slots {
			t.Errorf("the store was asked %d times in %d intervals, want %d", n, intervals, intervals*slots)
		}
		for _, size := range q.sizes {
			if size != sessions/slots {
				t.Errorf("it was asked about %d credentials at once, want %d", size, sessions/slots)
			}
		}
		for token, times := range q.times {
			if len(times) != intervals || times[2].Sub(times[1]) != recheckEvery {
				t.Fatalf("token %s was looked at at %v, want %d times, %v apart", token, times, intervals, recheckEvery)
			}
		}
		for _, l := range lives {
			l.end()
		}
		asked := len(q.sizes)
		time.Sleep(recheckEvery)
		if len(q.sizes) != asked {
			t.Error("the store is asked about sessions that have ended")
		}
		w.Close()
	})
}

// Doubts about all topics at once do not become one question each.
func TestDoubtsAreSettledInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q questions
		w, lives := watchMany(&q, 250)
		for _, l := range lives {
			w.doubt(l)
		}
		time.Sleep(3*doubtWait + time.Millisecond)
		synctest.Wait()
		if fmt.Sprint(q.sizes) != "[100 100 50]" {
			t.Errorf("questions of %v credentials, want 100, 100 and 50", q.sizes)
		}
		w.Close()
	})
}

// A store that takes its time is asked again as soon as it has answered, and no
// slot is left out.
func TestCredentialsOverASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := questions{slow: 700 * time.Millisecond} // more than there is for a slot
		w, _ := watchMany(&q, 3*slots)
		time.Sleep(time.Minute)
		w.Close()
		for i := range 3 * slots {
			if n := len(q.times[fmt.Sprint(i)]); n < 3 {
				t.Errorf("token %d was looked at %d times in a minute, want 4 at 700 ms a question", i, n)
			}
		}
	})
}
