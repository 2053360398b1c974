package hub

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// newCountedLedger is a world whose room 1 is a ledger of n messages, the reads
// of which are counted.
func newCountedLedger(t *testing.T, n int) (*world, *ledger, *counted) {
	l := new(ledger)
	log := &counted{Reader: l}
	w := newWorld(t, local.New(), func(c *Config) { c.Log = log })
	for range n {
		w.say(l, "text")
	}
	return w, l, log
}

// newEdited is such a world of a hundred messages with a reader, after an edit
// of the one at 95. The caller detaches the reader.
func newEdited(t *testing.T) (w *world, l *ledger, log *counted, warm *reader) {
	w, l, log = newCountedLedger(t, 100)
	warm = w.readerOf("w", -1, &v1Dialect)
	w.join(warm, "1", AttachOptions{})
	w.tell(l, chat.Event{Kind: chat.KindMessageEdited, Target: 95})
	return w, l, log, warm
}

// begin attaches a reader, has it delivered to, and detaches it. It returns what
// the reader was shown of the past.
func (w *world) begin(d *Dialect, opt AttachOptions) string {
	r := w.readerOf("r", -1, d)
	at := w.join(r, "1", opt)
	settle()
	var past strings.Builder
	for _, e := range at.Recent {
		past.Write(e.Frame)
	}
	r.sub.Detach()
	return past.String() + strings.Join(r.lines(), "\n")
}

// However many readers come after a change of the log, and from wherever, the
// past is read once.
func TestThePastIsReadOnceAfterAChange(t *testing.T) {
	changes := map[string]chat.Event{
		"an edit":            {Kind: chat.KindMessageEdited, Target: 290},
		"an edit of the end": {Kind: chat.KindMessageEdited, Target: 300},
		"a deletion":         {Kind: chat.KindMessageDeleted, Target: 290},
		"an erasure":         {Kind: chat.KindMessagesErased, Subject: "a"},
	}
	joins := AttachOptions{Recent: 50, RecentBytes: 1 << 20}
	resumes := AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch, Seq: 250, Tag: 250, HasTag: true}}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l, log := newCountedLedger(t, 300)
				defer w.close()
				warm := w.readerOf("w", -1, &v1Dialect)
				w.join(warm, "1", AttachOptions{})
				w.say(l, "live")
				settle()
				for round := range 2 {
					reads := log.before.Load() + log.after.Load()
					w.tell(l, change)
					l.mu.Lock()
					l.slow = func() { time.Sleep(time.Second) }
					l.mu.Unlock()
					for range 5 {
						for _, d := range []*Dialect{&seedDialect, &v1Dialect} {
							for _, opt := range []AttachOptions{joins, resumes} {
								if got := w.begin(d, opt); strings.Contains(got, "300 text") && change.Target == 300 || got == "" {
									t.Errorf("after %s a reader is shown %q", name, got)
								}
							}
						}
					}
					if n := log.before.Load() + log.after.Load() - reads; n != 1 {
						t.Errorf("round %d: the log was read %d times, want once", round, n)
					}
				}
				warm.sub.Detach()
			})
		})
	}
}

// Readers who come at the same time wait for the same read.
func TestReadersShareTheReadAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, log, warm := newEdited(t)
		defer w.close()
		l.slow = func() { time.Sleep(time.Second) }
		reads := log.before.Load()
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				r := w.readerOf("r", -1, &v1Dialect)
				sub, at, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{Recent: 20, RecentBytes: 1 << 20})
				if err != nil || len(at.Recent) != 20 || string(at.Recent[13].Frame) != "95 edited\n" {
					t.Errorf("Attach = %d recent events, %v, want 20 with the edit", len(at.Recent), err)
				}
				sub.Detach()
			})
		}
		readers.Wait()
		if n := log.before.Load() - reads; n != 1 {
			t.Errorf("the log was read %d times, want once", n)
		}
		warm.sub.Detach()
	})
}

// A change that comes while the past is read again is not hidden by what was
// read before it.
func TestAChangeWhileThePastIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _, warm := newEdited(t)
		defer w.close()
		l.slow = func() { time.Sleep(time.Second) }
		first := make(chan string, 1)
		go func() { first <- w.begin(&v1Dialect, AttachOptions{Recent: 20, RecentBytes: 1 << 20}) }()
		time.Sleep(time.Second / 2)
		w.tell(l, chat.Event{Kind: chat.KindMessageDeleted, Target: 94})
		<-first
		for range 2 {
			got := w.begin(&v1Dialect, AttachOptions{Recent: 20, RecentBytes: 1 << 20})
			if !strings.Contains(got, "94 blank\n") || !strings.Contains(got, "95 edited\n") {
				t.Errorf("a reader is shown %q, want 94 blank and 95 edited", got)
			}
		}
		warm.sub.Detach()
	})
}

// A reader who does not wait for the past gets what the tail still has.
func TestReaderThatDoesNotWaitForThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _, warm := newEdited(t)
		defer w.close()
		l.slow = func() { time.Sleep(2 * openTimeout) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := w.readerOf("r", -1, &v1Dialect)
		sub, at, err := w.hub.Attach(ctx, r.conn, "1", AttachOptions{Recent: 3, RecentBytes: 1 << 20})
		if err != nil || len(at.Recent) != 3 {
			t.Errorf("Attach of a reader who needs what is there = %d events, %v, want 3", len(at.Recent), err)
		}
		if err == nil {
			sub.Detach()
		}
		warm.sub.Detach()
	})
}

// bare is a log from which retention has taken what stood before any seq that is
// asked for.
type bare struct{ store.Reader }

func (b bare) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	page, err := b.Reader.Before(ctx, id, before, limit)
	page.Events = nil
	return page, err
}

// A past that is not kept any more is looked for once.
func TestThePastThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, log, warm := newEdited(t)
		defer w.close()
		log.Reader = bare{log.Reader}
		reads := log.before.Load()
		for range 3 {
			w.begin(&v1Dialect, AttachOptions{Recent: 20, RecentBytes: 1 << 20})
		}
		if n := log.before.Load() - reads; n != 1+3 {
			t.Errorf("the log was read %d times, want once for all and once by each reader, who needs more than the tail has", n)
		}
		warm.sub.Detach()
	})
}

// The tail takes back no more than its limit leaves room for.
func TestTailPrepends(t *testing.T) {
	var older, tl tail
	for seq := uint64(1); seq <= 100; seq++ {
		older.add(seq, frameOf(seq, 200), uint32(seq), false, 1<<20)
	}
	for seq := uint64(101); seq <= 110; seq++ {
		tl.add(seq, frameOf(seq, 200), uint32(seq), false, 1<<20)
	}
	noted := tl.snapshot(nil)
	full := tl.snapshot(nil)
	full.prepend(older, 1<<20)
	tl.prepend(older, 20<<10)
	if full.first() != 1 || noted.first() != 101 {
		t.Errorf("the tails begin at %d and %d, want 1 and 101", full.first(), noted.first())
	}
	if tl.bytes > 20<<10 || tl.first() == 101 || tl.first() == 1 {
		t.Errorf("the tail begins at %d and has %d bytes, want a part of the older", tl.first(), tl.bytes)
	}
	for seq := tl.first(); seq <= 110; seq++ {
		if k := tl.find(seq); k == nil || string(k.frame(seq)) != string(frameOf(seq, 200)) {
			t.Fatalf("seq %d is not where it was", seq)
		}
	}
}
