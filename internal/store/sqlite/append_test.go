package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

func TestAtNeverGoesBack(t *testing.T) {
	s := openStore(t, t.TempDir())
	noon := time.Date(2030, 1, 2, 12, 0, 0, 999_999, time.UTC)
	for _, c := range []struct {
		room  chat.RoomID
		clock time.Duration // from noon
		want  time.Duration
	}{
		{"r", 0, 0},
		{"r", -time.Hour, 0},
		{"s", -time.Hour, -time.Hour},
		{"r", time.Millisecond, time.Millisecond},
		{"r", -time.Minute, time.Millisecond},
	} {
		s.now = func() time.Time { return noon.Add(c.clock) }
		e := mustAppend(t, s, post(c.room, "", "hello"))[0]
		if want := noon.Truncate(time.Millisecond).Add(c.want); !e.At.Equal(want) {
			t.Errorf("in %s with the clock at noon%+v: At = %v, want %v", c.room, c.clock, e.At, want)
		}
	}
}

func TestARoomMayHaveAnEpochOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	mustAppend(t, s, post("r", "n", "hello"), post("s", "", "hello"))
	closeStore(t, s)
	run(t, s, `UPDATE rooms SET epoch = 'restored' WHERE id = 'r'`)

	s = openStore(t, dir)
	results, err := s.Append(t.Context(), []store.Append{post("r", "n", "hello"), post("r", "m", "new"), post("s", "", "new")})
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	page := mustPage(t, s, "r")
	got := []string{results[0].Event.Epoch, results[1].Event.Epoch, results[2].Event.Epoch, page.Room.Epoch, page.Events[0].Epoch}
	if want := []string{"restored", "restored", s.Epoch(), "restored", "restored"}; !slices.Equal(got, want) {
		t.Errorf("epochs are %v, want %v", got, want)
	}
}

// Another program that appends, against the rules, makes what the writer
// remembers wrong. That is noticed, nothing is stored, and it looks again.
func TestAStrangerAppends(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("r", 0, 2)...)
	run(t, s,
		`INSERT INTO events SELECT room_no, 3, 1000, kind, actor, actor_name, at, NULL, NULL, 3, tag, body, NULL, NULL, NULL, NULL, NULL, NULL FROM events WHERE seq = 2`,
		`UPDATE rooms SET head = 3, msgs = 3`)
	if _, err := s.Append(t.Context(), posts("r", 2, 2)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("Append = %v, want %v", err, store.ErrUnavailable)
	}
	mustAppend(t, s, posts("r", 2, 2)...)
	wantLog(t, s, "r", 5)
}

func TestPeopleCanReadTheLog(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.now = func() time.Time { return time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC) }
	invite := post("general", "", "")
	invite.Kind, invite.Member, invite.Body = chat.KindMemberInvited, &chat.Member{User: chat.User{ID: "2"}, State: chat.StateInvited}, []byte(`{}`)
	mustAppend(t, s, post("general", "", `"hola"`), post("general", "", "hey"), post("general", "", "oops"), changing(2, "hi"), changing(3, ""), invite)
	for i, want := range [][]any{
		{"message", `"hola"`, nil, nil, nil},
		{"message", "hi", nil, nil, "edited"},
		{"message", nil, nil, nil, "deleted"},
		{"message_edited", "hi", int64(2), nil, nil},
		{"message_deleted", nil, int64(3), nil, nil},
		{"member_invited", nil, nil, "2", nil},
	} {
		got := query(t, s, fmt.Sprintf(`SELECT room, seq, at, actor, name, kind, content, target, subject, changed FROM log ORDER BY seq LIMIT 1 OFFSET %d`, i))
		want = append([]any{"general", int64(i) + 1, "2030-01-02 12:00:00", "1", "Juan"}, want...)
		if !slices.EqualFunc(got, want, func(got driver.Value, want any) bool { return got == want }) {
			t.Errorf("row %d of log = %v, want %v", i+1, got, want)
		}
	}
}

// changing edits a message of room general, or deletes it if the content is
// empty.
func changing(target uint64, content string) store.Append {
	row := post("general", "", content)
	row.Kind, row.Target = chat.KindMessageEdited, target
	if content == "" {
		row.Kind, row.Body = chat.KindMessageDeleted, []byte(`{}`)
	}
	return row
}

