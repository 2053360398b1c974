package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

var readCases = []testCase{
	{"a room without a log does not exist", func(w *world) {
		want := chat.Room{ID: "r", Epoch: w.s.Epoch(), Floor: 1}
		if got := w.room("r"); got != want {
			w.Errorf("Room = %+v, want %+v", got, want)
		}
		for name, page := range map[string]store.Page{"After": w.after("r", 0, everything), "Before": w.before("r", 0, everything)} {
			if page.Room != want || len(page.Events) != 0 {
				w.Errorf("%s = %+v, want %+v without events", name, page, want)
			}
		}
	}},
	{"a room's state", func(w *world) {
		first := w.append(slices.Concat(posts("r", 5), posts("s", 2))...)[0].Event
		want := chat.Room{ID: "r", Exists: true, Epoch: w.s.Epoch(), Head: 5, Floor: 1, Msgs: 5, CreatedAt: first.At}
		if got := w.room("r"); got != want {
			w.Errorf("Room = %+v, want %+v", got, want)
		}
		for name, page := range map[string]store.Page{"After": w.after("r", 5, everything), "Before": w.before("r", 1, everything)} {
			if page.Room != want {
				w.Errorf("%s: Room = %+v, want %+v", name, page.Room, want)
			}
		}
	}},
	{"heads are those of the rooms that have a log", func(w *world) {
		w.append(slices.Concat(posts("a", 3), posts("b", 1), posts("c", 1), posts(`odd:#é`, 2))...)
		ids := []chat.RoomID{"b", "nowhere", "a", `odd:#é`, "a", `x" OR 1`}
		got, err := w.s.Heads(context.Background(), ids)
		if err != nil {
			w.Fatalf("Heads: %v", err)
		}
		want := []store.Head{w.head("a"), w.head("b"), w.head(`odd:#é`)}
		slices.SortFunc(got, byRoom)
		if !slices.Equal(got, want) {
			w.Errorf("Heads = %+v, want %+v", got, want)
		}
	}},
	{"a head's tag is that of the newest event, whatever is changed or trimmed below it", func(w *world) {
		w.append(slices.Concat(posts("r", 12), posts("s", 12))...)
		w.wantHeads("r", "s")
		w.stored(edit("r", "a", 3, "other"))
		w.wantHeads("r", "s")
		w.stored(remove("s", "a", 12))
		w.wantHeads("r", "s")
		w.trim("r", chat.Retention{Events: 1})
		w.wantHeads("r", "s")
		w.reopen()
		w.wantHeads("r", "s")
	}},
	{"heads of no rooms and of very many", func(w *world) {
		w.append(posts("r7", 1)...)
		for _, n := range []int{0, 5000} {
			ids := make([]chat.RoomID, n)
			for i := range ids {
				ids[i] = chat.RoomID(fmt.Sprint("r", i))
			}
			if got, err := w.s.Heads(context.Background(), ids); err != nil || len(got) != min(n, 1) {
				w.Errorf("Heads of %d ids = %d rooms, %v, want %d", n, len(got), err, min(n, 1))
			}
		}
	}},
	{"after is exclusive, and pages rise", func(w *world) {
		w.append(posts("r", 10)...)
		for _, c := range []struct {
			after  uint64
			events int
			want   []uint64
		}{
			{0, 3, []uint64{1, 2, 3}},
			{3, 3, []uint64{4, 5, 6}},
			{8, 3, []uint64{9, 10}},
			{9, 1, []uint64{10}},
			{10, 3, []uint64{}},
			{11, 3, []uint64{}},
			{math.MaxInt64, 3, []uint64{}},
			{math.MaxUint64, 3, []uint64{}},
		} {
			page := w.after("r", c.after, store.Limit{Events: c.events, Bytes: 1 << 20})
			w.wantSeqs(page.Events, c.want...)
			if page.Room.Head != 10 {
				w.Errorf("After(%d): Head = %d, want 10", c.after, page.Room.Head)
			}
		}
	}},
	{"before is exclusive, and pages rise", func(w *world) {
		w.append(posts("r", 10)...)
		for _, c := range []struct {
			before uint64
			events int
			want   []uint64
		}{
			{0, 3, []uint64{8, 9, 10}},
			{8, 3, []uint64{5, 6, 7}},
			{3, 5, []uint64{1, 2}},
			{1, 3, []uint64{}},
			{11, 2, []uint64{9, 10}},
			{100, 2, []uint64{9, 10}},
			{math.MaxInt64, 2, []uint64{9, 10}},
			{math.MaxUint64, 2, []uint64{9, 10}},
		} {
			page := w.before("r", c.before, store.Limit{Events: c.events, Bytes: 1 << 20})
			w.wantSeqs(page.Events, c.want...)
		}
	}},
	{"a page is bounded by bytes", func(w *world) {
		w.append(post("r", "a", "", "1234567890"), post("r", "a", "", "1234567890"), post("r", "a", "", "1234567890"))
		body := len(chat.MessageBody("1234567890"))
		for _, c := range []struct{ bytes, want int }{
			{3*body + 1, 3}, {3 * body, 3}, {3*body - 1, 2}, {2 * body, 2}, {body + 1, 1}, {body, 1},
			// At least one, or a reader would never come past it.
			{body - 1, 1}, {1, 1}, {0, 1}, {-1, 1},
		} {
			limit := store.Limit{Events: 10, Bytes: c.bytes}
			w.wantSeqs(w.after("r", 0, limit).Events, upTo(3)[:c.want]...)
			w.wantSeqs(w.before("r", 0, limit).Events, upTo(3)[3-c.want:]...)
		}
	}},
	{"a page that is not at its end holds an event", func(w *world) {
		w.append(posts("r", 3)...)
		for _, limit := range []store.Limit{{}, {Events: -1, Bytes: -1}, {Events: 0, Bytes: 1 << 20}, {Events: 1, Bytes: 0}} {
			w.wantSeqs(w.after("r", 1, limit).Events, 2)
			w.wantSeqs(w.before("r", 3, limit).Events, 2)
			w.wantSeqs(w.after("r", 3, limit).Events)
		}
	}},
	{"pages walk a whole log", func(w *world) {
		w.append(posts("r", 100)...)
		var up, down []chat.Event
		limit := store.Limit{Events: 7, Bytes: 1 << 20}
		for after := uint64(0); after < 100; after = up[len(up)-1].Seq {
			up = append(up, w.after("r", after, limit).Events...)
		}
		for before := uint64(101); before > 1; before = down[0].Seq {
			down = append(w.before("r", before, limit).Events, down...)
		}
		w.wantSeqs(up, upTo(100)...)
		w.wantEvents(down, up)
	}},
	{"an ended context ends a read", func(w *world) {
		w.append(posts("r", 3)...)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for name, read := range reads(ctx, w.s) {
			for range 20 { // no luck
				if err := read(); !errors.Is(err, context.Canceled) {
					w.Errorf("%s = %v, want %v", name, err, context.Canceled)
				}
			}
		}
		w.wantSeqs(w.log("r"), 1, 2, 3)
	}},
	{"a read is one snapshot while the log grows", func(w *world) {
		// Each batch adds a stride to both rooms, so a read that sees part of
		// one has a head that is no multiple.
		const batches, stride = 150, 3
		var readers sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			readers.Go(func() { watchGrowth(w, done, stride) })
		}
		for range batches {
			w.append(slices.Concat(posts("r", stride), posts("s", stride))...)
		}
		close(done)
		readers.Wait()
		w.wantSeqs(w.log("r"), upTo(batches*stride)...)
	}},
}

