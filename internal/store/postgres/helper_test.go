package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tertulia/chat"
	"tertulia/internal/store"
)

// post is a message of ana's, which may begin its room's log.
func post(room chat.RoomID, nonce chat.Nonce, content string) store.Append {
	return store.Append{
		Room:      room,
		Kind:      chat.KindMessage,
		Actor:     chat.User{ID: "ana", Name: "Ana"},
		Nonce:     nonce,
		Body:      chat.MessageBody(content),
		MayCreate: true,
		Condition: store.Condition{Role: chat.RoleMember, Live: true},
	}
}

// posts are n messages with nonces of their own.
func posts(room chat.RoomID, prefix string, n int) []store.Append {
	rows := make([]store.Append, n)
	for i := range rows {
		rows[i] = post(room, chat.Nonce(fmt.Sprintf("%s-%d", prefix, i)), fmt.Sprintf("%s %d", prefix, i))
	}
	return rows
}

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// untilKnown is appendUntilKnown for the goroutine of the test, which ends on an
// error.
func untilKnown(t testing.TB, s *Store, rows []store.Append) []store.Result {
	t.Helper()
	results, _, err := appendUntilKnown(s, rows)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// appendUntilKnown runs a batch until there is an answer, as the journal does:
// once the outcome was unknown, a store that is unavailable is asked again too.
// unknown is how often it was. It may be called from any goroutine.
func appendUntilKnown(s *Store, rows []store.Append) (results []store.Result, unknown int, err error) {
	deadline := time.Now().Add(patience)
	for {
		results, err := s.Append(context.Background(), rows)
		switch {
		case err == nil:
			return results, unknown, nil
		case !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnavailable):
			return nil, unknown, fmt.Errorf("Append = %w, want %w or %w", err, store.ErrUnknown, store.ErrUnavailable)
		case time.Now().After(deadline):
			return nil, unknown, fmt.Errorf("Append = %w for %v", err, patience)
		}
		if errors.Is(err, store.ErrUnknown) {
			unknown++
		}
		time.Sleep(time.Millisecond)
	}
}

// wantWhole checks that a room's log is 1..n without a hole, that no nonce is in
// it twice, and that each event of acked is where it was said to be.
func wantWhole(t testing.TB, s *Store, room chat.RoomID, n int, acked map[chat.Nonce]chat.Event) {
	t.Helper()
	page, err := s.After(context.Background(), room, 0, store.Limit{Events: 1 << 20, Bytes: 1 << 30})
	// A connection that has just been terminated fails the read that finds it so.
	for deadline := time.Now().Add(patience); errors.Is(err, store.ErrUnavailable) && time.Now().Before(deadline); {
		page, err = s.After(context.Background(), room, 0, store.Limit{Events: 1 << 20, Bytes: 1 << 30})
	}
	if err != nil {
		t.Fatalf("After: %v", err)
	}
	if len(page.Events) != n || page.Room.Head != uint64(n) || page.Room.Msgs != uint64(n) {
		t.Errorf("room %s has %d events, head %d, %d messages, want %d of each", room, len(page.Events), page.Room.Head, page.Room.Msgs, n)
	}
	stored := make(map[chat.Nonce]chat.Event, n)
	for i, e := range page.Events {
		if e.Seq != uint64(i)+1 {
			t.Fatalf("room %s: event %d has seq %d", room, i+1, e.Seq)
		}
		if i > 0 && (e.ID <= page.Events[i-1].ID || e.At.Before(page.Events[i-1].At)) {
			t.Errorf("room %s: event %d has id %d at %v behind %d at %v", room, e.Seq, e.ID, e.At, page.Events[i-1].ID, page.Events[i-1].At)
		}
		if before, ok := stored[e.Nonce]; ok {
			t.Errorf("room %s: nonce %s has seq %d and %d", room, e.Nonce, before.Seq, e.Seq)
		}
		stored[e.Nonce] = e
	}
	for nonce, want := range acked {
		if got := stored[nonce]; got.Seq != want.Seq || got.ID != want.ID || got.Tag != want.Tag {
			t.Errorf("room %s: nonce %s has seq %d, id %d, was acknowledged with %d, %d", room, nonce, got.Seq, got.ID, want.Seq, want.ID)
		}
	}
}

// superuser is a connection beside the store.
func superuser(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func mustExec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
