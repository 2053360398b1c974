package room

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/store"
)

// say posts and returns the event.
func say(t *testing.T, s *Service, by chat.Principal, id chat.RoomID, content string) chat.Event {
	t.Helper()
	var e chat.Event
	err := wait(func(done func(Posted, error)) {
		s.Post(Post{Room: id, By: by, Content: content}, func(p Posted, err error) {
			e = p.Event
			done(p, err)
		})
	})
	if err != nil {
		t.Fatalf("Post(%q) = %v", content, err)
	}
	return e
}

// kinds returns the kinds of a room's log.
func kinds(t *testing.T, s *Service, id chat.RoomID) []chat.Kind {
	t.Helper()
	page, err := s.Log().After(t.Context(), id, 0, store.Limit{Events: 1000, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var all []chat.Kind
	for _, e := range page.Events {
		all = append(all, e.Kind)
	}
	return all
}

func TestARoomIsMadeWithItsMembersAtOnce(t *testing.T) {
	s := overSQLite(t, Config{})
	c := Create{Room: "r", Settings: chat.Settings{Access: chat.AccessPrivate, Title: "Sobremesa"}, Members: []chat.User{bob, alice, bob}, Nonce: "n"}
	r, err := s.Create(t.Context(), byAlice, c)
	if err != nil || r.Duplicate || r.Title != "Sobremesa" || r.Version != 1 || r.Members != 2 || r.Head != 3 {
		t.Fatalf("Create = %+v, %v, want the room with two members", r, err)
	}
	again, err := s.Create(t.Context(), byAlice, c)
	if err != nil || !again.Duplicate || again.Room != r.Room {
		t.Errorf("Create with the same nonce = %+v, %v, want %+v", again, err, r)
	}
	want := []chat.Kind{chat.KindRoomCreated, chat.KindMemberAdded, chat.KindMemberAdded}
	if got := kinds(t, s, "r"); !slices.Equal(got, want) {
		t.Errorf("the log holds %v, want %v", got, want)
	}
	if m, err := s.Member(t.Context(), byBob, "r", alice.ID); err != nil || m.Role != chat.RoleOwner {
		t.Errorf("Alice is %+v, %v, want the owner", m, err)
	}
}

// A room that is there already takes none of the rows of the one to be made.
func TestCreateOfARoomThatExistsChangesNothing(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r")
	before := kinds(t, s, "r")
	for _, by := range []chat.Principal{byAlice, byBob} {
		_, err := s.Create(t.Context(), by, Create{Room: "r", Settings: chat.Settings{Access: chat.AccessPublic}, Members: []chat.User{bob}})
		if !hasCode(err, chat.RoomExists) {
			t.Errorf("Create by %s = %v, want %s", by.User.Name, err, chat.RoomExists)
		}
	}
	if got := kinds(t, s, "r"); !slices.Equal(got, before) {
		t.Errorf("the log holds %v, want %v", got, before)
	}
}

func TestRoomsThatCannotBeMade(t *testing.T) {
	s := overSQLite(t, Config{Initial: []chat.RoomID{"lobby"}})
	public := chat.Settings{Access: chat.AccessPublic}
	tests := []struct {
		name string
		c    Create
		want chat.Code
	}{
		{"open", Create{Settings: chat.Settings{}}, chat.Forbidden},
		{"direct", Create{Settings: chat.Settings{Access: chat.AccessDirect}}, chat.InvalidParameter},
		{"with retention", Create{Settings: chat.Settings{Access: chat.AccessPublic, Keep: chat.Retention{Events: 1}}}, chat.Forbidden},
		{"a long title", Create{Settings: chat.Settings{Access: chat.AccessPublic, Title: strings.Repeat("a", chat.MaxTitleBytes+1)}}, chat.InvalidParameter},
		{"a topic that is no text", Create{Settings: chat.Settings{Access: chat.AccessPublic, Topic: "\xff"}}, chat.InvalidParameter},
		{"a bad id", Create{Room: "a b", Settings: public}, chat.InvalidRoom},
		{"a reserved id", Create{Room: "dm:x", Settings: public}, chat.ReservedRoom},
		{"a room of the server", Create{Room: "lobby", Settings: public}, chat.RoomExists},
		{"a crowd", Create{Settings: public, Members: make([]chat.User, MaxFirstMembers+1)}, chat.InvalidParameter},
		{"somebody unknown", Create{Settings: public, Members: []chat.User{{ID: "nobody"}}}, chat.UserNotFound},
	}
	for _, test := range tests {
		if _, err := s.Create(t.Context(), byAlice, test.c); !hasCode(err, test.want) {
			t.Errorf("Create of a room with %s = %v, want %s", test.name, err, test.want)
		}
	}
}

func TestRandomRoomIDs(t *testing.T) {
	s := overSQLite(t, Config{})
	seen := map[chat.RoomID]bool{}
	for range 5 {
		r, err := s.Create(t.Context(), byAlice, Create{Settings: chat.Settings{Access: chat.AccessPrivate}})
		if err != nil || seen[r.ID] || len(r.ID) < 26 {
			t.Errorf("Create = %q, %v, want a new id of 128 bits", r.ID, err)
		}
		seen[r.ID] = true
	}
}

func TestDirectIsOneRoomForBoth(t *testing.T) {
	s := overSQLite(t, Config{AutoCreate: true})
	id := chat.DirectRoomID(alice.ID, bob.ID)
	if _, err := s.Enter(t.Context(), byAlice, id); !hasCode(err, chat.RoomNotFound) {
		t.Errorf("Enter before the room is made = %v, want %s: no such room begins by itself", err, chat.RoomNotFound)
	}
	a, err := s.Direct(t.Context(), byAlice, bob)
	if err != nil || a.ID != id || a.Access != chat.AccessDirect || a.Members != 2 {
		t.Fatalf("Direct = %+v, %v, want %s with two members", a, err, id)
	}
	b, err := s.Direct(t.Context(), byBob, alice)
	if err != nil || b != a {
		t.Errorf("Direct by the other = %+v, %v, want %+v", b, err, a)
	}
	say(t, s, byBob, id, "hola")
	if _, err := s.Direct(t.Context(), byAlice, alice); !hasCode(err, chat.InvalidParameter) {
		t.Errorf("Direct with oneself = %v, want %s", err, chat.InvalidParameter)
	}
}

func TestUpdate(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r")
	topic, old := "wine", uint64(1)
	r, err := s.Update(t.Context(), byAlice, "r", Changes{Topic: &topic, IfVersion: &old})
	if err != nil || r.Topic != "wine" || r.Title != "T" || r.Version != 3 {
		t.Fatalf("Update = %+v, %v, want the topic and the old title", r, err)
	}
	other := "beer"
	if _, err := s.Update(t.Context(), byAlice, "r", Changes{Topic: &other, IfVersion: &old}); !hasCode(err, chat.VersionConflict) {
		t.Errorf("Update of an old version = %v, want %s", err, chat.VersionConflict)
	}
	if again, err := s.Update(t.Context(), byAlice, "r", Changes{Topic: &topic}); err != nil || again.Head != r.Head {
		t.Errorf("Update with the same topic = %+v, %v, want nothing stored", again, err)
	}
	open, keep := chat.AccessOpen, chat.Retention{Events: 10}
	for _, c := range []Changes{{Access: &open}, {Keep: &keep}} {
		if _, err := s.Update(t.Context(), byAlice, "r", c); !hasCode(err, chat.Forbidden) {
			t.Errorf("Update(%+v) by an owner = %v, want %s", c, err, chat.Forbidden)
		}
	}
	if _, err := s.Update(t.Context(), service, "r", Changes{Keep: &keep}); err != nil {
		t.Errorf("Update of retention by a service = %v, want nil", err)
	}
	if r, err := s.Update(t.Context(), byAlice, "r", Changes{Topic: &other}); err != nil || r.Keep != keep {
		t.Errorf("Update by an owner afterwards = %+v, %v, want what is kept to stay", r, err)
	}
}

func TestEditAndDelete(t *testing.T) {
	s := overSQLite(t, Config{AutoCreate: true})
	e := say(t, s, byAlice, "r", "hola")
	edit := func(content string, ifChanged uint64) (p Posted, err error) {
		err = wait(func(done func(Posted, error)) {
			s.Edit(t.Context(), Edit{Room: "r", By: byAlice, Nonce: "e", Message: e.ID, Content: content, IfChanged: &ifChanged}, func(got Posted, err error) {
				p = got
				done(got, err)
			})
		})
		return p, err
	}
	first, err := edit("hola!", 0)
	if err != nil || first.Event.TargetID != e.ID || first.Event.Target != e.Seq || string(first.Event.Body) != `{"content":"hola!"}` {
		t.Fatalf("Edit = %+v, %v, want an edit of %d", first.Event, err, e.ID)
	}
	if again, err := edit("hola!", 0); err != nil || !again.Duplicate || again.Event.Seq != first.Event.Seq {
		t.Errorf("the same edit again = %+v, %v, want the first one", again, err)
	}
	m, err := s.Message(t.Context(), byBob, "r", e.ID)
	if err != nil || string(m.Body) != `{"content":"hola!"}` || m.Changed != first.Event.Seq {
		t.Errorf("Message = %+v, %v, want the edited form", m, err)
	}
	if _, err := s.Message(t.Context(), byBob, "r", first.Event.ID); !hasCode(err, chat.MessageNotFound) {
		t.Errorf("Message of an edit's id = %v, want %s", err, chat.MessageNotFound)
	}
	remove := func() error {
		return wait(func(done func(Posted, error)) {
			s.Delete(t.Context(), Delete{Room: "r", By: byAlice, Message: e.ID, Reason: "typo"}, done)
		})
	}
	if err := remove(); err != nil {
		t.Errorf("Delete = %v, want nil", err)
	}
	if err := remove(); !hasCode(err, chat.MessageNotFound) {
		t.Errorf("Delete again = %v, want %s", err, chat.MessageNotFound)
	}
	if m, err := s.Message(t.Context(), byBob, "r", e.ID); err != nil || !m.Deleted || string(m.Body) != "{}" {
		t.Errorf("Message = %+v, %v, want it deleted", m, err)
	}
}

func TestEventsAboutAUserReachThatUser(t *testing.T) {
	b := new(recorder)
	st := openSQLite(t, t.TempDir())
	defer st.Close()
	s := New(Config{Store: st, Bus: b})
	defer s.Close()
	if _, err := s.Create(t.Context(), byAlice, Create{Room: "r", Settings: chat.Settings{Access: chat.AccessPrivate}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Invite(t.Context(), byAlice, "r", bob); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), service, bob.ID); err != nil {
		t.Fatal(err)
	}
	s.Close()
	var got []string
	for i, topic := range b.topics {
		if topic == bus.UserTopic(bob.ID) {
			got = append(got, fmt.Sprintf("%d %s", b.runs[i][0].Kind, b.runs[i][0].Body))
		}
	}
	want := []string{
		fmt.Sprintf(`%d {"member":{"user_id":"2","username":"Bob","state":"invited","role":"member"}}`, chat.KindMemberInvited),
		fmt.Sprintf(`%d {}`, chat.KindRevoked),
	}
	if !slices.Equal(got, want) {
		t.Errorf("Bob's topic carried %q, want %q", got, want)
	}
}

func TestADisabledAccountIsRefusedAtOnce(t *testing.T) {
	s := overSQLite(t, Config{AutoCreate: true})
	say(t, s, byAlice, "r", "hola")
	for _, disabled := range []bool{true, false} {
		if _, err := s.PutAccount(t.Context(), service, chat.Account{User: alice, Disabled: disabled}); err != nil {
			t.Fatal(err)
		}
		err := wait(func(done func(Posted, error)) { s.Post(Post{Room: "r", By: byAlice, Content: "x"}, done) })
		if (err != nil) != disabled {
			t.Errorf("Post with disabled %v = %v", disabled, err)
		}
	}
}

func TestErase(t *testing.T) {
	s := overSQLite(t, Config{AutoCreate: true})
	for i := range 3 {
		say(t, s, byAlice, chat.RoomID(fmt.Sprint("r", i)), "secret")
	}
	mine := say(t, s, byBob, "r0", "mine")
	if _, err := s.PutAccount(t.Context(), service, chat.Account{User: alice}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{3, 0} {
		if n, err := s.Erase(t.Context(), service, alice.ID); n != want || err != nil {
			t.Errorf("Erase = %d, %v, want %d rooms", n, err, want)
		}
	}
	h, err := s.History(t.Context(), byBob, "r0", Range{Limit: 10, Only: chat.KindMessage})
	if err != nil || len(h.Events) != 2 || string(h.Events[0].Body) != "{}" || string(h.Events[1].Body) != string(mine.Body) {
		t.Errorf("History = %+v, %v, want Alice's message blank and Bob's as it was", h.Events, err)
	}
	if a, err := s.Account(t.Context(), service, alice.ID); err != nil || a.Name != "" {
		t.Errorf("Account = %+v, %v, want no name", a, err)
	}
}

// Pages in each direction and around a seq meet without a hole.
func TestHistory(t *testing.T) {
	s := overSQLite(t, Config{AutoCreate: true})
	for i := range 10 {
		say(t, s, byAlice, "r", fmt.Sprint(i))
	}
	at := func(n uint64) *uint64 { return &n }
	tests := []struct {
		name           string
		r              Range
		first, last    uint64 // 0: none
		earlier, later bool
	}{
		{"the newest", Range{Limit: 3}, 8, 10, true, false},
		{"everything", Range{Limit: 50}, 1, 10, false, false},
		{"after", Range{After: at(4), Limit: 3}, 5, 7, true, true},
		{"after the beginning", Range{After: at(0), Limit: 10}, 1, 10, false, false},
		{"after the end", Range{After: at(10), Limit: 3}, 0, 0, true, false},
		{"after what will never be", Range{After: at(1<<64 - 1), Limit: 3}, 0, 0, true, false},
		{"before", Range{Before: at(4), Limit: 2}, 2, 3, true, true},
		{"before the first", Range{Before: at(1), Limit: 2}, 0, 0, false, true},
		{"before nothing", Range{Before: at(0), Limit: 2}, 0, 0, false, true},
		{"around", Range{Around: at(5), Limit: 4}, 3, 6, true, true},
		{"around the first", Range{Around: at(1), Limit: 4}, 1, 4, false, true},
		{"around the last", Range{Around: at(10), Limit: 4}, 8, 10, true, false},
		{"of no kind that is there", Range{Limit: 3, Only: chat.KindRoomCreated}, 0, 0, false, false},
	}
	for _, test := range tests {
		h, err := s.History(t.Context(), byBob, "r", test.r)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var first, last uint64
		if n := len(h.Events); n > 0 {
			first, last = h.Events[0].Seq, h.Events[n-1].Seq
		}
		if first != test.first || last != test.last || h.Earlier != test.earlier || h.Later != test.later {
			t.Errorf("%s: %d to %d, earlier %v, later %v; want %d to %d, %v, %v",
				test.name, first, last, h.Earlier, h.Later, test.first, test.last, test.earlier, test.later)
		}
	}
}

func TestPrivateMarksAreKeptFromOthers(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r", bob)
	private := true
	if _, err := s.Mark(t.Context(), byBob, "r", Mark{Read: 2, Private: &private}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []chat.Principal{byAlice, byBob} {
		own := by == byBob
		marks, err := s.Marks(t.Context(), by, "r", "", 10)
		if err != nil || len(marks) > 0 != own {
			t.Errorf("Marks by %s = %+v, %v, want Bob's: %v", by.User.Name, marks, err, own)
		}
		m, err := s.Member(t.Context(), by, "r", bob.ID)
		if err != nil || m.Mark.Read > 0 != own {
			t.Errorf("Member by %s = %+v, %v, want the mark: %v", by.User.Name, m, err, own)
		}
	}
}

// Typing asks the store once in a while, and at once after a removal.
func TestTypingLooksAgainAfterARemoval(t *testing.T) {
	s := overSQLite(t, Config{})
	newRoom(t, s, "r", bob)
	if _, err := s.Enter(t.Context(), byBob, "r"); err != nil {
		t.Fatal(err)
	}
	if !s.writers.has(writer{"r", bob.ID}) {
		t.Error("who has entered is not known as a writer")
	}
	if err := s.Typing(t.Context(), byBob, "r", true); err != nil {
		t.Errorf("Typing = %v, want nil", err)
	}
	if err := s.Remove(t.Context(), byAlice, "r", bob.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Typing(t.Context(), byBob, "r", true); !hasCode(err, chat.RoomNotFound) {
		t.Errorf("Typing after the removal = %v, want %s", err, chat.RoomNotFound)
	}
}

func TestWritersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writers
		w.add(writer{"r", "1"})
		time.Sleep(writersFor - 1)
		if !w.has(writer{"r", "1"}) {
			t.Error("a writer is forgotten too soon")
		}
		time.Sleep(writersFor + 1)
		if w.has(writer{"r", "1"}) {
			t.Errorf("a writer is remembered after %v", 2*writersFor)
		}
		for i := range 3 * maxWriters {
			w.add(writer{"r", chat.UserID(fmt.Sprint(i))})
		}
		if got := len(w.young) + len(w.old); got > 2*maxWriters {
			t.Errorf("%d writers are remembered, want at most %d", got, 2*maxWriters)
		}
	})
}

func TestAdmissionsAreBoundedAndNotOutdated(t *testing.T) {
	a := newAdmissions()
	mark := a.mark()
	a.set("1", true)
	a.learn("1", false, mark) // read before the change
	if disabled, known := a.of("1"); !disabled || !known {
		t.Errorf("of = %v, %v, want what was set last", disabled, known)
	}
	for i := range 3 * maxAdmissions {
		a.learn(chat.UserID(fmt.Sprint(i)), false, a.mark())
	}
	if got := len(a.young) + len(a.old); got > 2*maxAdmissions {
		t.Errorf("%d users are remembered, want at most %d", got, 2*maxAdmissions)
	}
}

func TestRetention(t *testing.T) {
	st := openSQLite(t, t.TempDir())
	defer st.Close()
	b := local.New()
	defer b.Close()
	s := New(Config{Store: st, Bus: b, AutoCreate: true, Keep: chat.Retention{Events: 5}, TrimEvery: 10 * time.Millisecond})
	defer s.Close()
	keep := chat.Retention{Events: 2}
	c := Create{Room: "short", Settings: chat.Settings{Access: chat.AccessOpen, Keep: keep}}
	if _, err := s.Create(t.Context(), service, c); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		say(t, s, byAlice, "short", fmt.Sprint(i))
		say(t, s, byAlice, "long", fmt.Sprint(i))
	}
	for _, want := range []struct {
		room  chat.RoomID
		floor uint64
	}{{"short", 20}, {"long", 16}} {
		deadline := time.Now().Add(10 * time.Second)
		for {
			r, err := st.Room(context.Background(), want.room)
			if err != nil {
				t.Fatal(err)
			}
			if r.Floor == want.floor {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the floor of %s is %d, want %d", want.room, r.Floor, want.floor)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// A context that ends leaves the outcome unknown, and says so.
func TestWhoDoesNotWaitIsToldThatNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(1)
		h.fate = fates(fate{before: time.Minute})
		s := newStage(t, h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Join(ctx, byAlice, "r"); err != errLeft {
			t.Errorf("Join = %v, want %v", err, errLeft)
		}
		pass(2 * time.Minute)
	})
}
