package storetest

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// The rows beside [post] that the cases are made of. None may begin a log,
// save settled.

func edit(room chat.RoomID, actor chat.UserID, target uint64, content string) store.Append {
	row := post(room, actor, newNonce(), content)
	row.Kind, row.Target, row.MayCreate = chat.KindMessageEdited, target, false
	return row
}

func remove(room chat.RoomID, actor chat.UserID, target uint64) store.Append {
	row := edit(room, actor, target, "")
	row.Kind, row.Body = chat.KindMessageDeleted, []byte(`{}`)
	return row
}

func erase(room chat.RoomID, user chat.UserID) store.Append {
	row := remove(room, "admin", 0)
	row.Kind, row.Member = chat.KindMessagesErased, &chat.Member{User: chat.User{ID: user}}
	return row
}

// kindOf is a kind of event that leads to a state.
var kindOf = map[chat.State]chat.Kind{
	chat.StateNone: chat.KindMemberRemoved, chat.StateInvited: chat.KindMemberInvited,
	chat.StateJoined: chat.KindMemberAdded, chat.StateBanned: chat.KindMemberBanned,
}

// stand gives a user a standing.
func stand(room chat.RoomID, user chat.UserID, state chat.State, role chat.Role) store.Append {
	row := remove(room, "admin", 0)
	row.Kind = kindOf[state]
	row.Member = &chat.Member{User: named(user), State: state, Role: role}
	return row
}

// settled gives a room settings, and makes it if there is none.
func settled(room chat.RoomID, s chat.Settings) store.Append {
	row := remove(room, "admin", 0)
	row.Kind, row.Settings, row.MayCreate = chat.KindRoomUpdated, &s, true
	return row
}

// open is the first event of a room with an access.
func open(room chat.RoomID, access chat.Access) store.Append {
	return settled(room, chat.Settings{Access: access})
}

func named(user chat.UserID) chat.User { return chat.User{ID: user, Name: "Name of " + string(user)} }

// under puts a condition on a row.
func under(c store.Condition, row store.Append) store.Append {
	row.Condition = c
	return row
}

// every stores rows and returns their events.
func (w *world) every(rows ...store.Append) []chat.Event {
	w.Helper()
	var events []chat.Event
	for i, r := range w.append(rows...) {
		if r.Err != nil || r.Duplicate {
			w.Fatalf("row %d = duplicate %v, %v, want a new event", i, r.Duplicate, r.Err)
		}
		events = append(events, r.Event)
	}
	return events
}

// refused checks that a row is refused with a code, and changes nothing.
func (w *world) refused(row store.Append, want chat.Code) {
	w.Helper()
	before, log := w.room(row.Room), w.log(row.Room)
	w.wantCode(w.append(row)[0].Err, want)
	if after := w.room(row.Room); after != before {
		w.Errorf("the refused row made the room %+v of %+v", after, before)
	}
	w.wantEvents(w.log(row.Room), log)
}

// wantRoom checks a room in each way that there is to read one.
func (w *world) wantRoom(want chat.Room) {
	w.Helper()
	if got := w.room(want.ID); got != want {
		w.Errorf("Room = %+v, want %+v", got, want)
	}
	if got := w.after(want.ID, 0, everything).Room; got != want {
		w.Errorf("After: Room = %+v, want %+v", got, want)
	}
	if got, _ := w.member(want.ID, "somebody"); got != want {
		w.Errorf("Member: Room = %+v, want %+v", got, want)
	}
	if !want.Exists {
		return
	}
	heads, err := w.s.Heads(context.Background(), []chat.RoomID{want.ID})
	if err != nil || len(heads) != 1 || heads[0].Room != want {
		w.Errorf("Heads = %+v, %v, want %+v", heads, err, want)
	}
}

func (w *world) member(room chat.RoomID, user chat.UserID) (chat.Room, chat.Member) {
	w.Helper()
	r, m, err := w.s.Member(context.Background(), room, user)
	if err != nil {
		w.Fatalf("Member(%s, %s) = %v, want nil", room, user, err)
	}
	asked := []store.Arrival{{Room: room, User: user}, {Room: "nobody's", User: user}, {Room: room, User: "nobody"}, {Room: room, User: user}}
	for i, got := range w.arrivals(asked...) {
		want := store.Standing{Room: r, Member: m}
		switch i {
		case 1:
			want.Room, want.Member = noRoom("nobody's", w.s.Epoch()), chat.Member{Room: "nobody's", User: chat.User{ID: user}}
		case 2:
			want.Member = chat.Member{Room: room, User: chat.User{ID: "nobody"}}
		}
		if got.Standing != want {
			w.Errorf("arrival %+v is %+v, want %+v", asked[i], got.Standing, want)
		}
	}
	return r, m
}

// noRoom is what is known of a room without a log.
func noRoom(id chat.RoomID, epoch string) chat.Room { return chat.Room{ID: id, Epoch: epoch, Floor: 1} }

func (w *world) arrivals(asked ...store.Arrival) []store.Arrived {
	w.Helper()
	arrived, err := w.s.Arrivals(context.Background(), asked)
	if err != nil || len(arrived) != len(asked) {
		w.Fatalf("Arrivals(%v) = %v, %v, want one for each", asked, arrived, err)
	}
	return arrived
}

// wantMember checks a member in each way that there is to read one.
func (w *world) wantMember(want chat.Member) {
	w.Helper()
	if _, got := w.member(want.Room, want.User.ID); got != want {
		w.Errorf("Member = %+v, want %+v", got, want)
	}
	for _, got := range w.members(want.Room, "", want.State) {
		if got.User.ID == want.User.ID && got != want {
			w.Errorf("Members has %+v, want %+v", got, want)
		}
	}
	standings, err := w.s.Standings(context.Background(), want.User.ID, "", 1000)
	if err != nil {
		w.Fatalf("Standings: %v", err)
	}
	for _, got := range standings {
		if got.Member.Room == want.Room && got.Member != want {
			w.Errorf("Standings has %+v, want %+v", got.Member, want)
		}
	}
}

func (w *world) members(room chat.RoomID, after chat.UserID, states ...chat.State) []chat.Member {
	w.Helper()
	members, err := w.s.Members(context.Background(), room, states, after, 1000)
	if err != nil {
		w.Fatalf("Members(%s) = %v, want nil", room, err)
	}
	return members
}

// mark moves marks, none of them refused, and returns what became of them.
func (w *world) mark(marks ...store.Mark) []store.Marked {
	w.Helper()
	marked := w.tryMark(marks...)
	for i, m := range marked {
		if m.Err != nil {
			w.Fatalf("mark %d = %v, want nil", i, m.Err)
		}
	}
	return marked
}

func (w *world) tryMark(marks ...store.Mark) []store.Marked {
	w.Helper()
	marked, err := w.s.Mark(context.Background(), marks)
	if err != nil || len(marked) != len(marks) {
		w.Fatalf("Mark of %d = %d, %v, want as many and nil", len(marks), len(marked), err)
	}
	return marked
}

// mark is a user's wish to have read up to a seq.
func mark(room chat.RoomID, user chat.UserID, read uint64) store.Mark {
	return store.Mark{Room: room, User: named(user), Read: read}
}
