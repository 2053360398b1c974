package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"

	"tertulia/chat"
	"tertulia/internal/store"
)

// openOn opens a store on a disk of its own; the test closes what it leaves.
func openOn(t *testing.T, d *disk, dir string) *Store {
	t.Helper()
	s, err := open(t.Context(), Config{Dir: dir}, d.vfs)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

// failing answers an operation on a file with code.
func failing(op, file string, code int32) func(string, string) int32 {
	return func(gotOp, gotFile string) int32 {
		if gotOp == op && gotFile == file {
			return code
		}
		return lib.SQLITE_OK
	}
}

func TestAFullDiskIsUnavailableUntilThereIsSpace(t *testing.T) {
	d := newDisk(t)
	s := openOn(t, d, t.TempDir())
	defer closeStore(t, s)
	mustAppend(t, s, posts("r", 0, 3)...)
	d.setFail(failing("write", ".db-wal", lib.SQLITE_FULL))
	for range 3 {
		rows := append(posts("r", 3, 20), post("new", "", "hello"))
		if results, err := s.Append(t.Context(), rows); results != nil || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Append = %v, %v, want nil, %v", results, err, store.ErrUnavailable)
		}
		wantLog(t, s, "r", 3)
		wantLog(t, s, "new", 0)
	}
	s.storedAt = s.storedAt.Add(-pingEvery)
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Errorf("Ping = %v, want %v and that the disk is full", err, store.ErrUnavailable)
	}
	d.setFail(nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping with space again = %v, want nil", err)
	}
	mustAppend(t, s, append(posts("r", 3, 20), post("new", "", "hello"))...)
	wantLog(t, s, "r", 23)
	wantLog(t, s, "new", 1)
}

// What a failed batch would have changed is as it was, in memory too.
func TestAFailedBatchIsForgotten(t *testing.T) {
	d := newDisk(t)
	s := openOn(t, d, t.TempDir())
	defer closeStore(t, s)
	member := post("r", "", "")
	member.Kind, member.Member = chat.KindMemberRole, &chat.Member{User: chat.User{ID: "2"}, State: chat.StateJoined, Role: chat.RoleOwner}
	archived := post("r", "", "")
	archived.Kind, archived.Settings = chat.KindRoomUpdated, &chat.Settings{Archived: true}
	edit := post("r", "", "edited")
	edit.Kind, edit.Target = chat.KindMessageEdited, 1
	mustAppend(t, s, posts("r", 0, 3)...)
	mark := []store.Mark{{Room: "r", User: chat.User{ID: "1"}, Read: 2}}

	d.setFail(failing("write", ".db-wal", lib.SQLITE_FULL))
	if _, err := s.Append(t.Context(), []store.Append{member, archived, edit}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Append = %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := s.Mark(t.Context(), mark); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Mark = %v, want %v", err, store.ErrUnavailable)
	}
	d.setFail(nil)

	row := post("r", "", "by an owner")
	row.Actor.ID, row.Role = "2", chat.RoleOwner
	results, err := s.Append(t.Context(), []store.Append{row})
	if e, ok := errors.AsType[*chat.Error](results[0].Err); err != nil || !ok || e.Code != chat.Forbidden {
		t.Errorf("Append = %v, %v, want %s", results[0].Err, err, chat.Forbidden)
	}
	row = post("r", "", "not archived")
	row.Live = true
	mustAppend(t, s, row)
	_, m, err := s.Member(t.Context(), "r", "1")
	if page := mustPage(t, s, "r"); err != nil || m.Mark != (chat.Mark{}) || page.Events[0].Changed != 0 || page.Room.Members != 0 {
		t.Errorf("the room is %+v, the mark %+v, %v, want nothing of the failed calls", page.Room, m.Mark, err)
	}
	if marked, err := s.Mark(t.Context(), mark); err != nil || !marked[0].Moved {
		t.Errorf("Mark with space again = moved %v, %v, want true, nil", marked[0].Moved, err)
	}
}

// A disk that fills up in the middle of a commit has taken part of it.
func TestADiskFillsUpWithinACommit(t *testing.T) {
	d := newDisk(t)
	s := openOn(t, d, t.TempDir())
	defer closeStore(t, s)
	n := 0
	for space := range 40 {
		left := space
		d.setFail(func(op, file string) int32 {
			if op == "write" && file == ".db-wal" {
				if left == 0 {
					return lib.SQLITE_FULL
				}
				left--
			}
			return lib.SQLITE_OK
		})
		rows := posts("r", n, 50)
		_, err := s.Append(t.Context(), rows)
		if err == nil {
			n += 50
		} else if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Append with %d writes left = %v, want %v", space, err, store.ErrUnavailable)
		}
		d.setFail(nil)
		wantLog(t, s, "r", n)
	}
	if n == 0 || n == 40*50 {
		t.Errorf("%d rows were stored, want the space to end within some commits only", n)
	}
}

