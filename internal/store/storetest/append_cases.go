package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

var appendCases = []testCase{
	{"an event returned is complete", func(w *world) {
		start := time.Now().Add(-time.Minute)
		row := post("r", "ana", "n1", "hello")
		e := w.stored(row)
		want := e // as for what only the store can know
		want.Room, want.Kind, want.Actor, want.Nonce, want.Body = row.Room, row.Kind, row.Actor, row.Nonce, row.Body
		want.Seq, want.Msgs, want.Epoch, want.Version = 1, 1, w.s.Epoch(), 0
		w.wantEvent(e, want)
		if e.ID <= 0 {
			w.Errorf("ID = %d, want a positive number", e.ID)
		}
		if e.At.Location() != time.UTC || !e.At.Equal(e.At.Truncate(time.Millisecond)) {
			w.Errorf("At = %v, want whole milliseconds in UTC", e.At)
		}
		if e.At.Before(start) || e.At.After(start.Add(2*time.Minute)) {
			w.Errorf("At = %v, want about %v", e.At, start)
		}
		w.wantEvents(w.log("r"), []chat.Event{e})
	}},
	{"an event read is the event returned", func(w *world) {
		want := make([]chat.Event, 0, 20)
		for _, r := range w.append(posts("r", 20)...) {
			want = append(want, r.Event)
		}
		w.wantEvents(w.log("r"), want)
		w.wantEvents(w.before("r", 0, everything).Events, want)
	}},
	{"tags differ", func(w *world) {
		tags := map[uint32]bool{}
		for _, r := range w.append(posts("r", 50)...) {
			tags[r.Event.Tag] = true
		}
		// 50 random numbers of 32 bits have a pair in 1 of 3.5 million runs,
		// two pairs practically never.
		if len(tags) < 49 {
			w.Errorf("50 events have %d tags", len(tags))
		}
	}},
	{"bodies are kept as they are", func(w *world) {
		bodies := []string{
			`{}`,
			`{"content":""}`,
			` { "b" : 1 , "a" : 2.50 , "a" : 3 } `,
			`{"content":"\u0000 \\ \" \/ \n é 漢字 👩‍👩‍👧 \ud83d\ude00"}`,
			`{"content":"` + strings.Repeat("long ", chat.MaxFrameBytes/5) + `"}`,
		}
		var rows []store.Append
		for _, body := range bodies {
			row := post("r", "ana", "", "")
			row.Body = []byte(body)
			rows = append(rows, row)
		}
		w.append(rows...)
		log := w.log("r")
		if len(log) != len(bodies) {
			w.Fatalf("the log has %d events, want %d", len(log), len(bodies))
		}
		for i, want := range bodies {
			if got := string(log[i].Body); got != want {
				w.Errorf("body %d = %.100q, want %.100q", i, got, want)
			}
		}
	}},
	{"names of every kind are kept", func(w *world) {
		for _, room := range []chat.RoomID{"1", "a:b#c.d-e_f", "habitación", "漢字", "É", "é", "null", chat.RoomID(strings.Repeat("x", chat.MaxRoomIDBytes))} {
			row := post(room, chat.UserID("user/"+room), chat.Nonce(`~'"!%_`), `'; --`)
			row.Actor.Name = `O'Brien "\" 👩‍👧 %s`
			e := w.stored(row)
			if e.Actor != row.Actor || e.Seq != 1 {
				w.Errorf("in %s the actor is %v and the seq %d, want %v and 1", room, e.Actor, e.Seq, row.Actor)
			}
			w.wantEvents(w.log(room), []chat.Event{e})
		}
	}},
	{"there is one result a row, in order", func(w *world) {
		var rows []store.Append
		for i := range 40 {
			rows = append(rows, post(chat.RoomID(fmt.Sprint("r", i%3)), "ana", "", fmt.Sprint("message ", i)))
		}
		for i, r := range w.append(rows...) {
			if string(r.Event.Body) != string(rows[i].Body) || r.Event.Room != rows[i].Room {
				w.Errorf("result %d is %s in %s, want %s in %s", i, r.Event.Body, r.Event.Room, rows[i].Body, rows[i].Room)
			}
		}
	}},
	{"an empty batch stores nothing", func(w *world) {
		w.append()
	}},
	{"rows of one room keep their order", func(w *world) {
		for batch := range 5 {
			var rows []store.Append
			for i := range 30 {
				rows = append(rows, post(chat.RoomID(fmt.Sprint("r", i%2)), "ana", "", fmt.Sprintf("%03d", batch*30+i)))
			}
			w.append(rows...)
		}
		for _, room := range []chat.RoomID{"r0", "r1"} {
			log := w.log(room)
			w.wantSeqs(log, upTo(75)...)
			if !slices.IsSortedFunc(log, func(a, b chat.Event) int { return strings.Compare(string(a.Body), string(b.Body)) }) {
				w.Errorf("the log of %s is not in the order of the batches", room)
			}
		}
	}},
	{"seqs have no hole after refusals and repeats", func(w *world) {
		w.append(
			post("r", "ana", "1", "one"),
			post("r", "ana", "1", "one"),
			post("r", "ana", "1", "other"),
			passing("r"),
			stranger("nowhere"),
			post("r", "ana", "2", "two"),
		)
		w.append(post("r", "ana", "2", "two"), post("r", "ana", "3", "three"), post("r", "ana", "1", "other"))
		w.stored(post("r", "ana", "4", "four"))
		w.wantSeqs(w.log("r"), 1, 2, 3, 4)
		if got := w.room("r"); got.Head != 4 || got.Msgs != 4 {
			w.Errorf("Room = head %d, msgs %d, want 4, 4", got.Head, got.Msgs)
		}
	}},
	{"a nonce is stored once", func(w *world) {
		first := w.stored(post("r", "ana", "n", "hello"))
		w.append(posts("r", 300)...)
		repeat := post("r", "ana", "n", "hello")
		repeat.Actor.Name = "renamed since"
		for range 2 {
			r := w.append(repeat)[0]
			if r.Err != nil || !r.Duplicate {
				w.Errorf("the repeat = duplicate %v, %v, want true, nil", r.Duplicate, r.Err)
			}
			w.wantEvent(r.Event, first)
			w.reopen()
		}
		w.wantSeqs(w.log("r"), upTo(301)...)
	}},
	{"a nonce repeated within a batch is a duplicate of the first", func(w *world) {
		r := w.append(post("r", "ana", "n", "hello"), post("r", "ana", "", "between"), post("r", "ana", "n", "hello"))
		if r[0].Duplicate || !r[2].Duplicate || r[2].Err != nil {
			w.Fatalf("duplicates are %v, %v (%v), want false, true (nil)", r[0].Duplicate, r[2].Duplicate, r[2].Err)
		}
		w.wantEvent(r[2].Event, r[0].Event)
		w.wantSeqs(w.log("r"), 1, 2)
	}},
	{"a nonce belongs to its room and its user", func(w *world) {
		for _, row := range []store.Append{post("r", "ana", "n", "hello"), post("r", "bob", "n", "hello"), post("s", "ana", "n", "hello")} {
			w.stored(row)
		}
	}},
	{"nonces differ by case and length", func(w *world) {
		for _, n := range []chat.Nonce{"n", "N", "nn", "n ", chat.Nonce(strings.Repeat("n", chat.MaxNonceBytes))} {
			w.stored(post("r", "ana", n, "hello"))
		}
	}},
	{"an empty nonce repeats nothing", func(w *world) {
		rows := []store.Append{post("r", "ana", "", "hello"), post("r", "ana", "", "hello")}
		for _, r := range w.append(rows...) {
			if r.Duplicate || r.Err != nil {
				w.Errorf("a row without nonce = duplicate %v, %v, want false, nil", r.Duplicate, r.Err)
			}
		}
		for _, row := range rows {
			if row.Nonce != "" && row.Nonce[0] != ' ' {
				w.Errorf("the store filled in the nonce %q, want one that begins with a space", row.Nonce)
			}
		}
		w.stored(post("r", "ana", "", "hello"))
		w.wantSeqs(w.log("r"), 1, 2, 3)
	}},
	{"another body under a used nonce is a conflict", func(w *world) {
		first := w.stored(post("r", "ana", "n", "hello"))
		for range 2 {
			for _, r := range w.append(post("r", "ana", "n", "other"), post("r", "ana", "n", "")) {
				w.wantCode(r.Err, chat.IdempotencyConflict)
			}
			w.reopen()
		}
		r := w.append(post("r", "ana", "m", "a"), post("r", "ana", "m", "b"))
		w.wantCode(r[1].Err, chat.IdempotencyConflict)
		w.wantEvents(w.log("r"), []chat.Event{first, r[0].Event})
	}},
	{"a kind that is not stored is refused", func(w *world) {
		r := w.append(passing("r"), post("r", "ana", "", "hello"), passing("r"))
		w.wantCode(r[0].Err, chat.Internal)
		w.wantCode(r[2].Err, chat.Internal)
		w.wantEvents(w.log("r"), []chat.Event{r[1].Event})
	}},
	{"a room that may not be made is not found", func(w *world) {
		w.wantCode(w.append(stranger("r"))[0].Err, chat.RoomNotFound)
		if room := w.room("r"); room.Exists {
			w.Errorf("the refused row made the room")
		}
		r := w.append(stranger("r"), post("r", "ana", "", "first"), stranger("r"))
		w.wantCode(r[0].Err, chat.RoomNotFound)
		if r[1].Err != nil || r[2].Err != nil {
			w.Errorf("the rows after the first = %v, %v, want nil, nil", r[1].Err, r[2].Err)
		}
		w.stored(stranger("r"))
		w.wantSeqs(w.log("r"), 1, 2, 3)
	}},
	{"refused rows leave the others of the batch", func(w *world) {
		w.stored(post("r", "ana", "n", "hello"))
		r := w.append(stranger("nowhere"), post("s", "ana", "", "one"), post("r", "ana", "n", "other"), passing("s"), post("s", "ana", "", "two"))
		for i, refused := range []bool{true, false, true, true, false} {
			if (r[i].Err != nil) != refused {
				w.Errorf("row %d: Err = %v, want refused %v", i, r[i].Err, refused)
			}
		}
		w.wantEvents(w.log("s"), []chat.Event{r[1].Event, r[4].Event})
	}},
	{"an ended context stores nothing", func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for range 20 { // no luck
			results, err := w.s.Append(ctx, []store.Append{post("r", "ana", "n", "hello")})
			if results != nil || !errors.Is(err, store.ErrUnavailable) {
				w.Errorf("Append = %v, %v, want nil, %v", results, err, store.ErrUnavailable)
			}
		}
		if w.room("r").Exists {
			w.Errorf("the room exists")
		}
		w.append(posts("r", 3)...)
		for name, write := range writes(ctx, w.s) {
			if err := write(); !errors.Is(err, store.ErrUnavailable) {
				w.Errorf("%s = %v, want %v", name, err, store.ErrUnavailable)
			}
		}
		if _, ok, err := w.s.Account(context.Background(), "ana"); ok || err != nil || w.revoked("t") || w.room("r").Floor != 1 {
			w.Errorf("a write with an ended context has written")
		}
		w.wantMember(chat.Member{Room: "r", User: chat.User{ID: "ana"}})
		w.stored(post("r", "ana", "n", "hello"))
	}},
	{"the store keeps nothing of the batch", func(w *world) {
		rows := posts("r", 10)
		var want []chat.Event
		for _, r := range w.append(rows...) {
			want = append(want, r.Event)
		}
		for i := range rows {
			rows[i] = post("other", "bob", "x", "overwritten")
		}
		w.append(posts("s", 10)...)
		w.wantEvents(w.log("r"), want)
	}},
	{"at never goes back within a room", func(w *world) {
		for i := range 20 {
			w.append(posts("r", 1+i%3)...)
		}
		log := w.log("r")
		if !slices.IsSortedFunc(log, func(a, b chat.Event) int { return a.At.Compare(b.At) }) {
			w.Errorf("At goes back")
		}
	}},
	{"msgs counts the room's messages", func(w *world) {
		for _, r := range w.append(slices.Concat(posts("r", 3), posts("s", 2), posts("r", 2))...) {
			if r.Event.Msgs != r.Event.Seq {
				w.Errorf("event %d of %s: Msgs = %d, want %d", r.Event.Seq, r.Event.Room, r.Event.Msgs, r.Event.Seq)
			}
		}
	}},
	{"ids are unique and at most 2^53−1", func(w *world) {
		ids := map[int64]bool{}
		for i := range 6 {
			for _, r := range w.append(slices.Concat(posts("r", 7), posts("s", 7))...) {
				if ids[r.Event.ID] || r.Event.ID > 1<<53-1 || r.Event.ID < 1 {
					w.Errorf("ID = %d, taken %v", r.Event.ID, ids[r.Event.ID])
				}
				ids[r.Event.ID] = true
			}
			if i%2 == 1 {
				w.reopen()
			}
		}
	}},
	{"lanes append in parallel", func(w *world) {
		if w.s.Writers() < 1 {
			w.Fatalf("Writers = %d, want at least 1", w.s.Writers())
		}
		var lanes sync.WaitGroup
		for lane := range w.s.Writers() {
			lanes.Go(func() {
				for range 20 {
					rows := slices.Concat(posts(chat.RoomID(fmt.Sprint("a", lane)), 3), posts(chat.RoomID(fmt.Sprint("b", lane)), 2))
					if _, err := appendUntilKnown(context.Background(), w.s, rows); err != nil {
						w.Errorf("Append in lane %d: %v", lane, err)
					}
				}
			})
		}
		lanes.Wait()
		ids := map[int64]bool{}
		for lane := range w.s.Writers() {
			a, b := w.log(chat.RoomID(fmt.Sprint("a", lane))), w.log(chat.RoomID(fmt.Sprint("b", lane)))
			w.wantSeqs(a, upTo(60)...)
			w.wantSeqs(b, upTo(40)...)
			for _, e := range slices.Concat(a, b) {
				if ids[e.ID] {
					w.Errorf("id %d was given twice", e.ID)
				}
				ids[e.ID] = true
			}
		}
	}},
	{"many rooms", func(w *world) {
		// More than an implementation might keep in memory, so that rooms are
		// forgotten and found again.
		const rooms, batch = 20_000, 1000
		for range 2 {
			for first := 0; first < rooms; first += batch {
				rows := make([]store.Append, batch)
				for i := range rows {
					rows[i] = post(chat.RoomID(fmt.Sprint("r", first+i)), "ana", "", "hello")
				}
				w.append(rows...)
			}
		}
		for _, room := range []chat.RoomID{"r0", "r9999", "r19999"} {
			w.wantSeqs(w.log(room), 1, 2)
		}
	}},
}

// posts are n messages of one user, with nonces of their own.
func posts(room chat.RoomID, n int) []store.Append {
	rows := make([]store.Append, n)
	for i := range rows {
		rows[i] = post(room, "poster", newNonce(), fmt.Sprint("message ", i))
	}
	return rows
}

// passing is a row whose kind is not stored.
func passing(room chat.RoomID) store.Append {
	row := post(room, "ana", "", "")
	row.Kind = chat.KindTyping
	return row
}

// stranger is a row that may not begin a log.
func stranger(room chat.RoomID) store.Append {
	row := post(room, "ana", "", "anybody here?")
	row.MayCreate = false
	return row
}
