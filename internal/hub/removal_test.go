package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

// removed is what ends the membership of a user.
func removed(user chat.UserID) chat.Event {
	return chat.Event{Kind: chat.KindMemberRemoved, Subject: user}
}

// A user that is removed gets the event that says so, the end of the
// subscription, and nothing later; others go on.
func TestRemovalEndsSubscriptions(t *testing.T) {
	for _, kind := range []chat.Kind{chat.KindMemberRemoved, chat.KindMemberBanned} {
		synctest.Test(t, func(t *testing.T) {
			w, log := newLedger(t, local.New(), nil)
			defer w.close()
			one, two, other := w.readerOf("r", -1, &v1Dialect), w.readerOf("r", -1, &v1Dialect), w.readerOf("o", -1, &v1Dialect)
			slow := w.readerOf("r", 3, &v1Dialect)
			readers := []*reader{one, two, slow, other}
			for _, r := range readers {
				w.join(r, "1", AttachOptions{})
			}
			w.say(log, "before")
			w.tell(log, chat.Event{Kind: kind, Subject: "r", Body: []byte("removed")})
			w.say(log, "after")
			w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindTyping, Actor: chat.User{ID: "a"}}})
			settle()
			slow.Allow(1 << 20)
			settle()
			w.say(log, "later")
			settle()
			for _, r := range readers[:3] {
				if got, want := strings.Join(r.lines(), "|"), "1 before|2 removed|ended 1 at 2"; got != want {
					t.Errorf("the removed user got %q, want %q", got, want)
				}
				if r.State().Finished {
					t.Error("the connection of a removed user was closed, want its subscription to end only")
				}
			}
			other.wantSeqs(t, 1, 4)
			left := 0
			for _, subs := range other.sub.feed.subs {
				left += len(subs)
			}
			if left != 1 {
				t.Errorf("the feed has %d readers after three of four have ended, want 1", left)
			}
			for _, r := range readers {
				r.sub.Detach()
			}
			w.tell(log, chat.Event{Kind: chat.KindMemberAdded, Subject: "r"})
			w.join(one, "1", AttachOptions{})
			w.say(log, "again")
			settle()
			if got := one.lines(); got[len(got)-1] != "6 again" {
				t.Errorf("the user that came back got %q, want the new event", got)
			}
			one.sub.Detach()
		})
	}
}

// A seed connection has one room: it is closed after the last message before
// the removal.
func TestRemovalClosesSeedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newLedger(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		w.say(log, "before")
		w.tell(log, removed("r"))
		w.say(log, "after")
		settle()
		if got, want := strings.Join(r.lines(), "|"), fmt.Sprintf("1 before|bye %d", Removed); got != want || !r.State().Finished {
			t.Errorf("written %q, want %q and the end", got, want)
		}
		r.sub.Detach()
	})
}

// What happens between Attach and Start counts.
func TestRemovalBeforeStart(t *testing.T) {
	cases := []struct {
		name   string
		events []chat.Event
		want   string
	}{
		{"removed", []chat.Event{removed("r"), {Kind: chat.KindMessage}}, "1|2|ended"},
		{"removed and added", []chat.Event{removed("r"), {Kind: chat.KindMemberAdded, Subject: "r"}}, "1|2|3|4"},
		{"somebody else", []chat.Event{removed("o"), {Kind: chat.KindMessage}}, "1|2|3|4"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := newLedger(t, local.New(), nil)
				defer w.close()
				w.say(log, "first")
				r := w.readerOf("r", -1, &v1Dialect)
				sub, _, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range c.events {
					w.tell(log, e)
				}
				settle()
				if got := r.lines(); len(got) != 0 {
					t.Errorf("written before Start: %q", got)
				}
				sub.Start(0)
				settle()
				w.say(log, "later")
				settle()
				var got []string
				for _, line := range r.lines() {
					word, _, _ := strings.Cut(line, " ")
					got = append(got, word)
				}
				if got := strings.Join(got, "|"); got != c.want {
					t.Errorf("written %s, want %s", got, c.want)
				}
				sub.Detach()
			})
		})
	}
}

// A removal from before the attachment is the business of whoever checked.
func TestRemovalBeforeAttach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newLedger(t, local.New(), nil)
		defer w.close()
		warm := w.readerOf("o", -1, &v1Dialect)
		w.join(warm, "1", AttachOptions{})
		w.tell(log, removed("r"))
		r := w.readerOf("r", -1, &v1Dialect)
		w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}})
		w.say(log, "live")
		settle()
		r.wantSeqs(t, 1, 2)
		r.sub.Detach()
		warm.sub.Detach()
	})
}

// A removal that the bus has lost is learnt from the log.
func TestRemovalThatTheBusLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newLedger(t, deadBus(), nil)
		defer w.close()
		checked, gap := w.readerOf("r", -1, &v1Dialect), w.readerOf("g", -1, &v1Dialect)
		w.join(checked, "1", AttachOptions{})
		w.join(gap, "1", AttachOptions{})
		log.add(removed("g"))
		late := log.add(chat.Event{Kind: chat.KindMessage})
		gap.sub.feed.take([]chat.Event{late})
		time.Sleep(defaultGapWait)
		settle()
		log.add(removed("r"))
		log.add(chat.Event{Kind: chat.KindMessage})
		time.Sleep(quietEvery * defaultHeadCheck)
		settle()
		for r, at := range map[*reader]uint64{gap: 1, checked: 3} {
			lines := r.lines()
			if want := fmt.Sprintf("ended 1 at %d", at); len(lines) != int(at)+1 || lines[at] != want {
				t.Errorf("written %q, want %d events and %q", lines, at, want)
			}
			r.sub.Detach()
		}
	})
}

// Nothing of a subscription is written after a reply that was queued once
// Detach had returned.
func TestNothingFollowsDetach(t *testing.T) {
	w, log := newLedger(t, local.New(), nil)
	defer w.close()
	stop := make(chan struct{})
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		for {
			select {
			case <-stop:
				return
			default:
				w.say(log, "text")
				w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindTyping, Actor: chat.User{ID: "a"}}})
			}
		}
	}()
	for i := range 300 {
		r := w.readerOf("r", -1, &v1Dialect)
		w.join(r, "1", AttachOptions{})
		if i%2 == 0 {
			time.Sleep(time.Duration(i) * time.Microsecond)
		}
		r.sub.Detach()
		r.conn.Reply([]byte("reply\n"))
		eventually(t, "the reply", func() bool { return strings.HasSuffix(string(r.Taken()), "reply\n") })
		taken := len(r.Taken())
		time.Sleep(100 * time.Microsecond) // for what must not come
		if got := r.Taken()[taken:]; len(got) > 0 {
			t.Fatalf("written after the reply: %q", got)
		}
	}
	close(stop)
	<-posted
}
