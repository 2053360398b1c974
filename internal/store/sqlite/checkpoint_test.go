package sqlite

import (
	"database/sql/driver"
	"testing"

	"tertulia/internal/store"
)

// logPages is how much of the write-ahead log is in use, without moving any.
func logPages(t *testing.T, c *conn) int64 {
	t.Helper()
	vals := queryOn(t, c, `PRAGMA wal_checkpoint(NOOP)`)
	n, ok := vals[1].(int64)
	if !ok {
		t.Fatalf("wal_checkpoint(NOOP) = %v, want integers", vals)
	}
	return n
}

func TestCheckpointBeginsTheLogAnew(t *testing.T) {
	s := openStore(t, t.TempDir())
	for i := range 50 {
		mustAppend(t, s, posts("r", 100*i, 100)...)
	}
	if n := logPages(t, s.writer.conn); n < 200 {
		t.Fatalf("the log has %d pages after 5,000 rows, want more than 200", n)
	}
	if err := s.ckpt.checkpoint(); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	mustAppend(t, s, posts("r", 5000, 1)...)
	if n := logPages(t, s.writer.conn); n > 10 {
		t.Errorf("the log has %d pages after a checkpoint and one row, want at most 10", n)
	}
	wantLog(t, s, "r", 5001)
}

// What is written beside a checkpoint is moved by its second part, or the log
// of a busy server would never begin anew.
func TestCheckpointBesideAWriter(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("r", 0, 1000)...)
	s.lane <- struct{}{} // holds the checkpoint between its parts
	done := make(chan error)
	go func() { done <- s.ckpt.checkpoint() }()
	for moved := int64(0); moved < logPages(t, s.writer.conn); {
		moved = queryOn(t, s.writer.conn, `PRAGMA wal_checkpoint(NOOP)`)[2].(int64)
	}
	rows := posts("r", 1000, 1000)
	if err := s.transact(func() error { return s.appendAll(rows, make([]store.Result, len(rows))) }); err != nil {
		t.Fatalf("append beside the checkpoint: %v", err)
	}
	s.giveLane()
	if err := <-done; err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	mustAppend(t, s, posts("r", 2000, 1)...)
	if n := logPages(t, s.writer.conn); n > 10 {
		t.Errorf("the log has %d pages after a checkpoint and one row, want at most 10", n)
	}
	wantLog(t, s, "r", 2001)
}

func TestCheckpointsRunByThemselves(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.ckpt.pages = 20
	var most, n int64
	for i := 0; n >= most; i++ {
		if i > 100_000 {
			t.Fatalf("the log grew to %d pages and was never begun anew", most)
		}
		mustAppend(t, s, posts("r", i, 1)...)
		most, n = max(most, n), logPages(t, s.writer.conn)
	}
}

func TestCloseEmptiesTheLog(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	mustAppend(t, s, posts("r", 0, 500)...)
	closeStore(t, s)
	c, err := connect("file:" + dir + "/" + databaseName + "?immutable=1") // reads no log
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if got := queryOn(t, c, `SELECT count(*) FROM events`); got[0] != driver.Value(int64(500)) {
		t.Errorf("the file alone has %v events, want 500", got[0])
	}
}
