package storetest

import (
	"context"
	"time"

	"tertulia/chat"
)

// trim trims a room until nothing is left to be trimmed.
func (w *world) trim(id chat.RoomID, keep chat.Retention) chat.Room {
	w.Helper()
	for {
		room, more, err := w.s.Trim(context.Background(), id, keep)
		if err != nil {
			w.Fatalf("Trim(%s) = %v, want nil", id, err)
		}
		if got := w.room(id); got != room {
			w.Errorf("Trim returned %+v, want %+v", room, got)
		}
		if !more {
			return room
		}
	}
}

var trimCases = []testCase{
	{"a trim keeps the newest events", func(w *world) {
		e := w.every(posts("r", 10)...)
		w.every(posts("s", 10)...)
		room := w.room("r")
		for _, c := range []struct {
			keep  int64
			floor uint64
		}{{0, 1}, {-1, 1}, {11, 1}, {10, 1}, {9, 2}, {4, 7}, {9, 7}, {1, 10}, {1, 10}} {
			room.Floor = c.floor
			if got := w.trim("r", chat.Retention{Events: c.keep}); got != room {
				w.Errorf("Trim(%d) = %+v, want %+v", c.keep, got, room)
			}
			w.wantEvents(w.log("r"), e[c.floor-1:])
			w.wantEvents(w.before("r", 0, everything).Events, e[c.floor-1:])
		}
		w.reopen()
		w.wantRoom(room)
		next := w.every(posts("r", 1)...)[0]
		if next.Seq != 11 || next.Msgs != 11 {
			w.Errorf("the next event is %d with %d messages, want 11, 11", next.Seq, next.Msgs)
		}
		w.wantSeqs(w.log("s"), upTo(10)...)
	}},
	{"a trim removes what is too old", func(w *world) {
		w.every(posts("r", 5)...)
		young := w.log("r")[4].At
		if got := w.trim("r", chat.Retention{Age: time.Hour}); got.Floor != 1 {
			w.Errorf("an hour: Floor = %d, want 1", got.Floor)
		}
		if got := w.trim("r", chat.Retention{Age: time.Hour, Events: 4}); got.Floor != 2 {
			w.Errorf("an hour and four events: Floor = %d, want 2", got.Floor)
		}
		time.Sleep(time.Until(young.Add(1100 * time.Millisecond)))
		next := w.every(posts("r", 2)...)[0]
		if got := w.trim("r", chat.Retention{Age: time.Second}); got.Floor != next.Seq {
			w.Errorf("a second: Floor = %d, want %d", got.Floor, next.Seq)
		}
	}},
	{"a trim keeps the newest event, however old", func(w *world) {
		e := w.every(posts("r", 3)...)
		time.Sleep(time.Until(e[2].At.Add(1100 * time.Millisecond)))
		if got := w.trim("r", chat.Retention{Age: time.Second}); got.Floor != 3 {
			w.Errorf("Floor = %d, want 3", got.Floor)
		}
		w.wantEvents(w.log("r"), e[2:])
	}},
	{"a trim removes at most 10,000 events a call", func(w *world) {
		for range 11 {
			w.append(posts("r", 1000)...)
		}
		for _, want := range []struct {
			floor uint64
			more  bool
		}{{10_001, true}, {10_991, false}, {10_991, false}} {
			room, more, err := w.s.Trim(context.Background(), "r", chat.Retention{Events: 10})
			if err != nil || room.Floor != want.floor || more != want.more {
				w.Errorf("Trim = floor %d, more %v, %v, want %d, %v", room.Floor, more, err, want.floor, want.more)
			}
		}
		w.wantSeqs(w.log("r"), upTo(11_000)[10_990:]...)
	}},
	{"a room without a log has nothing to trim", func(w *world) {
		w.trim("nowhere", chat.Retention{Events: 1, Age: time.Second})
		w.wantRoom(chat.Room{ID: "nowhere", Epoch: w.s.Epoch(), Floor: 1})
	}},
	{"nonces go with their rows", func(w *world) {
		rows := posts("r", 3)
		w.every(rows...)
		w.trim("r", chat.Retention{Events: 1})
		r := w.append(rows...)
		if r[0].Duplicate || r[1].Duplicate || !r[2].Duplicate {
			w.Errorf("duplicates are %v, %v, %v, want false, false, true", r[0].Duplicate, r[1].Duplicate, r[2].Duplicate)
		}
		w.wantSeqs(w.log("r"), 3, 4, 5)
	}},
	{"a message that was trimmed cannot be changed", func(w *world) {
		w.every(post("r", "ana", "", "1"), post("r", "ana", "", "2"), post("r", "ana", "", "3"))
		w.trim("r", chat.Retention{Events: 2})
		w.refused(edit("r", "ana", 1, "x"), chat.MessageNotFound)
		w.refused(remove("r", "ana", 1), chat.MessageNotFound)
	}},
	{"edits outlive their message", func(w *world) {
		e := w.every(post("r", "ana", "", "1"), post("r", "ana", "", "2"), edit("r", "ana", 1, "a"), edit("r", "ana", 2, "b"), edit("r", "ana", 2, "c"))
		w.trim("r", chat.Retention{Events: 4})
		w.wantEvents(w.log("r"), []chat.Event{changed(e[1], e[4], e[4].Body), e[2], e[3], e[4]})
		by := w.every(remove("r", "ana", 2))[0]
		w.wantEvents(w.log("r"), []chat.Event{changed(e[1], by, empty), e[2], blank(e[3]), blank(e[4]), by})
		w.trim("r", chat.Retention{Events: 2})
		w.wantEvents(w.log("r"), []chat.Event{blank(e[4]), by})
		w.every(erase("r", "ana"))
		w.wantSeqs(w.log("r"), 5, 6, 7)
	}},
	{"members and settings outlive their events", func(w *world) {
		w.every(settled("r", chat.Settings{Access: chat.AccessPrivate, Title: "kept"}), stand("r", "ana", chat.StateJoined, chat.RoleOwner))
		w.every(posts("r", 5)...)
		room, m := w.member("r", "ana")
		room.Floor = 7
		w.trim("r", chat.Retention{Events: 1})
		w.reopen()
		w.wantRoom(room)
		w.wantMember(m)
	}},
}
