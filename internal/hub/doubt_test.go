package hub

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// A failover may take the newest events away and others come in their place:
// the same seqs in the same life of the log, with other tags. Readers who have
// seen what is gone are sent away, however the hub comes to know.
func TestForkedLogEndsItsReaders(t *testing.T) {
	foreign := func(seq uint64) func(*store.Page) error {
		return func(p *store.Page) error {
			for i := range p.Events {
				if p.Events[i].Seq == seq {
					p.Events[i].Tag++
				}
			}
			return nil
		}
	}
	cases := []struct {
		name string
		show func(w *world, f *Feed, events []chat.Event)
	}{
		{"the other event is heard", func(_ *world, f *Feed, events []chat.Event) {
			other := events[1]
			other.Tag++
			f.take([]chat.Event{other})
		}},
		{"the other event was held", func(_ *world, f *Feed, events []chat.Event) {
			other := events[1]
			other.Tag++
			f.mu.Lock()
			f.hold(&other)
			f.takeHeld()
			f.mu.Unlock()
		}},
		{"a gap is read", func(_ *world, f *Feed, _ []chat.Event) { f.fill() }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newTwisted(t, local.New(), nil)
				defer w.close()
				r := w.reader("r", -1)
				w.join(r, "1", AttachOptions{})
				events := []chat.Event{w.post("1", "a", "one"), w.post("1", "a", "two")}
				settle()
				log.set(func(l *twisted) { l.after = foreign(2) })
				c.show(w, r.sub.feed, events)
				time.Sleep(doubtWait)
				r.wantBye(t, Rewritten)
				r.sub.Detach()
			})
		})
	}
}

// An event that the log does not have under its seq does no harm: the log is
// asked, as soon as it can be, and the readers stay.
func TestEventThatIsNotInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		wrong := w.post("1", "a", "one")
		wrong.Tag++
		settle()
		log.set(func(l *twisted) { l.after = func(*store.Page) error { return errors.New("no answer") } })
		r.sub.feed.take([]chat.Event{wrong})
		time.Sleep(doubtWait)
		settle()
		log.set(func(l *twisted) { l.after = nil })
		asked := log.readCount()
		time.Sleep(2 * defaultHeadCheck)
		settle()
		if n := log.readCount() - asked; n != 1 {
			t.Errorf("after the log had no answer it was asked %d times, want once", n)
		}
		w.post("1", "a", "two")
		settle()
		r.wantSeqs(t, 1, 2)
		if r.State().Finished {
			t.Error("the reader was sent away")
		}
		r.sub.Detach()
	})
}

// An event that says of the one before it what the log does not: it is given out
// once the log has been asked, if it is there, and if not the log is not asked
// again for it. The readers stay.
func TestEventThatFollowsWhatIsNotInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, deadBus(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		f := r.sub.feed
		wrong := func(e chat.Event) []chat.Event {
			e.Follows = f.tail.chunks[0].tag(1) + 1
			return []chat.Event{e}
		}
		one := w.post("1", "a", "one")
		f.take([]chat.Event{one})
		gone := one
		gone.Seq, gone.Tag = 2, one.Tag+1
		f.take(wrong(gone))
		time.Sleep(2 * doubtWait)
		asked := log.readCount()
		time.Sleep(time.Minute)
		if n := log.readCount() - asked; n != 0 {
			t.Errorf("the log was asked %d times more for what it does not have", n)
		}
		settle()
		r.wantSeqs(t, 1, 1)
		f.take(wrong(w.post("1", "a", "two")))
		settle()
		r.wantSeqs(t, 1, 1)
		time.Sleep(2 * doubtWait)
		settle()
		r.wantSeqs(t, 1, 2)
		if r.State().Finished {
			t.Error("the reader was sent away")
		}
		r.sub.Detach()
	})
}

// Without the bus's word, a feed that has no reader is not looked at; with it,
// the next reader begins with what is in the log.
func TestDoubtReachesIdleFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deadBus(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		f := r.sub.feed
		r.sub.Detach()
		w.post("1", "a", "one")
		f.take(nil)
		time.Sleep(doubtWait)
		settle()
		if n := f.head(); n != 1 {
			t.Errorf("the head of the feed is %d, want 1", n)
		}
	})
}

// A user's topic has no log: doubts about it are nothing to the hub.
func TestDoubtAboutAUsersTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := bustest.Cluster(openLocal, 2, 1, bustest.Faults{Drop: 1})
		defer nodes[1].Close()
		w := newWorld(t, nodes[0], nil)
		defer w.close()
		c := w.readerOf("u", -1, &v1Dialect)
		sub, err := w.hub.AttachUser(c.conn)
		if err != nil {
			t.Fatal(err)
		}
		sub.Start(0)
		time.Sleep(time.Minute)
		w.bus.Publish(bus.UserTopic("u"), []chat.Event{{Room: "1", Kind: chat.KindUnread}})
		settle()
		if got := c.lines(); len(got) != 1 || !strings.HasPrefix(got[0], "passing notice") {
			t.Errorf("written %q, want the notice alone", got)
		}
		sub.Detach()
	})
}

// After a sleep, on whichever clock it shows, all rooms are looked at.
func TestRoundAfterASleepIsAboutAllRooms(t *testing.T) {
	start := time.Now()
	wall := func(d time.Duration) time.Time { return start.Add(d).Round(0) }
	cases := []struct {
		name string
		at   time.Time
		want bool
	}{
		{"in time", start.Add(2 * time.Second), false},
		{"a little late", start.Add(3 * time.Second), false},
		{"stopped", start.Add(12 * time.Second), true},
		{"stopped, on the wall's clock only", wall(12 * time.Second), true},
	}
	for _, c := range cases {
		r := rounds{every: 2 * time.Second, last: start, count: 1}
		if got := r.all(c.at); got != c.want {
			t.Errorf("%s: all = %v, want %v", c.name, got, c.want)
		}
	}
	r := rounds{every: time.Second, last: start}
	for i := range 10 {
		if got, want := r.all(r.last.Add(time.Second)), i%quietEvery == 0; got != want {
			t.Errorf("round %d: all = %v, want %v", i, got, want)
		}
	}
}
