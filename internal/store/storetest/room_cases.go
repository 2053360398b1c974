package storetest

import (
	"time"

	"tertulia/chat"
)

var roomCases = []testCase{
	{"a room has the settings of its latest event about them", func(w *world) {
		full := chat.Settings{
			Access: chat.AccessPrivate, Title: `Ana's "room" 👩‍👧`, Topic: "What\nis new", Archived: true,
			Keep: chat.Retention{Age: 36 * time.Hour, Events: 1000},
		}
		first := w.every(settled("r", full))[0]
		want := chat.Room{
			ID: "r", Exists: true, Settings: full, Version: 1, CreatedAt: first.At,
			Epoch: w.s.Epoch(), Head: 1, Floor: 1,
		}
		w.wantRoom(want)
		w.every(post("r", "ana", "", "x"))
		want.Head, want.Msgs = 2, 1
		w.wantRoom(want)
		w.reopen()
		w.wantRoom(want)
		for _, access := range []chat.Access{chat.AccessOpen, chat.AccessPublic, chat.AccessDirect} {
			w.every(settled("r", chat.Settings{Access: access}))
			want.Head++
			want.Version, want.Settings = want.Head, chat.Settings{Access: access}
			w.wantRoom(want)
		}
	}},
	{"a retention is of whole seconds", func(w *world) {
		w.every(settled("r", chat.Settings{Keep: chat.Retention{Age: 2*time.Second - 1}}))
		if got := w.room("r").Keep.Age; got != time.Second {
			w.Errorf("Keep.Age = %v, want 1s", got)
		}
	}},
	{"a room that begins with a message is open and has no version", func(w *world) {
		e := w.every(post("r", "ana", "", "x"))[0]
		w.wantRoom(chat.Room{ID: "r", Exists: true, CreatedAt: e.At, Epoch: w.s.Epoch(), Head: 1, Floor: 1, Msgs: 1})
		w.wantRoom(chat.Room{ID: "nowhere", Epoch: w.s.Epoch(), Floor: 1})
	}},
	{"settings repeat like messages", func(w *world) {
		row := settled("r", chat.Settings{Title: "a"})
		e := w.every(row, settled("r", chat.Settings{Title: "b"}))
		again := row
		again.Settings = &chat.Settings{Title: "a"}
		r := w.append(again)[0]
		if !r.Duplicate || r.Err != nil {
			w.Errorf("the repeat = duplicate %v, %v, want true, nil", r.Duplicate, r.Err)
		}
		w.wantEvent(r.Event, e[0])
		again.Settings = &chat.Settings{Title: "a", Topic: "other"}
		w.refused(again, chat.IdempotencyConflict)
		if got := w.room("r").Title; got != "b" {
			w.Errorf("Title = %q, want b", got)
		}
	}},
}
