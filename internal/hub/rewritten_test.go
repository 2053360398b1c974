package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// twisted is a log whose answers a test changes on their way. A nil function
// changes nothing.
type twisted struct {
	store.Reader

	mu     sync.Mutex
	heads  func([]store.Head) []store.Head
	after  func(*store.Page) error
	before func(*store.Page)
	reads  int // calls of After
}

func (l *twisted) Heads(ctx context.Context, ids []chat.RoomID) ([]store.Head, error) {
	heads, err := l.Reader.Heads(ctx, ids)
	l.mu.Lock()
	change := l.heads
	l.mu.Unlock()
	if change != nil {
		heads = change(heads)
	}
	return heads, err
}

func (l *twisted) After(ctx context.Context, id chat.RoomID, after uint64, limit store.Limit) (store.Page, error) {
	page, err := l.Reader.After(ctx, id, after, limit)
	l.mu.Lock()
	l.reads++
	change := l.after
	l.mu.Unlock()
	if change != nil {
		err = change(&page)
	}
	return page, err
}

func (l *twisted) Before(ctx context.Context, id chat.RoomID, before uint64, limit store.Limit) (store.Page, error) {
	page, err := l.Reader.Before(ctx, id, before, limit)
	l.mu.Lock()
	change := l.before
	l.mu.Unlock()
	if change != nil {
		change(&page)
	}
	return page, err
}

// set changes what is changed from now on.
func (l *twisted) set(f func(*twisted)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

func (l *twisted) readCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// newTwisted is a world with a twisted log.
func newTwisted(t *testing.T, b bus.Bus, change func(*Config)) (*world, *twisted) {
	log := new(twisted)
	w := newWorld(t, b, func(c *Config) {
		log.Reader = c.Log
		c.Log = log
		if change != nil {
			change(c)
		}
	})
	return w, log
}

func deadBus() bus.Bus { return bustest.Chaotic(local.New(), 1, bustest.Faults{Drop: 1}) }

// wantBye wants the reader to have been sent away for a reason.
func (r *reader) wantBye(t *testing.T, reason Reason) {
	t.Helper()
	settle()
	lines := r.lines()
	if want := "bye " + string('0'+rune(reason)); !slices.Contains(lines, want) || !r.State().Finished {
		t.Errorf("written %.200q, want it to end with %q", lines, want)
	}
}

// A check of heads that finds another log sends the readers away, and the
// next reader gets the log as it is.
func TestRewrittenLogEndsItsReaders(t *testing.T) {
	cases := []struct {
		name  string
		heads func([]store.Head) []store.Head
		ended bool
	}{
		{"another epoch", func(h []store.Head) []store.Head { h[0].Room.Epoch = "other"; return h }, true},
		{"a lower head", func(h []store.Head) []store.Head { h[0].Room.Head--; return h }, true},
		{"another newest event", func(h []store.Head) []store.Head { h[0].Tag++; return h }, true},
		{"no log any more", func([]store.Head) []store.Head { return nil }, true},
		{"the same", func(h []store.Head) []store.Head { return h }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newTwisted(t, local.New(), nil)
				defer w.close()
				r := w.reader("r", -1)
				w.join(r, "1", AttachOptions{})
				w.post("1", "a", "one")
				w.post("1", "a", "two")
				log.set(func(l *twisted) { l.heads = c.heads })
				time.Sleep(defaultHeadCheck)
				if !c.ended {
					settle()
					if r.State().Finished {
						t.Error("a reader was sent away from a log that is as it was")
					}
					r.sub.Detach()
					return
				}
				r.wantBye(t, Rewritten)
				log.set(func(l *twisted) { l.heads = nil })
				old := r.sub.feed
				again := w.reader("r", -1)
				w.join(again, "1", AttachOptions{})
				if again.sub.feed == old {
					t.Error("the next reader reads the feed of the rewritten log")
				}
				r.sub.Detach()
				if old.mu.Lock(); !old.closed {
					t.Error("the old feed is open after its last reader has gone")
				}
				old.mu.Unlock()
				again.sub.Detach()
			})
		})
	}
}

// newReadLedger is a world with a ledger of three events, which a reader has.
// The caller detaches the reader.
func newReadLedger(t *testing.T) (w *world, log *ledger, r *reader) {
	w, log = newLedger(t, local.New(), nil)
	r = w.reader("r", -1)
	w.join(r, "1", AttachOptions{})
	for range 3 {
		w.say(log, "text")
	}
	settle()
	return w, log, r
}

