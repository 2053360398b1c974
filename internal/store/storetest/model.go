package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/store"
)

var lastNonce atomic.Int64

// newNonce returns a nonce that the suite has not used.
func newNonce() chat.Nonce {
	return chat.Nonce(fmt.Sprintf("nonce-%d-%d", lastNonce.Add(1), rand.Uint32()))
}

// model is the contract as a few slices and maps.
type model struct {
	epoch string
	names []chat.RoomID
	rooms map[chat.RoomID]*modelRoom
}

// modelRoom is a room: all its events in their current form, trimmed ones
// too, and who is known in it.
type modelRoom struct {
	chat.Room
	log     []chat.Event
	members map[chat.UserID]*chat.Member
	// nonces has the first row under each nonce, and the seq of its event.
	nonces map[key]first
}

type key struct {
	actor chat.UserID
	nonce chat.Nonce
}

type first struct {
	row store.Append
	seq uint64
}

var modelUsers = []chat.UserID{"ana", "bob"}

// checkModel runs random batches, marks, trims and reads, with few rooms,
// users, nonces and bodies so that they meet, and compares every answer with
// the model's.
func checkModel(w *world) {
	run := 0
	rapid.Check(w.t, func(t *rapid.T) {
		run++
		m := &model{epoch: w.s.Epoch(), rooms: map[chat.RoomID]*modelRoom{}}
		for i := range 3 {
			id := chat.RoomID(fmt.Sprintf("run%d-%d", run, i))
			m.names = append(m.names, id)
			m.rooms[id] = &modelRoom{
				Room:    chat.Room{ID: id, Epoch: m.epoch, Floor: 1},
				members: map[chat.UserID]*chat.Member{}, nonces: map[key]first{},
			}
		}
		w := &world{tb: t, t: w.t, factory: w.factory, s: w.s}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { m.append(t, w) },
			"mark":   func(t *rapid.T) { m.mark(t, w) },
			"trim":   func(t *rapid.T) { m.trim(t, w) },
			"after":  func(t *rapid.T) { m.after(t, w) },
			"before": func(t *rapid.T) { m.before(t, w) },
			"":       func(*rapid.T) { m.check(w) },
		})
	})
}

func (m *model) room(t *rapid.T) *modelRoom {
	return m.rooms[rapid.SampledFrom(m.names).Draw(t, "room")]
}

func (m *model) append(t *rapid.T, w *world) {
	rows := make([]store.Append, rapid.IntRange(1, 8).Draw(t, "rows"))
	for i := range rows {
		rows[i] = m.draw(t)
	}
	for i, r := range w.append(rows...) {
		m.rooms[rows[i].Room].take(w, rows[i], r)
	}
}

// draw makes a row of any kind, its target and versions often right.
func (m *model) draw(t *rapid.T) store.Append {
	room := m.room(t)
	row := post(
		room.ID,
		rapid.SampledFrom(modelUsers).Draw(t, "actor"),
		rapid.SampledFrom([]chat.Nonce{"", "n1", "n2", "n3", "n4"}).Draw(t, "nonce"),
		rapid.SampledFrom([]string{"hello", "hello", "other"}).Draw(t, "content"),
	)
	row.MayCreate = rapid.Bool().Draw(t, "may create")
	row.Kind = rapid.SampledFrom([]chat.Kind{
		chat.KindMessage, chat.KindMessage, chat.KindMessage, chat.KindMessageEdited, chat.KindMessageEdited, chat.KindMessageDeleted,
		chat.KindMessagesErased, chat.KindRoomUpdated, chat.KindMemberRole,
	}).Draw(t, "kind")
	subject := rapid.SampledFrom(modelUsers).Draw(t, "subject")
	switch row.Kind {
	case chat.KindMessageEdited, chat.KindMessageDeleted:
		row.Target = rapid.Uint64Range(0, uint64(len(room.log))+1).Draw(t, "target")
	case chat.KindMessagesErased:
		row.Member = &chat.Member{User: chat.User{ID: subject}}
	case chat.KindMemberRole:
		row.Member = &chat.Member{
			User:  named(subject),
			State: chat.State(rapid.IntRange(0, 3).Draw(t, "state")), Role: chat.Role(rapid.IntRange(0, 3).Draw(t, "role")),
		}
	case chat.KindRoomUpdated:
		row.Settings = &chat.Settings{
			Access:   rapid.SampledFrom([]chat.Access{chat.AccessOpen, chat.AccessOpen, chat.AccessPrivate}).Draw(t, "access"),
			Archived: rapid.IntRange(0, 3).Draw(t, "archived") == 0,
		}
	}
	if rapid.Bool().Draw(t, "conditions") {
		row.Condition = store.Condition{
			New: rapid.IntRange(0, 9).Draw(t, "new") == 0, Live: rapid.Bool().Draw(t, "live"), Own: rapid.Bool().Draw(t, "own"),
			Role: chat.Role(rapid.IntRange(0, 2).Draw(t, "least role")), Over: chat.Role(rapid.IntRange(0, 3).Draw(t, "over")),
			Versioned: rapid.Bool().Draw(t, "versioned"), Version: rapid.Uint64Range(0, 3).Draw(t, "version"),
		}
	}
	return row
}

