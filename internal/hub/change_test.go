package hub

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/bus/local"
)

// Once a feed has taken a deletion, an edit or an erasure, no reader is given
// the old text: not one that joins, not one that resumes, not one that has
// been behind all along.
func TestOldTextIsForgotten(t *testing.T) {
	cases := []struct {
		name   string
		change chat.Event
	}{
		{"deleted", chat.Event{Kind: chat.KindMessageDeleted, Target: 10}},
		{"edited", chat.Event{Kind: chat.KindMessageEdited, Target: 10}},
		{"erased", chat.Event{Kind: chat.KindMessagesErased, Subject: "secret"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newLedger(t, local.New(), nil)
				defer w.close()
				warm, behind := w.readerOf("w", -1, &v1Dialect), w.readerOf("b", 0, &v1Dialect)
				w.join(warm, "1", AttachOptions{})
				w.join(behind, "1", AttachOptions{})
				behind.conn.Reply([]byte("reply\n")) // is stuck, and so is what follows
				settle()
				for i := range 20 {
					user, text := chat.UserID("a"), "text"
					if i == 9 {
						user, text = "secret", "SECRET"
					}
					w.tell(log, chat.Event{Kind: chat.KindMessage, Actor: chat.User{ID: user}, Body: []byte(text)})
				}
				settle()
				c.change.Body = []byte("change")
				w.tell(log, c.change)
				w.say(log, "live")
				for _, d := range []*Dialect{&seedDialect, &v1Dialect} {
					joins, resumes := w.readerOf("j", -1, d), w.readerOf("s", -1, d)
					at := w.join(joins, "1", AttachOptions{Recent: 50, RecentBytes: 1 << 20})
					for _, e := range at.Recent {
						if strings.Contains(string(e.Frame), "SECRET") {
							t.Errorf("profile %d: the recent past has %q", d.Profile, e.Frame)
						}
					}
					if d.Profile == V1 && len(at.Recent) != 22 {
						t.Errorf("%d recent events, want 22", len(at.Recent))
					}
					w.join(resumes, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch, Seq: 5}})
					settle()
					if got := resumes.lines(); strings.Contains(strings.Join(got, "|"), "SECRET") || !strings.HasPrefix(got[0], "6 ") || got[len(got)-1] != "22 live" {
						t.Errorf("profile %d: resuming gave %q", d.Profile, got)
					}
					joins.sub.Detach()
					resumes.sub.Detach()
				}
				behind.Allow(1 << 20)
				settle()
				if got := strings.Join(behind.lines(), "|"); strings.Contains(got, "SECRET") {
					t.Errorf("a reader that was behind got %q", got)
				}
				behind.wantSeqs(t, 1, 22)
				warm.wantSeqs(t, 1, 22)
				behind.sub.Detach()
				warm.sub.Detach()
			})
		})
	}
}

// A page that was read, or is being read, before a deletion is not used after
// it.
func TestPagesFromBeforeADeletionAreVoid(t *testing.T) {
	for name, wait := range map[string]time.Duration{"being read": 0, "has been read": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newLedger(t, local.New(), func(c *Config) { c.TailBytes = 1 << 10 })
				defer w.close()
				for i := range 120 {
					text := strings.Repeat("x", 1000)
					if i == 99 {
						text = "SECRET"
					}
					w.say(log, text)
				}
				log.slow = func() { time.Sleep(time.Second) }
				r := w.readerOf("r", 10<<10, &v1Dialect) // the first 64 KiB fill it
				w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}})
				settle()
				time.Sleep(wait)
				joined := w.readerOf("j", -1, &v1Dialect)
				w.tell(log, chat.Event{Kind: chat.KindMessageDeleted, Target: 100})
				w.join(joined, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}})
				settle()
				r.Allow(1 << 20)
				time.Sleep(5 * time.Second)
				settle()
				for _, r := range []*reader{r, joined} {
					r.wantSeqs(t, 1, 121)
					if strings.Contains(string(r.Taken()), "SECRET") {
						t.Error("the deleted text was delivered")
					}
					r.sub.Detach()
				}
			})
		})
	}
}

// A tail that forgets is the end of the log, as before, and what had been noted
// of it stays as it was.
func TestTailForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tl tail
		n := rapid.Uint64Range(1, 120).Draw(t, "events")
		hidden := func(seq uint64) bool { return seq%3 == 0 || seq%7 == 1 }
		for seq := uint64(1); seq <= n; seq++ {
			tl.add(seq, frameOf(seq, int(seq*37%900)), uint32(seq), hidden(seq), 1<<20)
		}
		noted := tl.snapshot(nil)
		upto := rapid.Uint64Range(0, n+1).Draw(t, "upto")
		tl.forget(upto)
		tl.add(n+1, frameOf(n+1, 50), uint32(n+1), hidden(n+1), 1<<20)
		total := 0
		for i := range tl.chunks {
			total += cap(tl.chunks[i].buf)
		}
		if total != tl.bytes {
			t.Fatalf("%d bytes are counted, want %d", tl.bytes, total)
		}
		for seq := uint64(1); seq <= n+1; seq++ {
			k := tl.find(seq)
			if (k != nil) != (seq > upto || seq == n+1) {
				t.Fatalf("after forget(%d): seq %d is held: %v", upto, seq, k != nil)
			}
			if k != nil {
				last, hid := k.run(seq, n+1)
				if string(k.frame(seq)) != string(frameOf(seq, len(k.frame(seq)))) || k.tag(seq) != uint32(seq) || hid != hidden(seq) {
					t.Fatalf("seq %d is %q hidden %v", seq, k.frame(seq), hid)
				}
				for s := seq; s <= last; s++ {
					if hidden(s) != hid {
						t.Fatalf("the run of %d goes on to %d over %d", seq, last, s)
					}
				}
			}
			if seq <= n && string(noted.find(seq).frame(seq)) != string(frameOf(seq, len(noted.find(seq).frame(seq)))) {
				t.Fatalf("the snapshot has changed at %d", seq)
			}
		}
	})
}

// Changes that have been forgotten count as having touched everything.
func TestChangesAreBounded(t *testing.T) {
	var c changes
	for i := range uint64(10 * maxChanges) {
		c.add(change{i, i})
		if len(c.list) > maxChanges {
			t.Fatalf("%d changes are kept, want at most %d", len(c.list), maxChanges)
		}
	}
	for _, w := range []struct {
		first, last, since uint64
		want               bool
	}{
		{1, 10, 0, true}, {1, 10, c.count - 5, false}, {1, c.count, c.count - 5, true}, {c.count - 1, c.count, c.count - 1, true}, {1, 1 << 40, c.count, false},
	} {
		if got := c.touch(w.first, w.last, w.since); got != w.want {
			t.Errorf("touch(%d, %d, %d) = %v, want %v", w.first, w.last, w.since, got, w.want)
		}
	}
}
