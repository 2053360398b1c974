package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		childMain(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// openAt opens a store that the caller closes.
func openAt(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// openStore opens a store that the test closes at its end.
func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s := openAt(t, dir)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func post(room chat.RoomID, nonce chat.Nonce, content string) store.Append {
	return store.Append{
		Room:      room,
		Kind:      chat.KindMessage,
		Actor:     chat.User{ID: "1", Name: "Juan"},
		Nonce:     nonce,
		Body:      chat.MessageBody(content),
		MayCreate: true,
	}
}

// posts are n messages with the nonces first, first+1, ….
func posts(room chat.RoomID, first, n int) []store.Append {
	rows := make([]store.Append, n)
	for i := range rows {
		rows[i] = post(room, chat.Nonce(fmt.Sprintf("n%06d", first+i)), fmt.Sprint("message ", first+i))
	}
	return rows
}

// mustAppend returns the events of rows that are all new.
func mustAppend(t testing.TB, s *Store, rows ...store.Append) []chat.Event {
	t.Helper()
	results, err := s.Append(context.Background(), rows)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	events := make([]chat.Event, len(results))
	for i, r := range results {
		if r.Err != nil || r.Duplicate {
			t.Fatalf("row %d = duplicate %v, %v, want a new event", i, r.Duplicate, r.Err)
		}
		events[i] = r.Event
	}
	return events
}

// mustPage returns a whole log and its room.
func mustPage(t testing.TB, s *Store, room chat.RoomID) store.Page {
	t.Helper()
	page, err := s.After(context.Background(), room, 0, store.Limit{Events: 1 << 20, Bytes: 1 << 30})
	if err != nil {
		t.Fatalf("After: %v", err)
	}
	return page
}

// wantLog checks that a room has exactly the events 1 to n.
func wantLog(t testing.TB, s *Store, room chat.RoomID, n int) {
	t.Helper()
	page := mustPage(t, s, room)
	if page.Room.Head != uint64(n) || len(page.Events) != n {
		t.Errorf("room %s has head %d and %d events, want %d", room, page.Room.Head, len(page.Events), n)
	}
	for i, e := range page.Events {
		if e.Seq != uint64(i)+1 {
			t.Errorf("event %d of room %s has seq %d", i+1, room, e.Seq)
		}
	}
}

// run executes SQL as another program would, on a connection of its own.
func run(t testing.TB, s *Store, sql ...string) {
	t.Helper()
	for _, q := range sql {
		query(t, s, q)
	}
}

// query returns the first row's values, nil if there is no row.
func query(t testing.TB, s *Store, sql string) []driver.Value {
	t.Helper()
	c, err := connect(source(s.dir+"/"+databaseName, "", nil))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer c.close()
	return queryOn(t, c, sql)
}

func queryOn(t testing.TB, c *conn, sql string) []driver.Value {
	t.Helper()
	stmt, err := c.prepare(sql)
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.s.Close()
	rows, err := stmt.query()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	vals := make([]driver.Value, len(rows.Columns()))
	if len(vals) == 0 || rows.Next(vals) != nil {
		return nil
	}
	return vals
}