// take checks one result, and has the model store what the store did.
func (r *modelRoom) take(w *world, row store.Append, got store.Result) {
	w.Helper()
	if !r.Exists && !row.MayCreate {
		w.wantCode(got.Err, chat.RoomNotFound)
		return
	}
	if f, taken := r.nonces[key{row.Actor.ID, row.Nonce}]; taken {
		r.takeRepeat(w, f, row, got)
		return
	}
	if code := r.refuses(row); code != "" {
		w.wantCode(got.Err, code)
		return
	}
	if got.Err != nil || got.Duplicate {
		w.Fatalf("a new row = duplicate %v, %v, want false, nil", got.Duplicate, got.Err)
	}
	r.store(w, row, got.Event)
}

func (r *modelRoom) takeRepeat(w *world, f first, row store.Append, got store.Result) {
	w.Helper()
	if !same(f.row, row) {
		w.wantCode(got.Err, chat.IdempotencyConflict)
		return
	}
	if got.Err != nil || !got.Duplicate {
		w.Fatalf("a repeat = duplicate %v, %v, want true, nil", got.Duplicate, got.Err)
	}
	w.wantEvent(got.Event, r.log[f.seq-1])
	r.wantFollows(w, got.Event)
}

// wantFollows checks what an event says of the one before it, if it says
// anything.
func (r *modelRoom) wantFollows(w *world, e chat.Event) {
	w.Helper()
	if e.Follows != 0 && (e.Seq < 2 || e.Follows != r.log[e.Seq-2].Tag) {
		w.Errorf("event %d of %s follows %x, which is not the one before", e.Seq, e.Room, e.Follows)
	}
}

// same reports whether two rows say the same.
func same(a, b store.Append) bool {
	if a.Kind != b.Kind || a.Target != b.Target || string(a.Body) != string(b.Body) {
		return false
	}
	return (a.Member == nil || *a.Member == *b.Member) && (a.Settings == nil || *a.Settings == *b.Settings)
}

// standing is a user's, also of one who has none.
func (r *modelRoom) standing(user chat.UserID) chat.Member {
	if m := r.members[user]; m != nil {
		return *m
	}
	return chat.Member{Room: r.ID, User: chat.User{ID: user}}
}

