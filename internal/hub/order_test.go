package hub

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// Promise 2 rests on this: a loop notes the heads before it takes replies.
func TestHeadsAreNotedBeforeRepliesAreTaken(t *testing.T) {
	w := newWorld(t, local.New(), nil)
	defer w.close()
	r := w.reader("r", -1)
	w.join(r, "1", AttachOptions{})
	f := r.sub.feed
	time.Sleep(10 * time.Millisecond) // the pass that follows joining
	// A pass that is held up while it notes the head finds a reply and the
	// event that came after it. Were the replies taken already, the event would
	// go without.
	f.mu.Lock()
	r.conn.wakeSub(r.sub)
	time.Sleep(10 * time.Millisecond) // for the pass to begin; the result does not depend on it
	r.conn.Reply([]byte("reply\n"))
	f.append(&chat.Event{Room: "1", Kind: chat.KindMessage, Seq: 1, Epoch: f.epoch, Body: []byte("{}")})
	f.mu.Unlock()
	w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindTyping, Actor: chat.User{ID: "a"}}}) // wakes the feed
	eventually(t, "all deliveries", func() bool { return len(r.lines()) == 3 })
	if got, want := strings.Join(r.lines(), "|"), "reply|1 {}|passing 4 a 0"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	r.sub.Detach()
}

// Events that change places wait for nothing but each other.
func TestSwappedEventsNeedNoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, deadBus(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		var events []chat.Event
		for range 4 {
			events = append(events, w.post("1", "a", "text"))
		}
		f := r.sub.feed
		for _, i := range []int{3, 1, 0, 3, 1, 2, 0, 3} {
			f.take(events[i : i+1])
		}
		settle()
		r.wantSeqs(t, 1, 4)
		if f.mu.Lock(); len(f.held) != 0 || f.gap != nil {
			t.Errorf("%d events are held and a gap is waited for (%v), want neither", len(f.held), f.gap != nil)
		}
		f.mu.Unlock()
		time.Sleep(10 * defaultGapWait)
		if n := log.readCount(); n != 0 {
			t.Errorf("the log was read %d times", n)
		}
		r.sub.Detach()
	})
}

// Events of another life of the log are not taken for this one's.
func TestEventsOfAnotherEpochAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deadBus(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		foreign := chat.Event{Room: "1", Kind: chat.KindMessage, Epoch: "other", Seq: 1, Body: []byte("{}")}
		r.sub.feed.take([]chat.Event{foreign})
		settle()
		if got := r.lines(); len(got) != 0 {
			t.Errorf("delivered %q, want nothing", got)
		}
		r.sub.Detach()
	})
}

// What is published while a feed opens, after its read of the log, is not
// lost; and it is not confused by another life of the log.
func TestEventsWhileAFeedOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), nil)
		defer w.close()
		log.set(func(l *twisted) {
			l.before = func(*store.Page) { // has been read
				w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindMessage, Epoch: "other", Seq: 1, Body: []byte("{}")}})
				w.post("1", "a", "one")
				w.post("1", "a", "two")
				time.Sleep(time.Millisecond) // until they have been published
			}
		})
		r := w.reader("r", -1)
		at := w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: w.store.Epoch()}})
		if settle(); at.Head != 2 {
			t.Errorf("attached at head %d, want 2", at.Head)
		}
		r.wantSeqs(t, 1, 2)
		for _, line := range r.lines() {
			if strings.HasSuffix(line, "{}") {
				t.Errorf("delivered %q, which is of another epoch", line)
			}
		}
		r.sub.Detach()
	})
}

// A gap of any length is read at once, not a page each GapWait.
func TestLongGapIsReadInOneGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deadBus(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		var last chat.Event
		for range 3*gapLimit.Events + 10 {
			last = w.post("1", "a", "text")
		}
		r.sub.feed.take([]chat.Event{last})
		time.Sleep(defaultGapWait)
		settle()
		r.wantSeqs(t, 1, last.Seq)
		r.sub.Detach()
	})
}