// A failover that lost the newest events, and as many new ones since: the log is
// as long as before. The next look at the store finds out, in doubt or not, and
// the cursors of those who have read what is gone are not continued.
func TestRewrittenLogOfEqualLength(t *testing.T) {
	cases := []struct {
		name string
		look func(*Feed)
	}{
		{"after a loss", func(f *Feed) { f.take(nil); time.Sleep(doubtWait) }},
		{"at the next check", func(*Feed) { time.Sleep(quietEvery * defaultHeadCheck) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log, r := newReadLedger(t)
				defer w.close()
				log.rewrite(3)
				c.look(r.sub.feed)
				r.wantBye(t, Rewritten)
				again := w.reader("r", -1)
				at := w.join(again, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch, Seq: 3, Tag: 3, HasTag: true}, Recent: 9, RecentBytes: 1 << 20})
				if at.Gap != GapEpoch || len(at.Recent) != 3 || !strings.Contains(string(at.Recent[2].Frame), "rewritten") {
					t.Errorf("the reader comes back to gap %v and %d events, want gap %v and the log as it is", at.Gap, len(at.Recent), GapEpoch)
				}
				r.sub.Detach()
				again.sub.Detach()
			})
		})
	}
}

// An event of a seq that the feed has, with another tag, and its followers: what
// follows is given to nobody until the log has said which of the two it has.
func TestNothingFollowsADisputedEvent(t *testing.T) {
	for _, rewritten := range []bool{true, false} {
		t.Run(fmt.Sprint("rewritten ", rewritten), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log, r := newReadLedger(t)
				defer w.close()
				other := chat.Event{Room: "1", Epoch: ledgerEpoch, Seq: 3, Tag: 99, Kind: chat.KindMessage, Body: []byte("other")}
				if rewritten {
					log.mu.Lock()
					log.events[2] = other
					log.mu.Unlock()
				}
				next := log.add(chat.Event{Kind: chat.KindMessage, Actor: chat.User{ID: "a"}, Body: []byte("next")})
				w.bus.Publish(bus.RoomTopic("1"), []chat.Event{other, next})
				settle()
				r.wantSeqs(t, 1, 3)
				time.Sleep(2 * doubtWait)
				if rewritten {
					r.wantBye(t, Rewritten)
				} else {
					settle()
					r.wantSeqs(t, 1, 4)
				}
				r.sub.Detach()
			})
		})
	}
}

// A failover has taken the newest event away, the bus has lost the one that got
// its seq, and then comes what follows that. By then the tags of the heads agree:
// only what it says of the event before it shows what has become of the log.
func TestNothingFollowsAnEventThatIsGone(t *testing.T) {
	type tell func(...chat.Event)
	cases := []struct {
		name string
		come func(tell tell, gone, next, last chat.Event)
	}{
		{"one after the other", func(tell tell, gone, next, last chat.Event) { tell(gone); tell(next); tell(last) }},
		{"at once", func(tell tell, gone, next, last chat.Event) { tell(gone); tell(next, last) }},
		{"in another order", func(tell tell, gone, next, last chat.Event) { tell(gone); tell(last); tell(next) }},
		{"what is gone comes last", func(tell tell, gone, next, last chat.Event) { tell(next, last); tell(gone) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log, r := newReadLedger(t)
				defer w.close()
				said := chat.Event{Kind: chat.KindMessage, Actor: chat.User{ID: "a"}}
				gone := log.add(said)
				log.rewrite(gone.Seq)
				next, last := log.add(said), log.add(said)
				c.come(func(events ...chat.Event) { w.bus.Publish(bus.RoomTopic("1"), events) }, gone, next, last)
				settle()
				r.wantSeqs(t, 1, gone.Seq)
				time.Sleep(2 * doubtWait)
				r.wantBye(t, Rewritten)
				again := w.reader("r", -1)
				after := gone.Cursor()
				if at := w.join(again, "1", AttachOptions{After: &after}); at.Gap != GapEpoch || at.Head != last.Seq {
					t.Errorf("the reader comes back to gap %v and head %d, want %v and %d", at.Gap, at.Head, GapEpoch, last.Seq)
				}
				r.sub.Detach()
				again.sub.Detach()
			})
		})
	}
}

// An event that comes while the store is asked makes its answer old, not the
// log another one.
func TestHeadThatMovesWhileItIsComparedIsNoRewriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		w.post("1", "a", "one")
		log.set(func(l *twisted) {
			l.heads = func(h []store.Head) []store.Head { // read before
				w.post("1", "a", "two")
				time.Sleep(time.Millisecond) // until it has been published
				return h
			}
		})
		time.Sleep(defaultHeadCheck + time.Second)
		settle()
		log.set(func(l *twisted) { l.heads = nil })
		r.wantSeqs(t, 1, 2)
		if r.State().Finished {
			t.Error("a reader was sent away")
		}
		r.sub.Detach()
	})
}

// A gap that the log cannot fill ends the readers, and does not make the hub
// read for ever.
func TestGapThatCannotBeFilled(t *testing.T) {
	for name, change := range map[string]func(*store.Page) error{
		"another epoch": func(p *store.Page) error {
			p.Room.Epoch = "other"
			for i := range p.Events {
				p.Events[i].Epoch = "other"
			}
			return nil
		},
		"trimmed": func(p *store.Page) error {
			p.Events = p.Events[min(1, len(p.Events)):]
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newTwisted(t, deadBus(), nil)
				defer w.close()
				r := w.reader("r", -1)
				w.join(r, "1", AttachOptions{})
				for range 3 {
					w.post("1", "a", "text")
				}
				log.set(func(l *twisted) { l.after = change })
				time.Sleep(defaultHeadCheck)
				r.wantBye(t, Rewritten)
				if n := log.readCount(); n > 2 {
					t.Errorf("the log was read %d times", n)
				}
				r.sub.Detach()
			})
		})
	}
}

