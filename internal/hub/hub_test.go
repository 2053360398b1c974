package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
)

// Promise 1: cursor+1, cursor+2, … whatever the bus does, for readers that
// come and go and take bytes at any pace.
func TestOrderWhateverTheBusDoes(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := bustest.Faults{Drop: 0.1, Double: 0.2, Reorder: 0.3, Delay: 0.3, MaxDelay: 80 * time.Millisecond}
				w := newWorld(t, bustest.Chaotic(local.New(), seed, faults), func(c *Config) { c.TailBytes = 2 << 10 })
				defer w.close()
				rnd := rand.New(rand.NewPCG(seed, 1))
				readAlong(t, w, rnd)
			})
		})
	}
}

// readAlong has one room posted to while readers join at different places.
func readAlong(t *testing.T, w *world, rnd *rand.Rand) {
	const messages = 400
	type placed struct {
		*reader
		first uint64
	}
	var readers []placed
	var last chat.Event
	for i := range messages {
		if i%40 == 0 {
			r := w.reader(userN(i), 200+rnd.IntN(4000)) // soon full: it will block
			opt := AttachOptions{}
			if i > 0 && rnd.IntN(2) == 0 {
				opt.After = &chat.Cursor{Epoch: last.Epoch, Seq: uint64(rnd.IntN(i))}
			}
			at := w.join(r, "1", opt)
			first := at.Head + 1
			if opt.After != nil {
				first = opt.After.Seq + 1
			}
			readers = append(readers, placed{r, first})
		}
		last = w.post("1", "author", strings.Repeat("x", 1+rnd.IntN(300)))
		if rnd.IntN(3) == 0 {
			r := readers[rnd.IntN(len(readers))]
			r.Allow(rnd.IntN(8000))
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
		}
		for _, r := range readers { // nobody is slow for longer than the write timeout
			r.Allow(rnd.IntN(200))
		}
	}
	for _, r := range readers {
		r.Allow(1 << 30)
	}
	// A lost last event is found by the second comparison of heads.
	time.Sleep(2*defaultHeadCheck + time.Second)
	settle()
	for _, r := range readers {
		r.wantSeqs(t, r.first, last.Seq)
		if r.State().Aborted {
			t.Error("a reader that takes its bytes was cut off")
		}
		r.sub.Detach()
	}
}

// A bus that carries nothing at all delays events and loses none (idea 4).
func TestDeadBusHealsWithinTwoChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bustest.Chaotic(local.New(), 1, bustest.Faults{Drop: 1}), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		last := w.post("1", "a", "the last word")
		settle()
		r.wantSeqs(t, 1, 0)
		time.Sleep(5*defaultHeadCheck + time.Millisecond) // also a quiet room's turn
		settle()
		r.wantSeqs(t, 1, last.Seq)
		r.sub.Detach()
	})
}

// An event that overtakes waits for the one before it; if that does not come,
// it is read after GapWait.
func TestGapIsReadFromTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bustest.Chaotic(local.New(), 1, bustest.Faults{Drop: 1}), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		w.post("1", "a", "one")
		two := w.post("1", "a", "two")
		w.hub.feeds[bus.RoomTopic("1")].take([]chat.Event{two})
		settle()
		r.wantSeqs(t, 1, 0)
		time.Sleep(defaultGapWait)
		settle()
		r.wantSeqs(t, 1, 2)
		r.sub.Detach()
	})
}

// Promise 2: the reply to a post is written before the author's own copy.
func TestReplyComesBeforeOwnCopy(t *testing.T) {
	w := newWorld(t, local.New(), nil)
	defer w.close()
	const posters, each = 8, 200
	var wg sync.WaitGroup
	readers := make([]*reader, posters)
	for i := range readers {
		r := w.reader(userN(i), -1)
		readers[i] = r
		w.join(r, "1", AttachOptions{})
		wg.Go(func() {
			for n := range each {
				wg.Add(1)
				text := fmt.Sprintf("%d-%d", i, n)
				w.rooms.Post(postOf("1", userN(i), text), func(_ posted, err error) {
					defer wg.Done()
					if err != nil {
						t.Error(err)
					}
					r.conn.Reply([]byte("reply " + text + "\n"))
				})
			}
		})
	}
	wg.Wait()
	for i, r := range readers {
		eventually(t, "all deliveries", func() bool { return len(r.lines()) == posters*each+each })
		replied := make(map[string]bool)
		for _, line := range r.lines() {
			if text, ok := strings.CutPrefix(line, "reply "); ok {
				replied[text] = true
				continue
			}
			_, body, _ := strings.Cut(line, " ")
			text := strings.TrimSuffix(strings.TrimPrefix(body, `{"content":"`), `"}`)
			if strings.HasPrefix(text, fmt.Sprintf("%d-", i)) && !replied[text] {
				t.Fatalf("reader %d got its own %s before the reply", i, text)
			}
		}
		r.wantSeqs(t, 1, posters*each)
		r.sub.Detach()
	}
}

// Promise 4: a peer that takes nothing costs nobody's time, and is cut off
// after the write timeout.
func TestStalledReaderCostsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		stalled, healthy := w.reader("s", 10), w.reader("h", -1)
		w.join(stalled, "1", AttachOptions{})
		w.join(healthy, "1", AttachOptions{})
		var last chat.Event
		for range 300 {
			last = w.post("1", "a", strings.Repeat("x", 1000))
		}
		settle()
		healthy.wantSeqs(t, 1, last.Seq)
		if stalled.State().Aborted {
			t.Error("the stalled reader was cut off before its time")
		}
		time.Sleep(writeTimeout)
		settle()
		if !stalled.State().Aborted {
			t.Error("the stalled reader is still connected")
		}
		if stalled.conn.Wait() {
			t.Error("Wait = true for a connection that has ended")
		}
		stalled.sub.Detach()
		healthy.sub.Detach()
	})
}

