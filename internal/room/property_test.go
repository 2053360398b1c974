package room

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/store"
)

// trial is a node under load over a store that fails at random, and the
// keeper of the promises in the package comment. All of it follows from the
// fields that rapid draws, so that it shrinks them.
type trial struct {
	lanes, rooms, posters, posts, readers int
	// troubled is how many in a hundred batches fail; it ends after a while.
	troubled int
	queue    int // bytes
	seed     uint64

	store *hostile
	bus   *recorder
	svc   *Service

	mu        sync.Mutex
	failures  []string
	messages  map[string]*message // by body
	published map[chat.RoomID]uint64
	over      bool
}

// message is one thing said, in one or more posts under the same nonce.
type message struct {
	poster, n int
	room      chat.RoomID
	calls     int    // of Post
	answers   int    // of its callback
	seq       uint64 // acknowledged
}

// told reports whether the author has heard of m.
func (m *message) told() bool { return m.answers > 0 }

func TestPromisesHoldOverAHostileStore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := &trial{
			lanes:    rapid.IntRange(1, 4).Draw(rt, "lanes"),
			rooms:    rapid.IntRange(1, 6).Draw(rt, "rooms"),
			posters:  rapid.IntRange(1, 8).Draw(rt, "posters"),
			posts:    rapid.IntRange(1, 40).Draw(rt, "posts"),
			readers:  rapid.IntRange(0, 3).Draw(rt, "readers"),
			troubled: rapid.SampledFrom([]int{0, 5, 30, 80}).Draw(rt, "troubled"),
			queue:    rapid.SampledFrom([]int{1 << 20, 10 * rowOverhead}).Draw(rt, "queue"),
			seed:     rapid.Uint64().Draw(rt, "seed"),
		}
		synctest.Test(t, func(t *testing.T) { tr.run(t.Context()) })
		for _, failure := range tr.failures {
			rt.Error(failure)
		}
	})
}

func (tr *trial) run(ctx context.Context) {
	tr.messages = make(map[string]*message)
	tr.published = make(map[chat.RoomID]uint64)
	tr.store = newHostile(tr.lanes)
	tr.store.fate = tr.fate(rand.New(rand.NewPCG(tr.seed, 1)))
	tr.bus = &recorder{hook: tr.checkPublished}
	tr.svc = New(Config{Store: tr.store, Bus: tr.bus, AutoCreate: true, QueueBytes: tr.queue})
	defer tr.svc.Close()

	var posters, readers sync.WaitGroup
	for i := range tr.posters {
		posters.Go(func() { tr.post(i, rand.New(rand.NewPCG(tr.seed, uint64(2+i)))) })
	}
	for i := range tr.readers {
		readers.Go(func() { tr.read(ctx, rand.New(rand.NewPCG(tr.seed, uint64(1002+i)))) })
	}
	posters.Wait()
	if err := tr.svc.Drain(ctx); err != nil {
		tr.fail("Drain = %v", err)
	}
	tr.mu.Lock()
	tr.over = true
	tr.mu.Unlock()
	readers.Wait()
	tr.checkEnd()
}

// fate plans the store: a share of the batches fails, some for longer than
// patience, and after 500 all goes well.
func (tr *trial) fate(rng *rand.Rand) func(int, []store.Append) fate {
	var darkUntil time.Time
	return func(n int, _ []store.Append) fate {
		f := fate{
			before: time.Duration(rng.IntN(5)) * time.Millisecond,
			after:  time.Duration(rng.IntN(5)) * time.Millisecond,
		}
		switch {
		case n > 500:
		case time.Now().Before(darkUntil):
			f.err, f.commits = store.ErrUnknown, rng.IntN(4) == 0
		case rng.IntN(100) >= tr.troubled:
		default:
			f.err, f.commits = store.ErrUnknown, rng.IntN(2) == 0
			switch rng.IntN(10) {
			case 0:
				darkUntil = time.Now().Add(time.Duration(rng.IntN(20)) * time.Second)
			case 1, 2, 3:
				f.err, f.commits = store.ErrUnavailable, false
			}
		}
		return f
	}
}

// post is one author: several posts in flight, now and then one of them
// again, under the same nonce, whether it was answered or not.
func (tr *trial) post(poster int, rng *rand.Rand) {
	var said []Post
	for n := range tr.posts {
		p := Post{
			Room:    chat.RoomID(fmt.Sprint(rng.IntN(tr.rooms))),
			By:      chat.Principal{User: chat.User{ID: chat.UserID(fmt.Sprint(poster)), Name: "p"}},
			Nonce:   chat.Nonce(fmt.Sprint(n)),
			Content: fmt.Sprintf("%d of %d", n, poster),
		}
		switch k := rng.IntN(10); {
		case k < 2 && len(said) > 0:
			p = said[rng.IntN(len(said))]
		case k < 4:
			p.Nonce = ""
		default:
			said = append(said, p)
		}
		tr.say(p, poster, n)
		if rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
		}
		if rng.IntN(50) == 0 {
			time.Sleep(time.Duration(rng.IntN(15)) * time.Second)
		}
	}
}

