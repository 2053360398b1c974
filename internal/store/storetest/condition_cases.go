package storetest

import (
	"slices"

	"tertulia/chat"
	"tertulia/internal/store"
)

var conditionCases = []testCase{
	{"new refuses a room that has a log", func(w *world) {
		row := under(store.Condition{New: true}, open("r", chat.AccessPublic))
		e := w.every(row)
		w.refused(under(store.Condition{New: true}, open("r", chat.AccessPublic)), chat.RoomExists)
		w.wantDuplicates([]store.Append{row}, e)
		w.refused(under(store.Condition{New: true}, post("r", "ana", "", "x")), chat.RoomExists)
		r := w.append(under(store.Condition{New: true}, post("s", "ana", "", "x")), under(store.Condition{New: true}, post("s", "ana", "", "x")))
		if r[0].Err != nil {
			w.Errorf("the first row of a new room = %v, want nil", r[0].Err)
		}
		w.wantCode(r[1].Err, chat.RoomExists)
	}},
	{"with goes the way of the row before it", func(w *world) {
		with := store.Condition{With: true}
		w.every(open("r", chat.AccessPublic))
		group := func(room chat.RoomID) []store.Append {
			return []store.Append{
				under(store.Condition{New: true}, open(room, chat.AccessPrivate)),
				under(with, stand(room, "ana", chat.StateJoined, chat.RoleOwner)),
				under(with, stand(room, "bob", chat.StateJoined, chat.RoleMember)),
				stand(room, "cat", chat.StateJoined, chat.RoleMember),
			}
		}
		results := w.append(group("r")...)
		for i := range 3 {
			w.wantCode(results[i].Err, chat.RoomExists)
		}
		if results[3].Err != nil {
			w.Errorf("a row without the condition = %v, want nil", results[3].Err)
		}
		rows := group("s")
		w.wantDuplicates(rows, w.every(rows...))
		w.every(under(with, stand("s", "dan", chat.StateJoined, chat.RoleMember))) // the first of its batch
	}},
	{"owned keeps an owner for those who have joined", func(w *world) {
		owned := store.Condition{Owned: true}
		leave := func(user chat.UserID) store.Append {
			return under(owned, stand("r", user, chat.StateNone, chat.RoleNone))
		}
		w.every(open("r", chat.AccessPrivate),
			stand("r", "ana", chat.StateJoined, chat.RoleOwner), stand("r", "bob", chat.StateJoined, chat.RoleOwner),
			stand("r", "cat", chat.StateJoined, chat.RoleMember), stand("r", "dan", chat.StateInvited, chat.RoleOwner))
		// Both at once: what the first row does counts for the second.
		results := w.append(leave("ana"), leave("bob"))
		if results[0].Err != nil {
			w.Errorf("the first owner's leaving = %v, want nil", results[0].Err)
		}
		w.wantCode(results[1].Err, chat.Forbidden)
		w.refused(under(owned, stand("r", "bob", chat.StateJoined, chat.RoleModerator)), chat.Forbidden)
		w.every(under(owned, stand("r", "bob", chat.StateJoined, chat.RoleOwner)), leave("cat"), leave("bob"))
	}},
	{"the role that a standing gives", func(w *world) {
		type want [4]chat.Code // for the roles none to owner
		const ok = chat.Code("")
		no, out := chat.Forbidden, chat.Banned
		for _, c := range []struct {
			access chat.Access
			state  chat.State
			role   chat.Role
			want   want
		}{
			{chat.AccessOpen, chat.StateNone, chat.RoleNone, want{ok, ok, no, no}},
			{chat.AccessOpen, chat.StateInvited, chat.RoleOwner, want{ok, ok, no, no}},
			{chat.AccessOpen, chat.StateJoined, chat.RoleMember, want{ok, ok, no, no}},
			{chat.AccessOpen, chat.StateJoined, chat.RoleModerator, want{ok, ok, ok, no}},
			{chat.AccessOpen, chat.StateBanned, chat.RoleNone, want{ok, out, out, out}},
			{chat.AccessPublic, chat.StateNone, chat.RoleNone, want{ok, no, no, no}},
			{chat.AccessPublic, chat.StateInvited, chat.RoleOwner, want{ok, no, no, no}},
			{chat.AccessPublic, chat.StateJoined, chat.RoleMember, want{ok, ok, no, no}},
			{chat.AccessPrivate, chat.StateJoined, chat.RoleModerator, want{ok, ok, ok, no}},
			{chat.AccessPrivate, chat.StateJoined, chat.RoleOwner, want{ok, ok, ok, ok}},
			{chat.AccessPrivate, chat.StateBanned, chat.RoleOwner, want{ok, out, out, out}},
			{chat.AccessDirect, chat.StateJoined, chat.RoleMember, want{ok, ok, no, no}},
			{chat.AccessDirect, chat.StateNone, chat.RoleOwner, want{ok, no, no, no}},
		} {
			room := chat.RoomID(newNonce())
			w.every(open(room, c.access), stand(room, "ana", c.state, c.role))
			for role, code := range c.want {
				row := under(store.Condition{Role: chat.Role(role)}, post(room, "ana", "", "x"))
				if code == ok {
					w.every(row)
				} else {
					w.refused(row, code)
				}
				if w.failed() {
					w.Fatalf("%v, %v, %v asked for %v", c.access, c.state, c.role, chat.Role(role))
				}
			}
		}
	}},
	{"who never had a standing is a member of open rooms alone", func(w *world) {
		member := store.Condition{Role: chat.RoleMember}
		w.every(under(member, post("new", "ana", "", "x")), under(member, post("new", "bob", "", "x")))
		w.refused(under(store.Condition{Role: chat.RoleModerator}, post("new", "ana", "", "x")), chat.Forbidden)
		w.refused(under(store.Condition{Role: chat.RoleModerator}, post("newer", "ana", "", "x")), chat.Forbidden)
		w.every(open("r", chat.AccessPublic), stand("r", "eve", chat.StateJoined, chat.RoleMember))
		w.refused(under(member, post("r", "ana", "", "x")), chat.Forbidden)
	}},
	{"a condition sees the rows of its batch before it", func(w *world) {
		member := store.Condition{Role: chat.RoleMember, Live: true}
		r := w.append(open("r", chat.AccessPrivate), under(member, post("r", "ana", "", "x")),
			stand("r", "ana", chat.StateJoined, chat.RoleMember), under(member, post("r", "ana", "", "x")),
			settled("r", chat.Settings{Access: chat.AccessPrivate, Archived: true}), under(member, post("r", "ana", "", "x")),
			stand("r", "ana", chat.StateBanned, chat.RoleNone), under(member, post("r", "ana", "", "x")))
		for i, code := range []chat.Code{"", chat.Forbidden, "", "", "", chat.RoomReadOnly, "", chat.Banned} {
			if code != "" {
				w.wantCode(r[i].Err, code)
			} else if r[i].Err != nil {
				w.Errorf("row %d = %v, want nil", i, r[i].Err)
			}
		}
		w.wantSeqs(w.log("r"), upTo(5)...)
	}},
	{"conditions hold after closing and opening", func(w *world) {
		w.every(settled("r", chat.Settings{Access: chat.AccessPrivate, Archived: true}), stand("r", "ana", chat.StateJoined, chat.RoleModerator))
		w.reopen()
		w.refused(under(store.Condition{Role: chat.RoleMember}, post("r", "bob", "", "x")), chat.Forbidden)
		w.refused(under(store.Condition{Live: true}, post("r", "ana", "", "x")), chat.RoomReadOnly)
		w.every(under(store.Condition{Role: chat.RoleModerator}, post("r", "ana", "", "x")))
	}},
	{"live refuses an archived room", func(w *world) {
		live := store.Condition{Live: true}
		w.every(under(live, post("r", "ana", "", "x")), settled("r", chat.Settings{Archived: true}), post("r", "ana", "", "without the condition"))
		w.refused(under(live, post("r", "ana", "", "x")), chat.RoomReadOnly)
		w.every(settled("r", chat.Settings{}), under(live, post("r", "ana", "", "x")))
	}},
	{"own refuses what is somebody else's", func(w *world) {
		w.every(open("r", chat.AccessPublic), stand("r", "mod", chat.StateJoined, chat.RoleModerator), stand("r", "owner", chat.StateJoined, chat.RoleOwner),
			post("r", "ana", "", "x"), post("r", "ana", "", "y"))
		own := func(over chat.Role) store.Condition { return store.Condition{Own: true, Over: over} }
		for _, row := range []store.Append{edit("r", "bob", 4, "x"), remove("r", "bob", 4)} {
			w.refused(under(own(chat.RoleNone), row), chat.Forbidden)
			w.refused(under(own(chat.RoleMember), row), chat.Forbidden)
		}
		w.refused(under(own(chat.RoleNone), edit("r", "owner", 4, "x")), chat.Forbidden)
		w.refused(under(own(chat.RoleOwner), edit("r", "mod", 4, "x")), chat.Forbidden)
		w.every(under(own(chat.RoleNone), edit("r", "ana", 4, "x")), under(own(chat.RoleOwner), edit("r", "ana", 4, "x")),
			under(own(chat.RoleModerator), edit("r", "mod", 4, "x")), under(own(chat.RoleModerator), remove("r", "owner", 4)))
		w.refused(under(own(chat.RoleModerator), edit("r", "bob", 99, "x")), chat.MessageNotFound)
		w.every(under(own(chat.RoleNone), post("r", "bob", "", "no target")))
	}},
	{"a version is the message's latest change", func(w *world) {
		version := func(v uint64) store.Condition { return store.Condition{Versioned: true, Version: v} }
		w.every(post("r", "ana", "", "x"))
		w.refused(under(version(1), edit("r", "ana", 1, "a")), chat.VersionConflict)
		w.every(under(version(0), edit("r", "ana", 1, "a")))
		w.refused(under(version(0), edit("r", "ana", 1, "b")), chat.VersionConflict)
		w.refused(under(version(0), remove("r", "ana", 1)), chat.VersionConflict)
		w.every(under(version(2), edit("r", "ana", 1, "b")), under(version(3), remove("r", "ana", 1)))
	}},
	{"a version is the subject's", func(w *world) {
		version := func(v uint64, state chat.State) store.Append {
			return under(store.Condition{Versioned: true, Version: v}, stand("r", "ana", state, chat.RoleMember))
		}
		w.every(open("r", chat.AccessPublic))
		w.refused(version(1, chat.StateJoined), chat.VersionConflict)
		w.every(version(0, chat.StateInvited), version(2, chat.StateJoined))
		w.refused(version(0, chat.StateNone), chat.VersionConflict)
		w.refused(version(2, chat.StateNone), chat.VersionConflict)
		w.reopen()
		w.refused(version(2, chat.StateNone), chat.VersionConflict)
		w.every(version(3, chat.StateNone))
		row := version(0, chat.StateJoined)
		row.Room, row.MayCreate = "new", true
		w.every(row)
	}},
	{"a mark gives no version", func(w *world) {
		w.every(post("r", "ana", "", "x"))
		w.mark(mark("r", "bob", 1))
		w.every(under(store.Condition{Versioned: true}, stand("r", "bob", chat.StateJoined, chat.RoleMember)))
	}},
	{"a version is the room's", func(w *world) {
		version := func(v uint64) store.Append {
			return under(store.Condition{Versioned: true, Version: v}, settled("r", chat.Settings{Title: string(newNonce())}))
		}
		w.every(post("r", "ana", "", "x"))
		w.refused(version(1), chat.VersionConflict)
		w.every(version(0))
		w.refused(version(0), chat.VersionConflict)
		w.reopen()
		w.refused(version(0), chat.VersionConflict)
		w.every(version(2))
	}},
	{"a version asks for nothing of messages and erasures", func(w *world) {
		c := store.Condition{Versioned: true, Version: 99}
		w.every(under(c, post("r", "ana", "", "x")), under(c, erase("r", "ana")))
	}},
	{"conditions are looked at in order", func(w *world) {
		w.every(settled("r", chat.Settings{Access: chat.AccessPrivate, Archived: true}), stand("r", "ana", chat.StateJoined, chat.RoleMember),
			post("r", "eve", "", "x"))
		all := store.Condition{New: true, Role: chat.RoleOwner, Live: true, Own: true, Versioned: true, Version: 77}
		row := edit("r", "ana", 99, "x")
		for _, step := range []struct {
			want chat.Code
			next func()
		}{
			{chat.RoomExists, func() { all.New = false }},
			{chat.Forbidden, func() { all.Role = chat.RoleMember }},
			{chat.RoomReadOnly, func() { all.Live = false }},
			{chat.MessageNotFound, func() { row.Target = 3 }},
			{chat.Forbidden, func() { all.Own = false }},
			{chat.VersionConflict, func() { all.Versioned = false }},
		} {
			w.refused(under(all, row), step.want)
			step.next()
		}
		w.every(under(all, row))
	}},
	{"a repeat comes before the conditions", func(w *world) {
		rows := []store.Append{
			under(store.Condition{New: true}, open("r", chat.AccessPrivate)),
			under(store.Condition{Versioned: true}, stand("r", "ana", chat.StateJoined, chat.RoleMember)),
			under(store.Condition{Role: chat.RoleMember, Live: true}, post("r", "ana", "n", "x")),
			under(store.Condition{Own: true, Versioned: true}, edit("r", "ana", 3, "y")),
		}
		e := w.every(rows...)
		w.every(stand("r", "ana", chat.StateBanned, chat.RoleNone), settled("r", chat.Settings{Archived: true}))
		e[2] = changed(e[2], e[3], e[3].Body)
		w.wantDuplicates(rows, e)
		w.reopen()
		w.wantDuplicates(rows, e)
		other := rows[2]
		other.Body = chat.MessageBody("other")
		w.refused(other, chat.IdempotencyConflict)
	}},
	{"refused rows leave the standings of the batch", func(w *world) {
		w.every(open("r", chat.AccessPrivate))
		r := w.append(slices.Concat(
			[]store.Append{under(store.Condition{Versioned: true, Version: 9}, stand("r", "ana", chat.StateJoined, chat.RoleOwner))},
			[]store.Append{stand("r", "bob", chat.StateJoined, chat.RoleMember)},
			[]store.Append{under(store.Condition{Versioned: true, Version: 9}, settled("r", chat.Settings{Title: "x"}))},
		)...)
		w.wantCode(r[0].Err, chat.VersionConflict)
		w.wantCode(r[2].Err, chat.VersionConflict)
		w.wantMember(chat.Member{Room: "r", User: chat.User{ID: "ana"}})
		if room := w.room("r"); room.Members != 1 || room.Title != "" || room.Version != 1 {
			w.Errorf("Room = %+v, want 1 member, no title, version 1", room)
		}
	}},
}
