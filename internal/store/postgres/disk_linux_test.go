package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
)

// The database's disk is full (reliability F12): posts are refused, nothing is
// stored of them, what is there is read, and when there is space again nothing
// needs a restart. The disk is that of one table, which grows into /dev/full.
func TestDiskIsFull(t *testing.T) {
	url := servicetest.Database(t)
	s := openAt(t, Config{URL: url, Writers: 2})
	conn := superuser(t, url)
	var data, table string
	if err := conn.QueryRow(t.Context(), `SELECT current_setting('data_directory'), pg_relation_filepath('tertulia.events')`).Scan(&data, &table); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, table)
	if err := errors.Join(os.Rename(path, path+".aside"), os.Symlink("/dev/full", path)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Append(t.Context(), posts("r", "n", 2)); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "53100") {
			t.Errorf("Append to a full disk = %v, want %v", err, store.ErrUnavailable)
		}
	}
	if room, err := s.Room(t.Context(), "r"); err != nil || room.Exists {
		t.Errorf("the room is %+v, %v, want that there is none", room, err)
	}
	if err := os.Rename(path+".aside", path); err != nil {
		t.Fatal(err)
	}
	// Those that tried have the full disk open still.
	mustExec(t, conn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%append%'`)
	results := untilKnown(t, s, posts("r", "n", 2))
	if results[0].Duplicate || results[0].Event.Seq != 1 {
		t.Errorf("the same posts with space again = %+v, want them at 1 and 2", results)
	}
	untilKnown(t, s, posts("r", "later", 3))
	wantWhole(t, s, "r", 5, nil)
}