func (r *modelRoom) role(user chat.UserID) chat.Role {
	m := r.standing(user)
	switch {
	case m.State == chat.StateBanned:
		return chat.RoleNone
	case m.State == chat.StateJoined:
		return max(m.Role, chat.Role(flag(r.Access == chat.AccessOpen)))
	}
	return chat.Role(flag(r.Access == chat.AccessOpen))
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// refuses returns why a row is refused, empty if it is not.
func (r *modelRoom) refuses(row store.Append) chat.Code {
	banned := r.standing(row.Actor.ID).State == chat.StateBanned
	switch {
	case row.New && r.Exists:
		return chat.RoomExists
	case row.Role > chat.RoleNone && banned:
		return chat.Banned
	case row.Role > r.role(row.Actor.ID):
		return chat.Forbidden
	case row.Live && r.Archived:
		return chat.RoomReadOnly
	}
	var version uint64
	switch row.Kind {
	case chat.KindMessageEdited, chat.KindMessageDeleted:
		if row.Target < r.Floor || row.Target > r.Head {
			return chat.MessageNotFound
		}
		target := r.log[row.Target-1]
		if target.Kind != chat.KindMessage || target.Deleted {
			return chat.MessageNotFound
		}
		if row.Own && target.Actor.ID != row.Actor.ID && (row.Over == chat.RoleNone || r.role(row.Actor.ID) < row.Over) {
			return chat.Forbidden
		}
		version = target.Changed
	case chat.KindRoomUpdated:
		version = r.Version
	case chat.KindMemberRole:
		version = r.standing(row.Member.User.ID).Version
	default:
		return ""
	}
	if row.Versioned && row.Version != version {
		return chat.VersionConflict
	}
	return ""
}

// store checks a new event, and does what it says.
func (r *modelRoom) store(w *world, row store.Append, e chat.Event) {
	w.Helper()
	want := chat.Event{
		Room: row.Room, Kind: row.Kind, Actor: row.Actor, At: e.At, Seq: r.Head + 1, ID: e.ID, Epoch: r.Epoch,
		Tag: e.Tag, Nonce: e.Nonce, Msgs: r.Msgs + uint64(flag(row.Kind == chat.KindMessage)), Body: row.Body,
	}
	if row.Target > 0 {
		want.Target, want.TargetID = row.Target, r.log[row.Target-1].ID
	}
	if row.Member != nil {
		want.Subject = row.Member.User.ID
	}
	w.wantEvent(e, want)
	r.wantFollows(w, e)
	if row.Nonce != e.Nonce && !strings.HasPrefix(string(e.Nonce), " ") {
		w.Errorf("Nonce = %q, want %q", e.Nonce, row.Nonce)
	}
	if r.Exists && e.At.Before(r.log[r.Head-1].At) {
		w.Errorf("At went from %v back to %v", r.log[r.Head-1].At, e.At)
	}
	if !r.Exists {
		r.Exists, r.CreatedAt = true, e.At
	}
	r.log = append(r.log, e)
	r.Head, r.Msgs = e.Seq, e.Msgs
	if row.Nonce != "" {
		r.nonces[key{row.Actor.ID, row.Nonce}] = first{row, e.Seq}
	}
	r.change(row, e)
}

func (r *modelRoom) change(row store.Append, e chat.Event) {
	switch row.Kind {
	case chat.KindMessage:
		if m := r.members[row.Actor.ID]; m != nil {
			m.User, m.Mark.Read, m.Mark.Delivered, m.Mark.ReadMsgs = row.Actor, e.Seq, e.Seq, e.Msgs
		}
	case chat.KindMessageEdited:
		r.log[row.Target-1] = changed(r.log[row.Target-1], e, e.Body)
	case chat.KindMessageDeleted:
		r.remove(row.Target, e)
	case chat.KindMessagesErased:
		for i, old := range r.log {
			own := old.Actor.ID == row.Member.User.ID
			switch {
			case own && old.Kind == chat.KindMessage && old.Seq >= r.Floor && !old.Deleted:
				r.remove(old.Seq, e)
			case own && old.Kind == chat.KindMessageEdited && old.Target < r.Floor:
				r.log[i] = blank(old)
			}
		}
	case chat.KindRoomUpdated:
		r.Settings, r.Version = *row.Settings, e.Seq
	case chat.KindMemberRole:
		r.stand(*row.Member, e)
	}
}

// remove deletes a message and its edits.
func (r *modelRoom) remove(seq uint64, by chat.Event) {
	r.log[seq-1] = changed(r.log[seq-1], by, empty)
	for i, e := range r.log {
		if e.Kind == chat.KindMessageEdited && e.Target == seq {
			r.log[i] = blank(e)
		}
	}
}

func (r *modelRoom) stand(to chat.Member, e chat.Event) {
	old := r.standing(to.User.ID)
	to.Room, to.Version, to.Mark, to.JoinedAt = r.ID, e.Seq, old.Mark, old.JoinedAt
	switch {
	case to.State != chat.StateJoined:
		to.JoinedAt = chat.Member{}.JoinedAt
	case old.State != chat.StateJoined:
		to.JoinedAt = e.At
	}
	if to.State == chat.StateNone || to.State == chat.StateBanned {
		to.Role = chat.RoleNone
	}
	r.Members += flag(to.State == chat.StateJoined) - flag(old.State == chat.StateJoined)
	r.members[to.User.ID] = &to
}

// mark moves a mark, and checks what is said of it.
func (m *model) mark(t *rapid.T, w *world) {
	r := m.room(t)
	user := rapid.SampledFrom(modelUsers).Draw(t, "user")
	wish := store.Mark{
		Room: r.ID, User: named(user), Trusted: rapid.Bool().Draw(t, "trusted"),
		Read:      rapid.Uint64Range(0, r.Head+2).Draw(t, "read"),
		Delivered: rapid.Uint64Range(0, r.Head+2).Draw(t, "delivered"),
	}
	got := w.tryMark(wish)[0]
	st := r.standing(user)
	switch {
	case !r.Exists:
		w.wantCode(got.Err, chat.RoomNotFound)
		return
	case !wish.Trusted && st.State == chat.StateBanned:
		w.wantCode(got.Err, chat.Banned)
		return
	case !wish.Trusted && r.role(user) == chat.RoleNone:
		w.wantCode(got.Err, chat.Forbidden)
		return
	}
	to := st.Mark
	if read := min(wish.Read, r.Head); read > to.Read {
		to.Read, to.ReadMsgs = read, r.log[max(read, r.Floor-1)-1].Msgs
	}
	to.Delivered = max(to.Delivered, to.Read, min(wish.Delivered, r.Head))
	moved := to != st.Mark
	if moved {
		st.Mark, st.User = to, wish.User
		r.members[user] = &st
	}
	if got.Err != nil || got.Moved != moved || got.Member != st {
		w.Errorf("Mark = %+v, want moved %v, %+v", got, moved, st)
	}
}

// trim moves a floor, and forgets the nonces below it.
func (m *model) trim(t *rapid.T, w *world) {
	r := m.room(t)
	keep := rapid.Int64Range(0, 12).Draw(t, "keep")
	if keep > 0 && r.Head > uint64(keep) {
		r.Floor = max(r.Floor, r.Head-uint64(keep)+1)
	}
	for k, f := range r.nonces {
		if f.seq < r.Floor {
			delete(r.nonces, k)
		}
	}
	if got := w.trim(r.ID, chat.Retention{Events: keep}); got != r.Room {
		w.Errorf("Trim = %+v, want %+v", got, r.Room)
	}
}

// limits are drawn small, so that pages end for either reason.
func (m *model) limits(t *rapid.T) store.Limit {
	return store.Limit{
		Events: rapid.IntRange(-1, 12).Draw(t, "events"),
		Bytes:  rapid.IntRange(-1, 200).Draw(t, "bytes"),
		Only:   rapid.SampledFrom([]chat.Kind{0, 0, chat.KindMessage}).Draw(t, "only"),
	}
}

// kept returns the events from seq on up to below another, that are neither
// trimmed nor left out.
func (r *modelRoom) kept(from, below uint64, limit store.Limit) (events []chat.Event) {
	for _, e := range r.log {
		if e.Seq >= max(from, r.Floor) && e.Seq < below && (limit.Only == 0 || e.Kind == limit.Only) {
			events = append(events, e)
		}
	}
	return events
}

// fit returns how many of the events a page holds.
func fit(events []chat.Event, limit store.Limit) int {
	n, bytes := 0, 0
	for _, e := range events {
		bytes += len(e.Body)
		if n > 0 && (n >= limit.Events || bytes > limit.Bytes) {
			break
		}
		n++
	}
	return n
}

func (m *model) after(t *rapid.T, w *world) {
	r := m.room(t)
	after := rapid.Uint64Range(0, r.Head+2).Draw(t, "after")
	limit := m.limits(t)
	want := r.kept(after+1, r.Head+1, limit)
	w.wantEvents(w.after(r.ID, after, limit).Events, want[:fit(want, limit)])
}

func (m *model) before(t *rapid.T, w *world) {
	r := m.room(t)
	before := rapid.Uint64Range(0, r.Head+2).Draw(t, "before")
	limit := m.limits(t)
	below := before
	if before == 0 {
		below = r.Head + 1
	}
	want := r.kept(1, below, limit)
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	want = want[len(want)-fit(backwards, limit):]
	w.wantEvents(w.before(r.ID, before, limit).Events, want)
}

// check compares the rooms' states, read in two ways, and their members.
func (m *model) check(w *world) {
	var exist []store.Head
	for _, id := range m.names {
		r := m.rooms[id]
		if got := w.room(id); got != r.Room {
			w.Errorf("Room = %+v, want %+v", got, r.Room)
		}
		for _, user := range modelUsers {
			if _, got := w.member(id, user); got != r.standing(user) {
				w.Errorf("Member = %+v, want %+v", got, r.standing(user))
			}
		}
		if r.Exists {
			exist = append(exist, store.Head{Room: r.Room, Tag: r.log[r.Head-1].Tag})
		}
	}
	heads, err := w.s.Heads(context.Background(), m.names)
	slices.SortFunc(heads, byRoom)
	if err != nil || !slices.Equal(heads, exist) {
		w.Errorf("Heads = %+v, %v, want %+v", heads, err, exist)
	}
}