// The writer forgets rooms when it knows too many, but not those that the
// batch under way has changed.
func TestMoreRoomsThanTheWriterRemembers(t *testing.T) {
	s := openStore(t, t.TempDir())
	rows := []store.Append{post("again", "", "first")}
	for i := range maxCachedLogs + 10 {
		rows = append(rows, post(chat.RoomID(fmt.Sprint("r", i)), "", "hello"))
	}
	mustAppend(t, s, append(rows, post("again", "", "second"))...)
	wantLog(t, s, "again", 2)
	mustAppend(t, s, post("again", "", "third"), post("r0", "", "second"))
	wantLog(t, s, "again", 3)
	wantLog(t, s, "r0", 2)
	if n := len(s.writer.logs); n > 2 {
		t.Errorf("the writer remembers %d rooms, want the last 2", n)
	}
}

// The writer forgets members when it knows too many, but not those that the
// call under way has changed.
func TestMoreMembersThanTheWriterRemembers(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("r", 0, 2)...)
	marks := make([]store.Mark, maxCachedStandings+10)
	for i := range marks {
		marks[i] = store.Mark{Room: "r", User: chat.User{ID: chat.UserID(fmt.Sprint("u", i))}, Read: 1}
	}
	for _, read := range []uint64{1, 2} {
		for i := range marks {
			marks[i].Read = read
		}
		marked, err := s.Mark(t.Context(), marks)
		if err != nil {
			t.Fatalf("Mark: %v", err)
		}
		for i, m := range marked {
			if !m.Moved || m.Member.Mark.ReadMsgs != read {
				t.Fatalf("mark %d = %+v, want %d messages read", i, m, read)
			}
		}
	}
	if _, err := s.Mark(t.Context(), marks[:1]); err != nil {
		t.Fatalf("Mark: %v", err)
	}
	if n := len(s.writer.standings); n > 1 {
		t.Errorf("the writer remembers %d members, want the last 1", n)
	}
	if got := query(t, s, `SELECT count(*), min(read) FROM members`); got[0] != int64(len(marks)) || got[1] != int64(2) {
		t.Errorf("the file has %v members with at least %v read, want %d and 2", got[0], got[1], len(marks))
	}
}

// Nothing but what moves is written: a mark that moves nothing costs no sync.
func TestAMarkThatMovesNothingWritesNothing(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("r", 0, 2)...)
	marks := []store.Mark{{Room: "r", User: chat.User{ID: "u"}, Read: 2}}
	if _, err := s.Mark(t.Context(), marks); err != nil {
		t.Fatalf("Mark: %v", err)
	}
	before := logPages(t, s.writer.conn)
	if m, err := s.Mark(t.Context(), marks); err != nil || m[0].Moved {
		t.Errorf("Mark = moved %v, %v, want false, nil", m[0].Moved, err)
	}
	if after := logPages(t, s.writer.conn); after != before {
		t.Errorf("the log grew from %d pages to %d", before, after)
	}
}

func TestRevokedTokensAreForgottenWhenTheyHaveExpired(t *testing.T) {
	s := openStore(t, t.TempDir())
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		s.now = func() time.Time { return noon.Add(time.Duration(i) * time.Hour) }
		if err := s.RevokeToken(t.Context(), fmt.Sprint("t", i), s.now().Add(90*time.Minute)); err != nil {
			t.Fatalf("RevokeToken: %v", err)
		}
	}
	if got := query(t, s, `SELECT group_concat(id) FROM (SELECT id FROM revoked_tokens ORDER BY id)`)[0]; got != "t1,t2" {
		t.Errorf("the file has the tokens %v, want t1,t2", got)
	}
}

func TestTrimByAge(t *testing.T) {
	s := openStore(t, t.TempDir())
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	for i := range 10 {
		s.now = func() time.Time { return noon.Add(time.Duration(i/2) * time.Minute) } // two a minute
		mustAppend(t, s, posts("r", i, 1)...)
	}
	for _, c := range []struct {
		clock time.Duration // from noon
		keep  chat.Retention
		floor uint64
	}{
		{4 * time.Minute, chat.Retention{Age: 4 * time.Minute}, 1},
		{4*time.Minute + time.Millisecond, chat.Retention{Age: 4 * time.Minute}, 3},
		{4 * time.Minute, chat.Retention{Age: 2 * time.Minute, Events: 7}, 5},
		{4 * time.Minute, chat.Retention{Age: 2 * time.Minute, Events: 4}, 7},
		{4 * time.Minute, chat.Retention{Age: time.Second}, 9},
		{time.Hour, chat.Retention{Age: time.Second}, 10},
	} {
		s.now = func() time.Time { return noon.Add(c.clock) }
		room, more, err := s.Trim(t.Context(), "r", c.keep)
		if err != nil || more || room.Floor != c.floor {
			t.Errorf("Trim(%+v) at noon+%v = floor %d, more %v, %v, want %d", c.keep, c.clock, room.Floor, more, err, c.floor)
		}
	}
}
