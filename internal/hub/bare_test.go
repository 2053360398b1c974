package hub

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// hint stores an event, and publishes that it is there.
func (w *world) hint(l *ledger, text string) {
	e := l.add(chat.Event{Kind: chat.KindMessage, Actor: chat.User{ID: "a"}, Body: []byte(text)})
	w.bus.Publish(bus.RoomTopic("1"), []chat.Event{e.Stripped()})
}

// What is told of by a bare event is read at once and by one read; what is told
// of meanwhile by one more, however much it is.
func TestBareEventsAreReadFromTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, log := newCountedLedger(t, 0)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		began, before := time.Now(), log.after.Load()
		w.hint(l, "one")
		settle()
		r.wantSeqs(t, 1, 1)
		if n := log.after.Load() - before; n != 1 || time.Since(began) > 0 {
			t.Errorf("an event was read by %d reads after %v, want one at once", n, time.Since(began))
		}

		proceed := make(chan struct{})
		l.slow = func() { <-proceed }
		before = log.after.Load()
		w.hint(l, "two")
		synctest.Wait()
		for range 20 {
			w.hint(l, "more")
		}
		l.mu.Lock()
		l.slow = nil
		l.mu.Unlock()
		close(proceed)
		settle()
		r.wantSeqs(t, 1, 22)
		if n := log.after.Load() - before; n != 2 {
			t.Errorf("21 events, 20 of them while the first was read, took %d reads, want 2", n)
		}
		if n := w.hub.Counts().Healed.Value(); n != 0 {
			t.Errorf("%d events count as lost, want none", n)
		}
		r.sub.Detach()
	})
}

// Bare events and whole ones, of nodes that are set in different ways, come in
// order, and a bare copy of what is there costs nothing.
func TestBareEventsAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, log := newCountedLedger(t, 0)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		for range 10 {
			w.hint(l, "told")
			w.say(l, "said")
		}
		settle()
		r.wantSeqs(t, 1, 20)
		before := log.after.Load()
		last := l.events[19]
		w.bus.Publish(bus.RoomTopic("1"), []chat.Event{last.Stripped()})
		settle()
		if n := log.after.Load() - before; n != 0 {
			t.Errorf("an event that is there was read %d times more", n)
		}
		r.sub.Detach()
	})
}

// A store that does not answer is asked again, although nothing else comes;
// an event that it does not have is not asked for again and again.
func TestBareEventThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newTwisted(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		first := w.post("1", "a", "one")
		settle()
		log.set(func(l *twisted) { l.after = func(*store.Page) error { return errors.New("no answer") } })
		next := first
		next.Seq++
		w.bus.Publish(bus.RoomTopic("1"), []chat.Event{next.Stripped()})
		settle()
		asked := log.readCount()
		time.Sleep(gapRetry)
		settle()
		if n := log.readCount() - asked; n != 1 {
			t.Errorf("after %v the store was asked %d times more, want once", gapRetry, n)
		}
		log.set(func(l *twisted) { l.after = nil })
		time.Sleep(gapRetry)
		settle()
		asked = log.readCount()
		time.Sleep(10 * gapRetry)
		if n := log.readCount() - asked; n > 0 {
			t.Errorf("an event that is not in the log was asked for %d times more", n)
		}
		w.post("1", "a", "two")
		settle()
		r.wantSeqs(t, 1, 2)
		r.sub.Detach()
	})
}

// What is told of while a feed is being opened is there when it is open.
func TestBareEventWhileAFeedOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l := newLedger(t, local.New(), nil)
		defer w.close()
		proceed := make(chan struct{})
		l.slow = func() { <-proceed }
		r := w.reader("r", -1)
		joined := make(chan struct{})
		go func() {
			defer close(joined)
			w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}}) // it may be read before the reader is there
		}()
		synctest.Wait() // the end of the log has been read, and is on its way
		w.hint(l, "one")
		l.mu.Lock()
		l.slow = nil
		l.mu.Unlock()
		close(proceed)
		<-joined
		settle()
		r.wantSeqs(t, 1, 1)
		r.sub.Detach()
	})
}
