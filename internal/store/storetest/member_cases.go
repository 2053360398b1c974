package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tertulia/chat"
)

var memberCases = []testCase{
	{"a membership event gives its subject a standing", func(w *world) {
		w.every(open("r", chat.AccessPublic))
		var joined time.Time
		for i, c := range []struct {
			state chat.State
			role  chat.Role
			want  chat.Role
			count int
		}{
			{chat.StateInvited, chat.RoleModerator, chat.RoleModerator, 0},
			{chat.StateJoined, chat.RoleModerator, chat.RoleModerator, 1},
			{chat.StateJoined, chat.RoleOwner, chat.RoleOwner, 1},
			{chat.StateNone, chat.RoleOwner, chat.RoleNone, 0},
			{chat.StateBanned, chat.RoleMember, chat.RoleNone, 0},
			{chat.StateNone, chat.RoleNone, chat.RoleNone, 0},
			{chat.StateJoined, chat.RoleMember, chat.RoleMember, 1},
			{chat.StateBanned, chat.RoleNone, chat.RoleNone, 0},
		} {
			e := w.every(stand("r", "ana", c.state, c.role))[0]
			if e.Subject != "ana" {
				w.Errorf("Subject = %q, want ana", e.Subject)
			}
			w.wantEvent(w.log("r")[i+1], e)
			want := chat.Member{Room: "r", User: named("ana"), State: c.state, Role: c.want, Version: e.Seq}
			if c.state == chat.StateJoined {
				if joined.IsZero() {
					joined = e.At
				}
				want.JoinedAt = joined
			} else {
				joined = time.Time{}
			}
			w.wantMember(want)
			if i%2 == 0 {
				w.reopen()
				w.wantMember(want)
			}
			if got := w.room("r").Members; got != c.count {
				w.Errorf("after %v the room has %d members, want %d", c.state, got, c.count)
			}
		}
	}},
	{"a room counts who have joined", func(w *world) {
		w.every(open("r", chat.AccessPublic), stand("r", "a", chat.StateJoined, chat.RoleOwner), stand("r", "b", chat.StateJoined, chat.RoleMember),
			stand("r", "c", chat.StateInvited, chat.RoleMember), stand("r", "d", chat.StateBanned, chat.RoleNone), stand("r", "b", chat.StateJoined, chat.RoleModerator),
			open("s", chat.AccessPublic), stand("s", "a", chat.StateJoined, chat.RoleOwner))
		w.mark(mark("r", "a", 1))
		if got := w.room("r").Members; got != 2 {
			w.Errorf("Members = %d, want 2", got)
		}
	}},
	{"who has no standing is nobody", func(w *world) {
		w.every(open("r", chat.AccessPublic), stand("r", "bob", chat.StateJoined, chat.RoleOwner))
		w.wantMember(chat.Member{Room: "r", User: chat.User{ID: "ana"}})
		w.wantMember(chat.Member{Room: "nowhere", User: chat.User{ID: "ana"}})
		if room, _ := w.member("nowhere", "ana"); room.Exists {
			w.Errorf("Member says that the room exists")
		}
	}},
	{"a standing belongs to its room", func(w *world) {
		w.every(open("r", chat.AccessPublic), open("s", chat.AccessPublic), stand("r", "ana", chat.StateBanned, chat.RoleNone))
		w.wantMember(chat.Member{Room: "s", User: chat.User{ID: "ana"}})
	}},
	{"a name that is not given stays", func(w *world) {
		row := stand("r", "ana", chat.StateInvited, chat.RoleMember)
		row.MayCreate = true
		nameless := stand("r", "ana", chat.StateBanned, chat.RoleNone)
		nameless.Member.User.Name = ""
		w.every(row, nameless)
		w.wantMember(chat.Member{Room: "r", User: named("ana"), State: chat.StateBanned, Version: 2})
		renamed := stand("r", "ana", chat.StateBanned, chat.RoleNone)
		renamed.Member.User.Name = "Ana María"
		w.every(renamed)
		w.wantMember(chat.Member{Room: "r", User: chat.User{ID: "ana", Name: "Ana María"}, State: chat.StateBanned, Version: 3})
	}},
	{"a standing repeats like a message", func(w *world) {
		w.every(open("r", chat.AccessPublic))
		row := stand("r", "ana", chat.StateJoined, chat.RoleMember)
		e := w.every(row)
		w.every(stand("r", "ana", chat.StateBanned, chat.RoleNone))
		again := row
		member := *row.Member
		member.User.Name = "renamed since"
		again.Member = &member
		r := w.append(again)[0]
		if !r.Duplicate || r.Err != nil {
			w.Errorf("the repeat = duplicate %v, %v, want true, nil", r.Duplicate, r.Err)
		}
		w.wantEvent(r.Event, e[0])
		member.Role = chat.RoleOwner
		w.refused(again, chat.IdempotencyConflict)
		w.wantMember(chat.Member{Room: "r", User: named("ana"), State: chat.StateBanned, Version: 3})
	}},
	{"members are listed in the order of their ids", func(w *world) {
		w.every(open("r", chat.AccessPublic), open("s", chat.AccessPublic), stand("s", "zoe", chat.StateJoined, chat.RoleMember))
		for i, user := range []chat.UserID{"b", "É", "a/1", "B", "漢", "a"} {
			w.every(stand("r", user, []chat.State{chat.StateJoined, chat.StateInvited}[i%2], chat.RoleMember))
		}
		w.every(stand("r", "gone", chat.StateNone, chat.RoleNone), stand("r", "bad", chat.StateBanned, chat.RoleNone))
		w.every(settled("r", chat.Settings{}), post("r", "ana", "", "x"))
		w.mark(mark("r", "marker", 1))
		for _, c := range []struct {
			after  chat.UserID
			limit  int
			states []chat.State
			want   []chat.UserID
		}{
			{"", 10, []chat.State{chat.StateJoined}, []chat.UserID{"a/1", "b", "漢"}},
			{"", 10, []chat.State{chat.StateJoined, chat.StateInvited, chat.StateJoined}, []chat.UserID{"B", "a", "a/1", "b", "É", "漢"}},
			{"", 2, []chat.State{chat.StateJoined, chat.StateInvited}, []chat.UserID{"B", "a"}},
			{"a", 3, []chat.State{chat.StateJoined, chat.StateInvited}, []chat.UserID{"a/1", "b", "É"}},
			{"漢", 3, []chat.State{chat.StateJoined}, nil},
			{"", 10, []chat.State{chat.StateBanned}, []chat.UserID{"bad"}},
			{"", 10, []chat.State{chat.StateNone}, []chat.UserID{"gone", "marker"}},
			{"", 10, nil, nil},
			{"", 0, []chat.State{chat.StateJoined}, nil},
			{"", -1, []chat.State{chat.StateJoined}, nil},
		} {
			members, err := w.s.Members(context.Background(), "r", c.states, c.after, c.limit)
			if err != nil {
				w.Fatalf("Members: %v", err)
			}
			var got []chat.UserID
			for _, m := range members {
				got = append(got, m.User.ID)
				w.wantMember(m)
			}
			if !slices.Equal(got, c.want) {
				w.Errorf("Members(%v, %q, %d) = %q, want %q", c.states, c.after, c.limit, got, c.want)
			}
		}
		if got := w.members("nowhere", "", chat.StateJoined); len(got) != 0 {
			w.Errorf("Members of no room = %v, want none", got)
		}
	}},
	{"standings are the rooms of a user", func(w *world) {
		for i, state := range []chat.State{chat.StateJoined, chat.StateInvited, chat.StateNone, chat.StateBanned, chat.StateJoined} {
			room := chat.RoomID(fmt.Sprint("r", i))
			w.every(open(room, chat.AccessPrivate), stand(room, "ana", state, chat.RoleMember), stand(room, "bob", chat.StateJoined, chat.RoleOwner))
		}
		w.every(post("a open", "eve", "", "x"), post("not marked", "eve", "", "x"))
		w.mark(mark("a open", "ana", 1))
		w.standings("ana", "", 10, "a open", "r0", "r1", "r4")
		w.standings("ana", "", 2, "a open", "r0")
		w.standings("ana", "r0", 1, "r1")
		w.standings("ana", "r4", 10)
		w.standings("ana", "", 0)
		w.standings("nobody", "", 10)
		for _, room := range []chat.RoomID{"r2", "r3"} { // removed and banned, with a mark
			trusted := mark(room, "ana", 1)
			trusted.Trusted = true
			w.mark(trusted)
		}
		w.standings("ana", "", 10, "a open", "r0", "r1", "r2", "r3", "r4")
	}},
	{"many members", func(w *world) {
		// More than an implementation might keep in memory.
		const members, batch = 20_000, 1000
		w.every(open("r", chat.AccessPublic))
		for round := range 2 {
			for first := 0; first < members; first += batch {
				rows := posts("r", batch)
				for i := range rows {
					user := chat.UserID(fmt.Sprint("u", first+i))
					if round == 0 {
						rows[i] = stand("r", user, chat.StateJoined, chat.RoleMember)
					} else {
						rows[i].Actor, rows[i].Role = named(user), chat.RoleMember
					}
				}
				w.every(rows...)
			}
		}
		if got := w.room("r").Members; got != members {
			w.Errorf("the room has %d members, want %d", got, members)
		}
		for _, i := range []int{0, members / 2, members - 1} {
			_, m := w.member("r", chat.UserID(fmt.Sprint("u", i)))
			if want := uint64(1 + members + i + 1); m.Mark.Read != want || m.Mark.ReadMsgs != uint64(i)+1 {
				w.Errorf("the mark of member %d = %+v, want %d and %d messages", i, m.Mark, want, i+1)
			}
		}
	}},
}

// standings checks which rooms a user has, and that they are as elsewhere.
func (w *world) standings(user chat.UserID, after chat.RoomID, limit int, want ...chat.RoomID) {
	w.Helper()
	standings, err := w.s.Standings(context.Background(), user, after, limit)
	if err != nil {
		w.Fatalf("Standings: %v", err)
	}
	var got []chat.RoomID
	for _, st := range standings {
		got = append(got, st.Room.ID)
		if room, m := w.member(st.Room.ID, user); st.Room != room || st.Member != m {
			w.Errorf("Standings has %+v, want %+v, %+v", st, room, m)
		}
	}
	if !slices.Equal(got, want) {
		w.Errorf("Standings(%q, %d) = %q, want %q", after, limit, got, want)
	}
}
