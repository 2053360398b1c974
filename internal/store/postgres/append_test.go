package postgres

import (
	"slices"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/count"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
)

// What a batch is cut into: as many plain messages as follow one another, and
// each other row alone.
func TestRuns(t *testing.T) {
	edit := post("a", "e", "new")
	edit.Kind, edit.Target = chat.KindMessageEdited, 1
	with := post("a", "w", "with")
	with.With = true
	guest := post("a", "g", "may not begin the room")
	guest.MayCreate = false
	broken := post("a", "x", "broken")
	broken.Body = []byte("\"\xff\"")
	one, two, three := post("a", "1", "one"), post("a", "2", "two"), post("b", "3", "three")
	for _, c := range []struct {
		name string
		rows []store.Append
		want []int32
	}{
		{"none", nil, []int32{}},
		{"messages", []store.Append{one, two, three}, []int32{3}},
		{"an edit between messages", []store.Append{one, two, edit, three}, []int32{2, 3, 4}},
		{"a repeat", []store.Append{one, two, one, three}, []int32{2, 3, 4}},
		{"one that goes with another", []store.Append{one, two, with, three}, []int32{1, 2, 3, 4}},
		{"a room that some may begin", []store.Append{three, one, guest}, []int32{1, 2, 3}},
		{"what PostgreSQL cannot hold", []store.Append{one, broken}, []int32{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := encode(c.rows).ends; !slices.Equal(got, c.want) {
				t.Errorf("runs end at %v, want %v", got, c.want)
			}
		})
	}
}

// A row that PostgreSQL cannot hold is refused, and leaves the others.
func TestTextsThatPostgresCannotHold(t *testing.T) {
	s := openStore(t)
	rows := posts("r", "n", 4)
	rows[0].Actor.Name = "a\x00b"
	rows[2].Body = []byte("\"\xff\"")
	results := untilKnown(t, s, rows)
	for i, r := range results {
		e := chat.AsError(r.Err)
		if bad := i%2 == 0; bad && (r.Err == nil || e.Code != chat.Internal) || !bad && r.Err != nil {
			t.Errorf("row %d = %v, want that 0 and 2 are refused with %s", i, r.Err, chat.Internal)
		}
	}
	wantWhole(t, s, "r", 2, nil)
}

func TestEmptyNoncesAreFilledIn(t *testing.T) {
	s := openStore(t)
	rows := posts("r", "n", 2)
	rows[1].Nonce = ""
	results := untilKnown(t, s, rows)
	if nonce := rows[1].Nonce; !strings.HasPrefix(string(nonce), " ") || results[1].Event.Nonce != nonce || rows[0].Nonce != "n-0" {
		t.Errorf("nonces are %q, and the event has %q, want one of the store's own for the second row", []chat.Nonce{rows[0].Nonce, nonce}, results[1].Event.Nonce)
	}
	if again := untilKnown(t, s, rows); !again[1].Duplicate {
		t.Errorf("the same batch again = %+v, want duplicates", again)
	}
}

// What is stored says which event it follows, whoever stored that, and so does
// a duplicate. What is read does not.
func TestEventsSayWhatTheyFollow(t *testing.T) {
	url := servicetest.Database(t)
	one, two := openAt(t, Config{URL: url}), openAt(t, Config{URL: url})
	edit := post("r", "edit", "other")
	edit.Kind, edit.Target = chat.KindMessageEdited, 1
	guest := post("r", "guest", "no")
	guest.Role = chat.RoleOwner
	var results []store.Result
	for i, batch := range [][]store.Append{
		posts("r", "first", 1),
		append(posts("r", "more", 3), posts("s", "other", 2)...),
		{edit},
		{post("s", "s", "s"), post("r", "before", "b"), guest, edit, post("r", "after", "a"), post("s", "t", "t")},
		posts("r", "more", 4), // three of them again
	} {
		results = append(results, untilKnown(t, []*Store{one, two}[i%2], batch)...)
	}
	tags := make(map[chat.RoomID][]uint32)
	for _, room := range []chat.RoomID{"r", "s"} {
		page, err := one.After(t.Context(), room, 0, store.Limit{Events: 100, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		tags[room] = []uint32{0} // what the first one follows
		for _, e := range page.Events {
			if tags[room] = append(tags[room], e.Tag); e.Follows != 0 {
				t.Errorf("event %d of %s says what it follows when it is read", e.Seq, room)
			}
		}
	}
	said := 0
	for i, r := range results {
		if e := r.Event; r.Err == nil {
			if said++; e.Follows != tags[e.Room][e.Seq-1] {
				t.Errorf("result %d, event %d of %s, duplicate %t: follows %x, want %x", i, e.Seq, e.Room, r.Duplicate, e.Follows, tags[e.Room][e.Seq-1])
			}
		}
	}
	if said != len(results)-1 || len(tags["r"]) != 9 || len(tags["s"]) != 5 {
		t.Errorf("%d of %d rows are stored, %d in r and %d in s, want all but one", said, len(results), len(tags["r"])-1, len(tags["s"])-1)
	}
}

// Behind a pooler that gives each statement another connection nothing may be
// prepared.
func TestWithoutPreparedStatements(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			s := openAt(t, Config{URL: servicetest.Database(t) + "&default_query_exec_mode=" + mode})
			rows := posts("r", "n", 3)
			results := untilKnown(t, s, rows)
			if again := untilKnown(t, s, rows); !again[0].Duplicate || again[0].Event.ID != results[0].Event.ID {
				t.Errorf("again = %+v, want a duplicate of %+v", again[0], results[0])
			}
			wantWhole(t, s, "r", 3, nil)
			private := true
			marked, err := s.Mark(t.Context(), []store.Mark{{Room: "r", User: chat.User{ID: "bob"}, Read: 2, Private: &private}})
			if err != nil || marked[0].Err != nil || marked[0].Member.Mark != (chat.Mark{Read: 2, Delivered: 2, ReadMsgs: 2, Private: true}) {
				t.Errorf("Mark = %+v, %v", marked, err)
			}
			if rooms, err := s.Rooms(t.Context(), []chat.Access{chat.AccessOpen}, "", 10); err != nil || len(rooms) != 1 {
				t.Errorf("Rooms = %v, %v, want one", rooms, err)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	s := openStore(t)
	if _, err := s.Append(t.Context(), posts("r", "n", 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Room(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*count.Histogram{"Append": s.Counts().Append, "Read": s.Counts().Read} {
		if got := count.Sum(h); got.Count != 1 || got.Sum <= 0 {
			t.Errorf("%s: %d took %v s, want one and some time", name, got.Count, got.Sum)
		}
	}
	for of, want := range map[string]uint64{count.ReadHistory: 0, count.ReadRoom: 1, count.ReadMember: 0, count.ReadAccount: 0} {
		if got := s.Counts().Reads.Of(of).Value(); got != want {
			t.Errorf("%d reads of %s, want %d", got, of, want)
		}
	}
}
