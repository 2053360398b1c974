package storetest

import (
	"context"
	"fmt"
	"slices"

	"tertulia/chat"
	"tertulia/internal/store"
)

var directoryCases = []testCase{
	{"rooms are listed by access, in the order of their ids", func(w *world) {
		for i, id := range []chat.RoomID{"b", "É", "a:1", "B", "漢", "a"} {
			w.every(open(id, []chat.Access{chat.AccessPublic, chat.AccessPrivate}[i%2]))
		}
		w.every(post("open", "ana", "", "x"), open("ab", chat.AccessDirect), settled("old", chat.Settings{Access: chat.AccessPublic, Archived: true}))
		for _, c := range []struct {
			after  chat.RoomID
			limit  int
			access []chat.Access
			want   []chat.RoomID
		}{
			{"", 10, []chat.Access{chat.AccessPublic}, []chat.RoomID{"a:1", "b", "old", "漢"}},
			{"", 10, []chat.Access{chat.AccessPublic, chat.AccessPrivate, chat.AccessPublic}, []chat.RoomID{"B", "a", "a:1", "b", "old", "É", "漢"}},
			{"", 3, []chat.Access{chat.AccessPublic, chat.AccessPrivate}, []chat.RoomID{"B", "a", "a:1"}},
			{"a", 2, []chat.Access{chat.AccessPublic, chat.AccessPrivate}, []chat.RoomID{"a:1", "b"}},
			{"", 10, []chat.Access{chat.AccessOpen}, []chat.RoomID{"open"}},
			{"", 10, []chat.Access{chat.AccessDirect, chat.AccessOpen}, []chat.RoomID{"ab", "open"}},
			{"漢", 10, []chat.Access{chat.AccessPublic}, nil},
			{"", 10, nil, nil},
			{"", 0, []chat.Access{chat.AccessPublic}, nil},
			{"", -1, []chat.Access{chat.AccessPublic}, nil},
		} {
			rooms, err := w.s.Rooms(context.Background(), c.access, c.after, c.limit)
			if err != nil {
				w.Fatalf("Rooms: %v", err)
			}
			var got []chat.RoomID
			for _, r := range rooms {
				got = append(got, r.ID)
				w.wantRoom(r)
			}
			if !slices.Equal(got, c.want) {
				w.Errorf("Rooms(%v, %q, %d) = %q, want %q", c.access, c.after, c.limit, got, c.want)
			}
		}
		w.every(open("b", chat.AccessOpen))
		rooms, err := w.s.Rooms(context.Background(), []chat.Access{chat.AccessPublic}, "a:1", 1)
		if err != nil || len(rooms) != 1 || rooms[0].ID != "old" {
			w.Errorf("Rooms after b is open = %v, %v, want old", rooms, err)
		}
	}},
	{"an event is found by its id in its room", func(w *world) {
		var rows []store.Append
		for range 40 {
			rows = append(rows, slices.Concat(posts("r", 1), posts("s", 2))...)
		}
		w.every(append(rows, edit("r", "ana", 1, "x"))...)
		log := w.log("r")
		for _, want := range log {
			got, err := w.s.Find(context.Background(), "r", want.ID)
			if err != nil {
				w.Fatalf("Find(%d) = %v, want nil", want.ID, err)
			}
			w.wantEvent(got, want)
		}
		for _, id := range []int64{w.log("s")[0].ID, w.log("s")[79].ID, 0, -1, log[40].ID + 1, 1<<53 - 1} {
			_, err := w.s.Find(context.Background(), "r", id)
			w.wantCode(err, chat.MessageNotFound)
		}
		_, err := w.s.Find(context.Background(), "nowhere", log[0].ID)
		w.wantCode(err, chat.RoomNotFound)
		w.trim("r", chat.Retention{Events: 11})
		_, err = w.s.Find(context.Background(), "r", log[29].ID)
		w.wantCode(err, chat.MessageNotFound)
		got, err := w.s.Find(context.Background(), "r", log[30].ID)
		if err != nil {
			w.Fatalf("Find = %v, want nil", err)
		}
		w.wantEvent(got, log[30])
	}},
	{"the rooms in which a user has said something", func(w *world) {
		for i := range 6 {
			room := chat.RoomID(fmt.Sprint("r", i))
			w.every(post(room, "ana", "", "x"), post(room, "bob", "", "y"))
		}
		w.every(remove("r1", "ana", 1), erase("r2", "ana"), edit("r3", "ana", 1, "z"), post("s", "bob", "", "x"), edit("s", "ana", 1, "z"))
		w.wrote("ana", "", 10, "r0", "r3", "r4", "r5")
		w.wrote("ana", "", 2, "r0", "r3")
		w.wrote("ana", "r3", 10, "r4", "r5")
		w.wrote("ana", "", 0)
		w.wrote("nobody", "", 10)
		w.every(post("r1", "ana", "", "again"))
		w.wrote("ana", "r0", 1, "r1")
	}},
	{"a page of one kind", func(w *world) {
		e := w.every(post("r", "ana", "", "1"), edit("r", "ana", 1, "a"), post("r", "ana", "", "2"), edit("r", "ana", 1, "b"), post("r", "ana", "", "3"), remove("r", "ana", 5))
		only := func(kind chat.Kind, events int) store.Limit {
			return store.Limit{Events: events, Bytes: 1 << 20, Only: kind}
		}
		for _, c := range []struct {
			limit         store.Limit
			after, before []uint64 // of 1, and of the end
		}{
			{only(chat.KindMessage, 10), []uint64{3, 5}, []uint64{1, 3, 5}},
			{only(chat.KindMessage, 2), []uint64{3, 5}, []uint64{3, 5}},
			{only(chat.KindMessage, 1), []uint64{3}, []uint64{5}},
			{only(chat.KindMessageEdited, 10), []uint64{2, 4}, []uint64{2, 4}},
			{only(chat.KindMessageDeleted, 10), []uint64{6}, []uint64{6}},
			{only(chat.KindMemberAdded, 10), nil, nil},
			{only(chat.KindTyping, 10), nil, nil},
			{store.Limit{Events: 10, Only: chat.KindMessage}, []uint64{3}, []uint64{5}},
			{only(0, 10), []uint64{2, 3, 4, 5, 6}, []uint64{1, 2, 3, 4, 5, 6}},
		} {
			after, before := w.after("r", 1, c.limit), w.before("r", 0, c.limit)
			if !slices.Equal(seqs(after.Events), c.after) || !slices.Equal(seqs(before.Events), c.before) {
				w.Errorf("%+v: After = %v, Before = %v, want %v, %v", c.limit, seqs(after.Events), seqs(before.Events), c.after, c.before)
			}
			if after.Room != w.room("r") {
				w.Errorf("Room = %+v, want %+v", after.Room, w.room("r"))
			}
		}
		w.wantEvents(w.after("r", 5, only(chat.KindMessageDeleted, 1)).Events, e[5:])
	}},
}

// wrote checks in which rooms a user has said something.
func (w *world) wrote(user chat.UserID, after chat.RoomID, limit int, want ...chat.RoomID) {
	w.Helper()
	got, err := w.s.Wrote(context.Background(), user, after, limit)
	if err != nil || !slices.Equal(got, want) {
		w.Errorf("Wrote(%s, %q, %d) = %q, %v, want %q", user, after, limit, got, err, want)
	}
}