// An event that is not in the log, as one that a failover has taken away, is
// looked for once. When others get its seq and those before it they come as ever.
func TestEventThatTheLogDoesNotHaveIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, log := newCountedLedger(t, 3)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}})
		before := log.after.Load()
		w.publish("1", 6, "lost")
		time.Sleep(time.Minute)
		if n := log.after.Load() - before; n != 1 {
			t.Errorf("the log was read %d times in a minute for an event that it does not have, want once", n)
		}
		for range 4 {
			w.say(l, "stored")
		}
		settle()
		r.wantSeqs(t, 1, 7)
		r.sub.Detach()
	})
}

// Readers who are behind by different amounts share the reads of a page.
func TestReadersShareAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), func(c *Config) { c.TailBytes = 1 << 10 })
		defer w.close()
		const messages = pageEvents + 100
		for range messages {
			w.post("1", "a", "a text of some length")
		}
		log.set(func(l *twisted) { l.after = func(*store.Page) error { time.Sleep(time.Second); return nil } })
		var readers []*reader
		for i := range uint64(20) {
			r := w.reader("r", -1)
			w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: w.store.Epoch(), Seq: 5 * i}})
			readers = append(readers, r)
		}
		time.Sleep(10 * time.Second)
		for i, r := range readers {
			r.wantSeqs(t, 5*uint64(i)+1, messages)
			r.sub.Detach()
		}
		if n := log.readCount(); n != 2 {
			t.Errorf("two pages were read %d times", n)
		}
	})
}

// A quiet room's lost last event is found too, only later.
func TestLostEventOfAQuietRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, deadBus(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		time.Sleep(time.Minute)
		w.post("1", "a", "the last word")
		time.Sleep(quietEvery * defaultHeadCheck)
		settle()
		r.wantSeqs(t, 1, 1)
		r.sub.Detach()
	})
}

// Promise 3: passing events come after the durable ones that were there, each
// once, and not to those who came later.
func TestPassingEventsHaveTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", 0)
		w.join(r, "1", AttachOptions{})
		r.conn.Reply([]byte("reply\n"))
		settle() // the reply is stuck, and what follows comes in one batch
		typing := func() { w.typing("1", "a") }
		typing()
		w.post("1", "a", "one")
		settle()
		typing()
		typing()
		w.post("1", "a", "two")
		settle()
		r.Allow(1 << 20)
		settle()
		typing()
		settle()
		newcomer := w.reader("n", -1)
		w.join(newcomer, "1", AttachOptions{})
		w.post("1", "a", "three")
		settle()
		want := []string{"reply", "passing 4 a 0", `1 {"content":"one"}`, "passing 4 a 0", "passing 4 a 0", `2 {"content":"two"}`, "passing 4 a 0", `3 {"content":"three"}`}
		if got := r.lines(); !slices.Equal(got, want) {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if got := newcomer.lines(); !slices.Equal(got, want[len(want)-1:]) {
			t.Errorf("the newcomer got %q, want %q", got, want[len(want)-1:])
		}
		r.sub.Detach()
		newcomer.sub.Detach()
	})
}

// A reader that has left is forgotten by its feed and its connection, and
// idle feeds beyond the limit are closed at the next look.
func TestWhatIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), func(c *Config) { c.IdleFeeds = 2 })
		defer w.close()
		r := w.reader("r", -1)
		for _, id := range []chat.RoomID{"1", "2", "3", "4", "5"} {
			w.join(r, id, AttachOptions{})
			f := r.sub.feed
			r.sub.Detach()
			left := len(r.conn.subs)
			for _, subs := range f.subs {
				left += len(subs)
			}
			if left != 0 {
				t.Errorf("%d references to a reader that has left room %s", left, id)
			}
			w.post(id, "a", "to nobody")
		}
		settle()
		if got := r.lines(); len(got) != 0 {
			t.Errorf("a reader that has left got %q", got)
		}
		time.Sleep(defaultHeadCheck)
		settle()
		w.hub.mu.Lock()
		defer w.hub.mu.Unlock()
		if n := len(w.hub.feeds); n != 2 || w.hub.idle != 2 {
			t.Errorf("%d feeds are kept, %d counted as idle, want 2", n, w.hub.idle)
		}
	})
}