// Events that wait together leave in one write.
func TestWhatWaitsTogetherLeavesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		at := w.join(r, "1", AttachOptions{})
		settle()
		before := r.State().Writes
		events := make([]chat.Event, 100)
		for i := range events {
			events[i] = chat.Event{Room: "1", Kind: chat.KindMessage, Epoch: at.Epoch, Seq: uint64(i + 1), Body: []byte("{}")}
		}
		w.bus.Publish(bus.RoomTopic("1"), events)
		settle()
		r.wantSeqs(t, 1, 100)
		if n := r.State().Writes - before; n != 1 {
			t.Errorf("100 events took %d writes, want 1", n)
		}
		r.sub.Detach()
	})
}

func TestCloseWritesWhatIsQueuedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", 7) // blocks within the first reply
		w.join(r, "1", AttachOptions{})
		r.conn.Reply([]byte("reply one\n"))
		settle()
		r.conn.Reply([]byte("reply two\n"))
		if !r.conn.Close([]byte("bye\n")) || r.conn.Close([]byte("again\n")) {
			t.Error("Close: want true once, then false")
		}
		r.conn.Reply([]byte("reply three\n"))
		r.Allow(1000)
		settle()
		if got, want := strings.Join(r.lines(), "|"), "reply one|reply two|bye"; got != want {
			t.Errorf("written %q, want %q", got, want)
		}
		if !r.State().Finished {
			t.Error("Finish was not called after the close frame")
		}
		r.sub.Detach()
	})
}

// A peer that does not read its replies is not read from.
func TestWaitHoldsBackReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", 0)
		reply := []byte("reply " + strings.Repeat("y", 1000) + "\n")
		r.conn.Reply(reply)
		settle() // the loop has given it to the writer, which blocks
		for range maxReplyBytes/len(reply) + 1 {
			r.conn.Reply(reply)
		}
		waited := make(chan bool)
		go func() { waited <- r.conn.Wait() }()
		settle()
		select {
		case <-waited:
			t.Fatal("Wait returned while the replies were not being read")
		default:
		}
		r.Allow(1 << 20)
		if !<-waited {
			t.Error("Wait = false, want true once the replies have gone")
		}
	})
}

func TestPassingEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		a, a2, b := w.reader("a", -1), w.reader("a", -1), w.reader("b", -1)
		for _, r := range []*reader{a, a2, b} {
			w.join(r, "1", AttachOptions{})
		}
		w.typing("1", "a")
		settle()
		if got := len(a.lines()) + len(a2.lines()); got != 0 {
			t.Errorf("the typing user's own connections got %d frames, want none (S-070, A8)", got)
		}
		if got := strings.Join(b.lines(), "|"); got != "passing 4 a 0" {
			t.Errorf("the other user got %q, want the typing event", got)
		}
		for _, r := range []*reader{a, a2, b} {
			r.sub.Detach()
		}
	})
}

// Presence events up to the snapshot's version are in the snapshot.
func TestPresenceBeforeTheSnapshotIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		sub, _, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for v := range uint64(4) {
			w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindUserJoined, Actor: chat.User{ID: userN(int(v))}, Version: v + 1}})
		}
		sub.Start(3)
		settle()
		if got := strings.Join(r.lines(), "|"); got != "passing 2 u3 4" {
			t.Errorf("delivered %q, want version 4 alone", got)
		}
		sub.Detach()
	})
}

// Passing events wait for a reader between Attach and Start, however long that
// takes.
func TestPassingEventsWaitForStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		sub, _, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindUserJoined, Actor: chat.User{ID: "a"}, Version: 4}})
		time.Sleep(3 * defaultHeadCheck)
		sub.Start(3)
		settle()
		if got := strings.Join(r.lines(), "|"); got != "passing 2 a 4" {
			t.Errorf("delivered %q, want the event from before Start", got)
		}
		sub.Detach()
	})
}

// A reader that lost a presence event cannot be right again: it is sent away.
func TestLostPresenceEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", 4)
		w.join(r, "1", AttachOptions{})
		for v := range uint64(3 * maxPassing) {
			w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindUserJoined, Actor: chat.User{ID: userN(int(v))}, Version: v + 1}})
			settle()
		}
		r.Allow(1 << 20)
		settle()
		lines := r.lines()
		if !r.State().Finished || lines[len(lines)-1] != fmt.Sprintf("bye %d", Slow) {
			t.Errorf("the last frame is %q, want a close for being slow", lines[len(lines)-1])
		}
		r.sub.Detach()
	})
}

func TestIdleFeedsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{})
		time.Sleep(2 * idleAfter)
		if len(w.hub.feeds) != 1 {
			t.Fatal("a feed with a reader was closed")
		}
		r.sub.Detach()
		time.Sleep(idleAfter / 2)
		again := w.reader("r", -1)
		w.join(again, "1", AttachOptions{}) // still warm
		again.sub.Detach()
		time.Sleep(2 * idleAfter)
		settle()
		w.hub.mu.Lock()
		n, idle := len(w.hub.feeds), w.hub.idle
		w.hub.mu.Unlock()
		if n != 0 || idle != 0 {
			t.Errorf("%d feeds, %d of them idle, want none", n, idle)
		}
	})
}