// A feed may lose its last reader just before it is evicted.
func TestEvictingAnIdleFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		f := r.sub.feed
		r.sub.Detach()
		f.evict(chat.Room{})
		if f.mu.Lock(); !f.closed || w.hub.idle != 0 {
			t.Errorf("closed %v with %d idle feeds, want true and 0", f.closed, w.hub.idle)
		}
		f.mu.Unlock()
	})
}

// What a reader who is behind cannot be given ends its connection.
func TestPageThatCannotBeHad(t *testing.T) {
	cases := []struct {
		name   string
		change func(*store.Page) error
		reason Reason
	}{
		{"the store fails", func(*store.Page) error { return store.ErrUnavailable }, Unreadable},
		{"trimmed below the reader", func(p *store.Page) error { p.Events = p.Events[5:]; return nil }, Rewritten},
		{"nothing there", func(p *store.Page) error { p.Events = nil; return nil }, Rewritten},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newTwisted(t, local.New(), func(c *Config) { c.TailBytes = 1 << 10 })
				defer w.close()
				for range 200 {
					w.post("1", "a", "a text of some length")
				}
				log.set(func(l *twisted) { l.after = c.change })
				r := w.reader("r", -1)
				w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: w.store.Epoch(), Seq: 1}})
				r.wantBye(t, c.reason)
				r.sub.Detach()
			})
		})
	}
}

// docs/protocol.md §14.3: a reader that is told of gaps goes on after what was
// trimmed before it was read.
func TestTrimmedBelowAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), func(c *Config) { c.TailBytes = 1 << 10 })
		defer w.close()
		for range 200 {
			w.post("1", "a", "a text of some length")
		}
		log.set(func(l *twisted) {
			l.after = func(p *store.Page) error {
				p.Room.Floor = 50
				p.Events = slices.DeleteFunc(p.Events, func(e chat.Event) bool { return e.Seq < 50 })
				return nil
			}
		})
		told := v1Dialect
		told.Gap = func(b []byte, s *Sub, from, to uint64) []byte {
			return fmt.Appendf(b, "gap %d to %d, then %d\n", from, to, s.Cursor().Seq+1)
		}
		r := w.readerOf("r", -1, &told)
		w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: w.store.Epoch(), Seq: 9}}, Marker{At: 200, Make: func(b []byte, _ *Sub) []byte { return append(b, "caught up\n"...) }})
		settle()
		lines := r.lines()
		if len(lines) != 153 || lines[0] != "gap 10 to 49, then 50" || !strings.HasPrefix(lines[1], "50 ") || lines[152] != "caught up" {
			t.Errorf("%d lines, the first ones %q, want a gap, 50 to 200, and caught up", len(lines), lines[:min(2, len(lines))])
		}
		r.sub.Detach()
	})
}

// docs/protocol.md §6.4, retention.
func TestCursorBelowTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), nil)
		defer w.close()
		for range 20 {
			w.post("1", "a", "text")
		}
		log.set(func(l *twisted) {
			l.before = func(p *store.Page) { p.Room.Floor, p.Events = 11, p.Events[max(0, len(p.Events)-10):] }
		})
		for after, want := range map[uint64]Gap{0: GapRetention, 3: GapRetention, 9: GapRetention, 10: GapNone, 15: GapNone} {
			r := w.reader("r", -1)
			at := w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: w.store.Epoch(), Seq: after}, Recent: 5, RecentBytes: 1 << 20})
			if at.Gap != want || want == GapRetention && (at.From != after+1 || at.To != 15 || len(at.Recent) != 5) {
				t.Errorf("cursor %d: gap %v of %d..%d and %d recent events, want gap %v of %d..15 and 5", after, at.Gap, at.From, at.To, len(at.Recent), want, after+1)
			}
			r.sub.Detach()
		}
	})
}

// Nothing is attached to a room that cannot be read, and the next reader
// tries again.
func TestFeedThatCannotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		w.post("1", "a", "one")
		broken := errors.New("broken")
		log := w.hub.cfg.Log
		w.hub.cfg.Log = unreadable{log, broken}
		r := w.reader("r", -1)
		if _, _, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{}); !errors.Is(err, broken) {
			t.Errorf("Attach = %v, want %v", err, broken)
		}
		w.hub.cfg.Log = log
		if at := w.join(r, "1", AttachOptions{}); at.Head != 1 {
			t.Errorf("head %d, want 1", at.Head)
		}
		r.sub.Detach()
	})
}

// unreadable is a log that cannot be read.
type unreadable struct {
	store.Reader
	err error
}

func (l unreadable) Before(context.Context, chat.RoomID, uint64, store.Limit) (store.Page, error) {
	return store.Page{}, l.err
}
