package storetest

import (
	"tertulia/chat"
	"tertulia/internal/store"
)

var markCases = []testCase{
	{"a mark moves forward and never back", func(w *world) {
		w.every(post("r", "eve", "", "1"), post("r", "eve", "", "2"), edit("r", "eve", 1, "x"), post("r", "eve", "", "3"), post("r", "eve", "", "4"))
		for i, c := range []struct {
			read, delivered uint64
			want            chat.Mark
			moved           bool
		}{
			{0, 0, chat.Mark{}, false},
			{0, 2, chat.Mark{Delivered: 2}, true},
			{1, 0, chat.Mark{Read: 1, Delivered: 2, ReadMsgs: 1}, true},
			{3, 1, chat.Mark{Read: 3, Delivered: 3, ReadMsgs: 2}, true},
			{2, 2, chat.Mark{Read: 3, Delivered: 3, ReadMsgs: 2}, false},
			{3, 3, chat.Mark{Read: 3, Delivered: 3, ReadMsgs: 2}, false},
			{4, 0, chat.Mark{Read: 4, Delivered: 4, ReadMsgs: 3}, true},
			{0, 99, chat.Mark{Read: 4, Delivered: 5, ReadMsgs: 3}, true},
			{1 << 63, 0, chat.Mark{Read: 5, Delivered: 5, ReadMsgs: 4}, true},
			{0, 1 << 63, chat.Mark{Read: 5, Delivered: 5, ReadMsgs: 4}, false},
		} {
			m := w.mark(store.Mark{Room: "r", User: named("ana"), Read: c.read, Delivered: c.delivered})[0]
			want := chat.Member{Room: "r", User: chat.User{ID: "ana"}, Mark: c.want}
			if i > 0 {
				want.User = named("ana")
			}
			if m.Member != want || m.Moved != c.moved {
				w.Errorf("Mark(%d, %d) = %+v, moved %v, want %+v, %v", c.read, c.delivered, m.Member, m.Moved, want, c.moved)
			}
			w.wantMember(want)
			if i%3 == 2 {
				w.reopen()
				w.wantMember(want)
			}
		}
	}},
	{"a mark leaves the standing as it is", func(w *world) {
		e := w.every(open("r", chat.AccessPrivate), stand("r", "ana", chat.StateJoined, chat.RoleModerator))
		w.mark(mark("r", "ana", 2))
		want := chat.Member{Room: "r", User: named("ana"), State: chat.StateJoined, Role: chat.RoleModerator, Version: 2, JoinedAt: e[1].At, Mark: chat.Mark{Read: 2, Delivered: 2}}
		w.wantMember(want)
		w.every(stand("r", "ana", chat.StateNone, chat.RoleNone))
		w.wantMember(chat.Member{Room: "r", User: named("ana"), Version: 3, Mark: want.Mark})
		if room := w.room("r"); room.Head != 3 {
			w.Errorf("Head = %d, want 3", room.Head)
		}
	}},
	{"a mark may be private", func(w *world) {
		w.every(post("r", "eve", "", "1"))
		yes, no := true, false
		for _, c := range []struct {
			private     *bool
			read        uint64
			want, moved bool
		}{{&no, 0, false, false}, {&yes, 0, true, true}, {nil, 1, true, true}, {&yes, 1, true, false}, {&no, 0, false, true}} {
			m := w.mark(store.Mark{Room: "r", User: named("ana"), Read: c.read, Private: c.private})[0]
			if m.Member.Mark.Private != c.want || m.Moved != c.moved {
				w.Errorf("Mark = private %v, moved %v, want %v, %v", m.Member.Mark.Private, m.Moved, c.want, c.moved)
			}
			w.wantMember(m.Member)
		}
	}},
	{"marks of one call follow one another", func(w *world) {
		w.every(post("r", "eve", "", "1"), post("r", "eve", "", "2"), post("r", "eve", "", "3"))
		m := w.mark(mark("r", "ana", 2), mark("r", "ana", 1), mark("r", "bob", 3), mark("r", "ana", 3))
		for i, want := range []struct {
			read  uint64
			moved bool
		}{{2, true}, {2, false}, {3, true}, {3, true}} {
			if m[i].Member.Mark.Read != want.read || m[i].Moved != want.moved {
				w.Errorf("mark %d = %+v, moved %v, want %d, %v", i, m[i].Member.Mark, m[i].Moved, want.read, want.moved)
			}
		}
		if got := w.mark(); len(got) != 0 {
			w.Errorf("no marks = %v", got)
		}
	}},
	{"marks need a room and a role", func(w *world) {
		w.every(open("r", chat.AccessPrivate), stand("r", "in", chat.StateJoined, chat.RoleMember), stand("r", "guest", chat.StateInvited, chat.RoleMember),
			stand("r", "bad", chat.StateBanned, chat.RoleNone), stand("r", "gone", chat.StateNone, chat.RoleNone),
			post("open", "eve", "", "1"), stand("open", "bad", chat.StateBanned, chat.RoleNone))
		marks := []store.Mark{mark("nowhere", "in", 1), mark("r", "in", 1), mark("r", "guest", 1), mark("r", "bad", 1), mark("r", "gone", 1), mark("r", "who", 1),
			mark("open", "bad", 1), mark("open", "who", 1)}
		for i, code := range []chat.Code{chat.RoomNotFound, "", chat.Forbidden, chat.Banned, chat.Forbidden, chat.Forbidden, chat.Banned, ""} {
			m := w.tryMark(marks...)[i]
			if code != "" {
				w.wantCode(m.Err, code)
				_, member := w.member(marks[i].Room, marks[i].User.ID)
				if m.Moved || member.Mark != (chat.Mark{}) {
					w.Errorf("the refused mark %d has moved to %+v", i, member.Mark)
				}
			} else if m.Err != nil || m.Member.Mark.Read != 1 {
				w.Errorf("mark %d = %+v, %v, want 1, nil", i, m.Member.Mark, m.Err)
			}
		}
		for i := range marks {
			marks[i].Trusted = true
		}
		for i, m := range w.tryMark(marks...) {
			if i == 0 {
				w.wantCode(m.Err, chat.RoomNotFound)
			} else if m.Err != nil || m.Member.Mark.Read != 1 {
				w.Errorf("the trusted mark %d = %+v, %v, want 1, nil", i, m.Member.Mark, m.Err)
			}
		}
	}},
	{"a message moves its author's mark", func(w *world) {
		w.every(open("r", chat.AccessOpen), stand("r", "joined", chat.StateJoined, chat.RoleMember), stand("r", "left", chat.StateNone, chat.RoleNone), post("r", "eve", "", "1"))
		w.mark(mark("r", "marked", 1))
		var rows []store.Append
		for _, user := range []chat.UserID{"joined", "left", "marked", "nobody", "joined"} {
			rows = append(rows, post("r", user, newNonce(), "x"))
		}
		rows[4].Actor.Name = "renamed"
		w.every(rows...)
		for user, want := range map[chat.UserID]chat.Mark{
			"joined": {Read: 9, Delivered: 9, ReadMsgs: 6},
			"left":   {Read: 6, Delivered: 6, ReadMsgs: 3},
			"marked": {Read: 7, Delivered: 7, ReadMsgs: 4},
			"nobody": {},
		} {
			_, m := w.member("r", user)
			if m.Mark != want {
				w.Errorf("the mark of %s = %+v, want %+v", user, m.Mark, want)
			}
			if user == "joined" && m.User.Name != "renamed" {
				w.Errorf("the name = %q, want renamed", m.User.Name)
			}
			w.wantMember(m)
		}
		w.wantDuplicates(rows[:1], w.log("r")[4:5])
		w.every(edit("r", "left", 5, "x"))
		if _, m := w.member("r", "left"); m.Mark.Read != 6 {
			w.Errorf("an edit has moved the mark to %d", m.Mark.Read)
		}
		w.reopen()
		w.every(post("r", "left", "", "x"))
		if _, m := w.member("r", "left"); m.Mark != (chat.Mark{Read: 11, Delivered: 11, ReadMsgs: 7}) {
			w.Errorf("the mark after reopening = %+v", m.Mark)
		}
	}},
	{"a private mark stays private as its author posts", func(w *world) {
		w.every(post("r", "ana", "", "x"))
		yes := true
		w.mark(store.Mark{Room: "r", User: named("ana"), Private: &yes})
		w.every(post("r", "ana", "", "y"))
		w.wantMember(chat.Member{Room: "r", User: named("ana"), Mark: chat.Mark{Read: 2, Delivered: 2, ReadMsgs: 2, Private: true}})
	}},
	{"a mark below the floor counts what was trimmed as read", func(w *world) {
		w.every(post("r", "eve", "", "1"), post("r", "eve", "", "2"), edit("r", "eve", 2, "x"), post("r", "eve", "", "3"), edit("r", "eve", 4, "x"), post("r", "eve", "", "4"))
		w.trim("r", chat.Retention{Events: 3})
		for _, c := range []struct {
			user       chat.UserID
			read, msgs uint64
		}{{"a", 1, 2}, {"b", 3, 2}, {"c", 4, 3}, {"d", 5, 3}, {"e", 6, 4}} {
			m := w.mark(mark("r", c.user, c.read))[0].Member.Mark
			if m.Read != c.read || m.ReadMsgs != c.msgs {
				w.Errorf("Mark(%d) = %+v, want %d messages", c.read, m, c.msgs)
			}
		}
		w.trim("r", chat.Retention{Events: 2}) // begins with an edit
		if m := w.mark(mark("r", "f", 1))[0].Member.Mark; m.ReadMsgs != 3 {
			w.Errorf("Mark(1) = %+v, want 3 messages", m)
		}
	}},
}