func (tr *trial) say(p Post, poster, n int) {
	tr.mu.Lock()
	m := tr.messages[string(chat.MessageBody(p.Content))]
	if m == nil {
		m = &message{poster: poster, n: n, room: p.Room}
		tr.messages[string(chat.MessageBody(p.Content))] = m
	}
	m.calls++
	tr.mu.Unlock()
	answered := false
	tr.svc.Post(p, func(got Posted, err error) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if answered {
			tr.fail("%q was answered twice", p.Content)
		}
		answered = true
		m.answers++
		tr.checkAnswer(p, m, got, err)
	})
}

// checkAnswer looks at one answer. The caller holds mu.
func (tr *trial) checkAnswer(p Post, m *message, got Posted, err error) {
	if err != nil {
		if e, ok := errors.AsType[*chat.Error](err); !ok || e.Code != chat.StoreUnavailable {
			tr.fail("%q was answered %v", p.Content, err)
		}
		return
	}
	if m.seq != 0 && m.seq != got.Event.Seq {
		tr.fail("%q was answered seq %d and %d", p.Content, m.seq, got.Event.Seq)
	}
	m.seq = got.Event.Seq
	if got.Event.Room != p.Room || got.Event.Actor != p.By.User || string(got.Event.Body) != string(chat.MessageBody(p.Content)) {
		tr.fail("%q was answered with %+v", p.Content, got.Event)
	}
}

// checkPublished is called for each Publish.
func (tr *trial) checkPublished(events []chat.Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.checkTold("published", events)
	for i := range events {
		e := &events[i]
		if i > 0 && e.Seq <= events[i-1].Seq || e.Room != events[0].Room {
			tr.fail("a run of room %s has seq %d after %d", e.Room, e.Seq, events[i-1].Seq)
		}
		switch head := tr.published[e.Room]; {
		case e.Seq == head+1:
			tr.published[e.Room] = e.Seq
		case e.Seq > head:
			tr.fail("room %s published %d after %d", e.Room, e.Seq, head)
		}
	}
}

// checkTold checks that the authors of events have been answered. The caller
// holds mu.
func (tr *trial) checkTold(how string, events []chat.Event) {
	for i := range events {
		if m := tr.messages[string(events[i].Body)]; !m.told() {
			tr.fail("%s was %s before its author was answered", events[i].Body, how)
		}
	}
}

// read reads rooms, each from where it stands, in all ways there are.
func (tr *trial) read(ctx context.Context, rng *rand.Rand) {
	log := tr.svc.Log()
	for {
		tr.mu.Lock()
		over := tr.over
		tr.mu.Unlock()
		if over {
			return
		}
		id := chat.RoomID(fmt.Sprint(rng.IntN(tr.rooms)))
		limit := store.Limit{Events: 1 + rng.IntN(20), Bytes: 1 << 20}
		var page store.Page
		var err error
		switch rng.IntN(3) {
		case 0:
			page, err = log.After(ctx, id, uint64(rng.IntN(20)), limit)
		case 1:
			page, err = log.Before(ctx, id, 0, limit)
		case 2:
			page, err = tr.readHeads(ctx, id)
		}
		tr.mu.Lock()
		if err != nil {
			tr.fail("a read failed: %v", err)
		}
		tr.checkTold("read", page.Events)
		tr.mu.Unlock()
		time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
	}
}

// readHeads returns what a room holds up to the head that Heads reports.
func (tr *trial) readHeads(ctx context.Context, id chat.RoomID) (store.Page, error) {
	heads, err := tr.svc.Log().Heads(ctx, []chat.RoomID{id, "nowhere"})
	if err != nil || len(heads) == 0 {
		return store.Page{}, err
	}
	return tr.store.After(ctx, id, 0, store.Limit{Events: int(heads[0].Room.Head)})
}

// checkEnd compares what was answered with what is stored and published.
func (tr *trial) checkEnd() {
	tr.failures = append(tr.failures, tr.store.breaches...)
	seqs := make(map[string]uint64)
	for id, log := range tr.store.logs {
		last := make(map[int]*message) // by poster
		for _, e := range log {
			m := tr.messages[string(e.Body)]
			if seqs[string(e.Body)] != 0 {
				tr.fail("%s is stored twice", e.Body)
			}
			seqs[string(e.Body)] = e.Seq
			if before := last[m.poster]; m.calls == 1 && before != nil && before.n > m.n {
				tr.fail("%s is stored after post %d of the same author", e.Body, before.n)
			}
			if m.calls == 1 {
				last[m.poster] = m
			}
		}
		if got, want := tr.published[id], uint64(len(log)); got != want {
			tr.fail("room %s was published up to %d, want %d", id, got, want)
		}
	}
	for body, m := range tr.messages {
		if m.answers != m.calls {
			tr.fail("%s was answered %d times for %d posts", body, m.answers, m.calls)
		}
		if m.seq != 0 && seqs[body] != m.seq {
			tr.fail("%s was answered seq %d and is stored as %d", body, m.seq, seqs[body])
		}
	}
	slices.Sort(tr.failures)
}

func (tr *trial) fail(format string, args ...any) {
	if len(tr.failures) < 10 {
		tr.failures = append(tr.failures, fmt.Sprintf(format, args...))
	}
}
