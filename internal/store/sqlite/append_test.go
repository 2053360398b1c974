package sqlite

import (
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

// A digest stands beside the nonce, so a repeat is judged by what was said
// first, whatever has become of the body.
func TestRepeatAfterAnEdit(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, post("r", "n", "hello"))
	run(t, s, `UPDATE events SET body = '{"content":"edited"}'`)
	results, err := s.Append(t.Context(), []store.Append{post("r", "n", "hello"), post("r", "n", "edited")})
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if !results[0].Duplicate || results[0].Err != nil {
		t.Errorf("the first content again = duplicate %v, %v, want true, nil", results[0].Duplicate, results[0].Err)
	}
	if e, ok := errors.AsType[*chat.Error](results[1].Err); !ok || e.Code != chat.IdempotencyConflict {
		t.Errorf("the edited content = %v, want %s", results[1].Err, chat.IdempotencyConflict)
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

func TestATrimmedLogBeginsAtItsFloor(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("r", 0, 5)...)
	run(t, s, `DELETE FROM events WHERE seq < 3`, `UPDATE rooms SET floor = 3`)
	page := mustPage(t, s, "r")
	if page.Room.Floor != 3 || page.Room.Head != 5 || page.Room.Msgs != 5 || len(page.Events) != 3 || page.Events[0].Seq != 3 {
		t.Errorf("After(0) = %+v from %d on, want floor 3, head 5 and 3 events from 3 on", page.Room, page.Events[0].Seq)
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
	mustAppend(t, s, post("general", "", `"hola"`))
	got := query(t, s, `SELECT room, seq, at, kind, actor, name, content FROM log`)
	want := []any{"general", int64(1), "2030-01-02 12:00:00", "message", "1", "Juan", `"hola"`}
	if len(got) != len(want) {
		t.Fatalf("log has the row %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("column %d of log = %v, want %v", i, got[i], want[i])
		}
	}
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