// head is what Heads must return for a room: what Room says, and the tag of the
// event at its head.
func (w *world) head(id chat.RoomID) store.Head {
	w.Helper()
	page := w.before(id, 0, store.Limit{})
	if n := len(page.Events); n != 1 || page.Events[0].Seq != page.Room.Head {
		w.Fatalf("the end of %s is %v, want the event at head %d", id, seqs(page.Events), page.Room.Head)
	}
	return store.Head{Room: page.Room, Tag: page.Events[0].Tag}
}

// wantHeads checks the heads of rooms that have a log.
func (w *world) wantHeads(ids ...chat.RoomID) {
	w.Helper()
	var want []store.Head
	for _, id := range ids {
		want = append(want, w.head(id))
	}
	got, err := w.s.Heads(context.Background(), ids)
	slices.SortFunc(got, byRoom)
	if err != nil || !slices.Equal(got, want) {
		w.Errorf("Heads = %+v, %v, want %+v", got, err, want)
	}
}

// byRoom orders heads by the ids of their rooms.
func byRoom(a, b store.Head) int { return strings.Compare(string(a.Room.ID), string(b.Room.ID)) }

// watchGrowth reads room r until done is closed, and checks each page against
// the room beside it.
func watchGrowth(w *world, done <-chan struct{}, stride uint64) {
	ctx := context.Background()
	var head uint64
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		after, err := w.s.After(ctx, "r", head, everything)
		if err != nil {
			w.Errorf("After: %v", err)
			return
		}
		if want := upTo(after.Room.Head)[head:]; !slices.Equal(seqs(after.Events), want) {
			w.Errorf("After(%d) = %v beside head %d", head, seqs(after.Events), after.Room.Head)
		}
		if after.Room.Head%stride != 0 || after.Room.Msgs != after.Room.Head {
			w.Errorf("Head = %d, Msgs = %d, want equal multiples of %d", after.Room.Head, after.Room.Msgs, stride)
		}
		head = after.Room.Head
		before, err := w.s.Before(ctx, "r", 0, store.Limit{Events: 5, Bytes: 1 << 20})
		if err != nil {
			w.Errorf("Before: %v", err)
			return
		}
		n := uint64(len(before.Events))
		if want := upTo(before.Room.Head)[before.Room.Head-n:]; !slices.Equal(seqs(before.Events), want) || n != min(5, before.Room.Head) {
			w.Errorf("Before(0) = %v beside head %d", seqs(before.Events), before.Room.Head)
		}
		if before.Room.Head < head {
			w.Errorf("Head went from %d back to %d", head, before.Room.Head)
		}
		heads, err := w.s.Heads(ctx, []chat.RoomID{"r", "s"})
		if err != nil || len(heads) == 2 && heads[0].Room.Head != heads[1].Room.Head {
			w.Errorf("Heads = %+v, %v, want equal heads", heads, err)
		}
	}
}

