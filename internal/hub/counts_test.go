package hub

import (
	"maps"
	"testing"
	"testing/synctest"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/count"
)

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
