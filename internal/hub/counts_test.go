package hub

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/count"
)

// What the bus loses shows as looks at the store and events that come from there,
// and so does a log that was rewritten.
func TestCountsOfDoubts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newLedger(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		f, counts := r.sub.feed, w.hub.Counts()
		want := func(what string, looks map[string]uint64, healed, rewritten uint64) {
			t.Helper()
			synctest.Wait()
			if got := maps.Collect(counts.Looks.All); !maps.Equal(got, looks) || counts.Healed.Value() != healed || counts.Rewritten.Value() != rewritten {
				t.Errorf("%s: looks %v, %d healed, %d rewritten, want %v, %d, %d", what, got, counts.Healed.Value(), counts.Rewritten.Value(), looks, healed, rewritten)
			}
		}
		w.say(log, "heard")
		for range 3 {
			log.add(chat.Event{Kind: chat.KindMessage, Actor: chat.User{ID: "a"}})
		}
		f.take(nil)
		time.Sleep(doubtWait)
		want("a loss", map[string]uint64{lookLoss: 1, lookConflict: 0, lookCheck: 0}, 3, 0)
		time.Sleep(defaultHeadCheck)
		want("a check", map[string]uint64{lookLoss: 1, lookConflict: 0, lookCheck: 1}, 3, 0)
		log.rewrite(4)
		other := log.events[3]
		f.take([]chat.Event{other})
		time.Sleep(doubtWait)
		want("a conflict", map[string]uint64{lookLoss: 1, lookConflict: 1, lookCheck: 1}, 3, 1)
		r.sub.Detach()
	})
}

// Two readers get two events each, one a reply, and one of them comes back.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		a, b := w.reader("a", -1), w.reader("b", -1)
		at := w.join(a, "1", AttachOptions{})
		w.join(b, "1", AttachOptions{After: &at.Cursor})
		w.post("1", "a", "one")
		synctest.Wait()
		w.post("1", "a", "two")
		a.conn.Reply([]byte("reply\n"))
		synctest.Wait()
		b.conn.Close([]byte("bye\n"))
		c := w.reader("c", -1)
		w.join(c, "1", AttachOptions{After: &chat.Cursor{Epoch: "another", Seq: 1}})
		synctest.Wait()

		counts := w.hub.Counts()
		if got, want := maps.Collect(counts.Sent), (map[string]uint64{"event": 4, "passing": 0, "reply": 1, "close": 1}); !maps.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
		if got, want := maps.Collect(counts.Resumes.All), (map[string]uint64{"complete": 1, "gap": 1}); !maps.Equal(got, want) {
			t.Errorf("resumes %v, want %v", got, want)
		}
		// Each of the two loops has one of the readers.
		if got := count.Sum(counts.Delivery()...).Count; got != 4 {
			t.Errorf("%d deliveries were timed, want 4", got)
		}
		if got := count.Sum(counts.Recipients); got.Count != 2 || got.Sum != 4 {
			t.Errorf("recipients: %d times, %v in all, want twice 2", got.Count, got.Sum)
		}
		if got := string(b.conn.Last()); got != "bye\n" {
			t.Errorf("the last frame is %q, want what Close was given", got)
		}
	})
}