func TestADiskErrorBreaksTheStore(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(op, file string) int32
	}{
		{"syncing a commit", failing("sync", ".db-wal", lib.SQLITE_IOERR_FSYNC)},
		{"writing a commit", failing("write", ".db-wal", lib.SQLITE_IOERR_WRITE)},
		{"reading", failing("read", ".db-wal", lib.SQLITE_IOERR_READ)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDisk(t)
			dir := t.TempDir()
			s := openOn(t, d, dir)
			acked := mustAppend(t, s, posts("r", 0, 5)...)
			d.setFail(c.fail)
			_, err := s.After(t.Context(), "r", 0, store.Limit{Events: 10, Bytes: 1 << 20})
			if err == nil {
				_, err = s.Append(t.Context(), posts("r", 5, 5))
			}
			if !errors.Is(err, store.ErrBroken) {
				t.Errorf("the first failure = %v, want %v", err, store.ErrBroken)
			}
			d.setFail(nil)
			wantBroken(t, s)
			_ = s.Close() // may fail as well, on such a disk

			s = openOn(t, d, dir)
			defer closeStore(t, s)
			results, err := s.Append(t.Context(), posts("r", 0, 10))
			if err != nil {
				t.Fatalf("Append of the same rows in a new process: %v", err)
			}
			for i, r := range results {
				if i < len(acked) && !r.Duplicate || r.Err != nil || r.Event.Seq != uint64(i)+1 {
					t.Errorf("row %d = seq %d, duplicate %v, %v", i, r.Event.Seq, r.Duplicate, r.Err)
				}
			}
			wantLog(t, s, "r", 10)
		})
	}
}

// wantBroken checks that a store refuses everything.
func wantBroken(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background()
	_, appendErr := s.Append(ctx, posts("r", 0, 1))
	_, roomErr := s.Room(ctx, "r")
	_, headsErr := s.Heads(ctx, []chat.RoomID{"r"})
	_, afterErr := s.After(ctx, "r", 0, store.Limit{})
	_, beforeErr := s.Before(ctx, "r", 0, store.Limit{})
	_, _, memberErr := s.Member(ctx, "r", "1")
	_, markErr := s.Mark(ctx, []store.Mark{{Room: "r", User: chat.User{ID: "1"}, Read: 1}})
	_, _, trimErr := s.Trim(ctx, "r", chat.Retention{Events: 1})
	for name, err := range map[string]error{
		"Append": appendErr, "Room": roomErr, "Heads": headsErr, "After": afterErr, "Before": beforeErr, "Ping": s.Ping(ctx),
		"Member": memberErr, "Mark": markErr, "Trim": trimErr, "Seen": s.Seen(ctx, nil, time.Now()), "Revoke": s.Revoke(ctx, "1", time.Now()),
	} {
		if !errors.Is(err, store.ErrBroken) {
			t.Errorf("%s on a broken store = %v, want %v", name, err, store.ErrBroken)
		}
	}
}

// SQLite's own checkpoint at commit would say nothing of this.
func TestAFailedCheckpointBreaksTheStore(t *testing.T) {
	d := newDisk(t)
	s := openOn(t, d, t.TempDir())
	defer func() { _ = s.Close() }() // may fail as well, on such a disk
	mustAppend(t, s, posts("r", 0, 5)...)
	d.setFail(failing("sync", ".db", lib.SQLITE_IOERR_FSYNC))
	s.ckpt.wrote(checkpointPages)
	for i := 5; ; i++ {
		_, err := s.Append(t.Context(), posts("r", i, 1))
		if errors.Is(err, store.ErrBroken) {
			break
		}
		if err != nil || i > 100_000 {
			t.Fatalf("Append %d = %v, want %v in the end", i, err, store.ErrBroken)
		}
	}
	d.setFail(nil)
	wantBroken(t, s)
}

func TestALockHeldByAPersonIsUnavailable(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("r", 0, 1)...)
	queryOn(t, s.writer.conn, `PRAGMA busy_timeout = 1`)
	c, err := connect(source(filepath.Join(s.dir, databaseName), "", nil))
	if err != nil {
		t.Fatal(err)
	}
	queryOn(t, c, `BEGIN IMMEDIATE`)
	if _, err := s.Append(t.Context(), posts("r", 1, 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Append = %v, want %v", err, store.ErrUnavailable)
	}
	wantLog(t, s, "r", 1)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, posts("r", 1, 1)...)
	wantLog(t, s, "r", 2)
}

func TestADamagedFileBreaksTheStore(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	mustAppend(t, s, posts("r", 0, 2000)...)
	closeStore(t, s)
	path := filepath.Join(dir, databaseName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 40 * 4096; i < len(content); i++ {
		content[i] = 0xA5
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir)
	defer func() { _ = s.Close() }() // the file stays damaged
	if _, err := s.After(t.Context(), "r", 0, store.Limit{Events: 2000, Bytes: 1 << 30}); !errors.Is(err, store.ErrBroken) {
		t.Fatalf("After = %v, want %v", err, store.ErrBroken)
	}
	wantBroken(t, s)
}

func TestARowOfAnUnknownKindBreaksTheStore(t *testing.T) {
	s := openAt(t, t.TempDir())
	defer func() { _ = s.Close() }()
	mustAppend(t, s, posts("r", 0, 1)...)
	run(t, s, `UPDATE events SET kind = 'from the future'`)
	if _, err := s.After(t.Context(), "r", 0, store.Limit{}); !errors.Is(err, store.ErrBroken) {
		t.Errorf("After = %v, want %v", err, store.ErrBroken)
	}
}