// reads are the calls that read and take a context.
func reads(ctx context.Context, s store.Store) map[string]func() error {
	return map[string]func() error{
		"Member":    func() error { _, _, err := s.Member(ctx, "r", "ana"); return err },
		"Arrivals":  func() error { _, err := s.Arrivals(ctx, []store.Arrival{{Room: "r", User: "ana"}}); return err },
		"Members":   func() error { _, err := s.Members(ctx, "r", []chat.State{chat.StateJoined}, "", 1); return err },
		"Standings": func() error { _, err := s.Standings(ctx, "ana", "", 1); return err },
		"Rooms":     func() error { _, err := s.Rooms(ctx, []chat.Access{chat.AccessOpen}, "", 1); return err },
		"Find":      func() error { _, err := s.Find(ctx, "r", 1); return err },
		"Wrote":     func() error { _, err := s.Wrote(ctx, "ana", "", 1); return err },
		"Account":   func() error { _, _, err := s.Account(ctx, "ana"); return err },
		"Accounts":  func() error { _, err := s.Accounts(ctx, "", 1); return err },
		"Validity":  func() error { _, err := s.Validity(ctx, []chat.Credential{{User: "ana", TokenID: "t"}}); return err },
		"Room":      func() error { _, err := s.Room(ctx, "r"); return err },
		"Heads":     func() error { _, err := s.Heads(ctx, []chat.RoomID{"r"}); return err },
		"After":     func() error { _, err := s.After(ctx, "r", 0, everything); return err },
		"Before":    func() error { _, err := s.Before(ctx, "r", 0, everything); return err },
	}
}

// writes are the calls beside Append that write and take a context.
func writes(ctx context.Context, s store.Store) map[string]func() error {
	return map[string]func() error{
		"Mark":        func() error { _, err := s.Mark(ctx, []store.Mark{mark("r", "ana", 1)}); return err },
		"Trim":        func() error { _, _, err := s.Trim(ctx, "r", chat.Retention{Events: 1}); return err },
		"PutAccount":  func() error { _, err := s.PutAccount(ctx, chat.Account{User: named("ana")}); return err },
		"Seen":        func() error { return s.Seen(ctx, []chat.User{named("ana")}, time.Now()) },
		"Revoke":      func() error { return s.Revoke(ctx, "ana", time.Now()) },
		"RevokeToken": func() error { return s.RevokeToken(ctx, "t", time.Now().Add(time.Hour)) },
	}
}
