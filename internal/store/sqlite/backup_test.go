package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

func mustBackup(t *testing.T, dir, file string) Contents {
	t.Helper()
	c, err := Backup(t.Context(), dir, file)
	if err != nil {
		t.Fatalf("Backup: %v", err)
	}
	return c
}

// mustRestore restores a backup into a folder of its own, and opens that.
func mustRestore(t *testing.T, file string) *Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a", "data")
	if _, _, err := Restore(t.Context(), file, dir, false); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	return openStore(t, dir)
}

// A backup made while the store grows is a prefix of every log, with all
// that was acknowledged before it began.
func TestBackupUnderLoad(t *testing.T) {
	s := openStore(t, t.TempDir())
	rooms := []chat.RoomID{"0", "1", "2"}
	acked := ackCounter{heads: make(map[chat.RoomID]uint64)}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			room := rooms[n%len(rooms)]
			events := mustAppend(t, s, posts(room, n*10, 10)...)
			acked.note(room, events[9].Seq)
		}
	})
	defer load.Wait()
	defer cancel()
	for i := range 5 {
		acked.await(uint64(50 * (i + 1)))
		before := acked.now()
		file := filepath.Join(t.TempDir(), "backup.db")
		contents := mustBackup(t, s.dir, file)
		restored := mustRestore(t, file)
		events := int64(0)
		for _, room := range rooms {
			page := mustPage(t, restored, room)
			wantLog(t, restored, room, int(page.Room.Head))
			events += int64(len(page.Events))
			if page.Room.Head < before[room] {
				t.Errorf("room %s ends at %d in the backup, and %d were acknowledged before it", room, page.Room.Head, before[room])
			}
			wantSameBut(t, page.Events, mustPage(t, s, room).Events[:len(page.Events)], s.Epoch(), restored.Epoch())
		}
		if contents.Events != events || contents.Rooms != 3 {
			t.Errorf("the backup says %+v, want 3 rooms and %d events", contents, events)
		}
	}
}

// ackCounter knows what was acknowledged.
type ackCounter struct {
	mu    sync.Mutex
	heads map[chat.RoomID]uint64
	grown sync.Cond
}

func (a *ackCounter) note(room chat.RoomID, seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heads[room] = seq
	if a.grown.L == nil {
		a.grown.L = &a.mu
	}
	a.grown.Broadcast()
}

// await waits until room 2 has so many.
func (a *ackCounter) await(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.grown.L == nil {
		a.grown.L = &a.mu
	}
	for a.heads["2"] < seq {
		a.grown.Wait()
	}
}

func (a *ackCounter) now() map[chat.RoomID]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	heads := make(map[chat.RoomID]uint64)
	for room, seq := range a.heads {
		heads[room] = seq
	}
	return heads
}

// wantSameBut wants the same events in another epoch.
func wantSameBut(t *testing.T, got, want []chat.Event, was, is string) {
	t.Helper()
	for i, g := range got {
		w := want[i]
		if g.Epoch != is || w.Epoch != was || is == was {
			t.Fatalf("epochs %s and %s, want %s and %s", g.Epoch, w.Epoch, is, was)
		}
		g.Epoch = was
		if fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", w) {
			t.Fatalf("event %d is %+v, want %+v", i+1, g, w)
		}
	}
}

// All logs begin a new epoch, those of rooms with an epoch of their own too,
// and no id comes twice.
func TestRestoreBeginsANewEpoch(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, post("general", "a", "one"), post("other", "b", "two"))
	file := filepath.Join(t.TempDir(), "backup.db")
	run(t, s, `UPDATE rooms SET epoch = 'own' WHERE id = 'other'`)
	mustBackup(t, s.dir, file)
	lost := mustAppend(t, s, post("general", "c", "three"))[0]
	restored := mustRestore(t, file)
	if restored.Epoch() == s.Epoch() {
		t.Errorf("the epoch is still %s", s.Epoch())
	}
	for _, room := range []chat.RoomID{"general", "other"} {
		if page := mustPage(t, restored, room); page.Room.Epoch != restored.Epoch() || len(page.Events) != 1 {
			t.Errorf("%s = %+v, want one event in epoch %s", room, page, restored.Epoch())
		}
	}
	if e := mustAppend(t, restored, post("general", "d", "four"))[0]; e.Seq != 2 || e.ID <= lost.ID+1<<31 {
		t.Errorf("the next event has seq %d and id %d, want 2 and one far above %d", e.Seq, e.ID, lost.ID)
	}
	results, err := restored.Append(t.Context(), []store.Append{post("general", "a", "one")})
	if err != nil || !results[0].Duplicate {
		t.Errorf("the repeat of a restored message = %+v, %v, want a duplicate", results, err)
	}
}

// A backup of a store that nobody has open, after a crash, has what is in the
// write-ahead log only.
func TestBackupAfterACrash(t *testing.T) {
	dir := t.TempDir()
	acked := killedChild(t, dir, 40)
	file := filepath.Join(t.TempDir(), "backup.db")
	if c := mustBackup(t, dir, file); c.Events < int64(len(acked)) {
		t.Errorf("the backup has %d events, want at least %d", c.Events, len(acked))
	}
}

// What was deleted cannot be read in a backup.
func TestBackupLeavesOutWhatWasDeleted(t *testing.T) {
	s := openStore(t, t.TempDir())
	const secret = "a secret that must go"
	mustAppend(t, s, post("general", "a", secret))
	remove := post("general", "b", "")
	remove.Kind, remove.Target, remove.Body = chat.KindMessageDeleted, 1, []byte(`{}`)
	mustAppend(t, s, remove)
	file := filepath.Join(t.TempDir(), "backup.db")
	mustBackup(t, s.dir, file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(secret)) {
		t.Error("the backup has a message that was deleted")
	}
}

func TestBackupRefuses(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("general", 1, 20)...)
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), s.dir, there); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Backup over a file = %v, want fs.ErrExist", err)
	}
	if _, err := Backup(t.Context(), t.TempDir(), filepath.Join(dir, "b")); !is[*NoStoreError](err) {
		t.Errorf("Backup of an empty folder = %v, want a *NoStoreError", err)
	}
	if _, err := Backup(t.Context(), s.dir, filepath.Join(dir, "nowhere", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup into no folder = %v, want fs.ErrNotExist", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, s.dir, filepath.Join(dir, "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup with a context that has ended = %v, want its error", err)
	}
	run(t, s, `DELETE FROM events WHERE seq = 7`)
	if _, err := Backup(t.Context(), s.dir, filepath.Join(dir, "b")); !is[*DamagedError](err) || !strings.Contains(err.Error(), "general") {
		t.Errorf("Backup of a log with a hole = %v, want a *DamagedError", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v is left behind (%v), want the one file that was there", entries, err)
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestRestoreRefuses(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("general", 1, 200)...)
	good := filepath.Join(t.TempDir(), "good.db")
	mustBackup(t, s.dir, good)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(data)
	changed[bytes.LastIndex(data, []byte("message 7"))] ^= 1 // the database is sound, and says something else
	other := bytes.Clone(data)
	copy(other[len(data)-10:], "zzzzzzzzz")
	for _, c := range []struct {
		name   string
		backup []byte
		dir    string
		is     func(error) bool
	}{
		{"a file of something else", []byte("not a database, and not as long as one"), "new", is[*UnsealedError]},
		{"an empty file", nil, "new", is[*UnsealedError]},
		{"half a file", data[:len(data)/2], "new", is[*UnsealedError]},
		{"a file without its last byte", data[:len(data)-1], "new", is[*UnsealedError]},
		{"a database that was copied", data[:len(data)-sealBytes], "new", is[*UnsealedError]},
		{"a file with one bit changed", changed, "new", is[*DamagedError]},
		{"a file with another checksum", other, "new", is[*DamagedError]},
		{"a folder in use", data, s.dir, is[*NotEmptyError]},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "backup.db"), c.dir
			if dir == "new" {
				dir = filepath.Join(t.TempDir(), "data")
			}
			if err := os.WriteFile(file, c.backup, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Restore(t.Context(), file, dir, false); !c.is(err) {
				t.Errorf("Restore = %v (%T)", err, err)
			}
			if _, err := os.Stat(dir); dir != s.dir && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder was made (%v)", err)
			}
		})
	}
	if _, _, err := Restore(t.Context(), filepath.Join(t.TempDir(), "nothing"), t.TempDir(), false); !is[*NoStoreError](err) {
		t.Errorf("Restore of no file = %v, want a *NoStoreError", err)
	}
}

// resealed changes a backup behind its seal, and seals it again.
func resealed(t *testing.T, file, sql string) {
	t.Helper()
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, info.Size()-int64(sealBytes))
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := openFile(file, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(sql)
	if err := errors.Join(err, db.Close(), seal(t.Context(), file)); err != nil {
		t.Fatal(err)
	}
}

// What is sealed is looked into all the same.
func TestRestoreRefusesWhatIsSealed(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		is        func(error) bool
	}{
		{"a newer schema", `INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)`, is[*NewerSchemaError]},
		{"a log with a hole", `DELETE FROM events WHERE seq = 2`, is[*DamagedError]},
		{"another program's database", `DROP TABLE goose_db_version`, is[*DamagedError]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, file := openStore(t, t.TempDir()), filepath.Join(t.TempDir(), "backup.db")
			mustAppend(t, s, posts("general", 1, 3)...)
			mustBackup(t, s.dir, file)
			resealed(t, file, c.sql)
			if _, _, err := Restore(t.Context(), file, filepath.Join(t.TempDir(), "data"), false); !c.is(err) {
				t.Errorf("Restore = %v (%T)", err, err)
			}
		})
	}
}

// A backup can be read with any program that reads databases.
func TestBackupIsADatabase(t *testing.T) {
	s, file := openStore(t, t.TempDir()), filepath.Join(t.TempDir(), "backup.db")
	mustAppend(t, s, posts("general", 1, 50)...)
	mustBackup(t, s.dir, file)
	db, err := openFile(file, "&mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	var sound string
	if err := db.QueryRow(`SELECT (SELECT count(*) FROM log), integrity_check FROM pragma_integrity_check`).Scan(&n, &sound); err != nil || n != 50 || sound != "ok" {
		t.Errorf("the backup has %d events and is %s (%v), want 50 and ok", n, sound, err)
	}
}

// A folder into which a restore was interrupted is not opened, until it is
// restored again.
func TestInterruptedRestore(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, posts("general", 1, 20)...)
	file, dir := filepath.Join(t.TempDir(), "backup.db"), t.TempDir()
	mustBackup(t, s.dir, file)
	for _, name := range []string{restoringName, restoringName + "-journal"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened, err := Open(t.Context(), Config{Dir: dir})
	if unfinished, ok := errors.AsType[*UnfinishedError](err); !ok || unfinished.Before != "" {
		t.Fatalf("Open = %v, %v, want an *UnfinishedError", opened, err)
	}
	if _, _, err := Restore(t.Context(), file, dir, false); err != nil {
		t.Fatalf("Restore again: %v", err)
	}
	wantLog(t, openStore(t, dir), "general", 20)
}

// A database that is set aside is whole under its other name, and so is what
// comes in its place. Nothing else in the folder is touched.
func TestRestoreSetsAside(t *testing.T) {
	first, file := openStore(t, t.TempDir()), filepath.Join(t.TempDir(), "backup.db")
	mustAppend(t, first, posts("general", 1, 3)...)
	mustBackup(t, first.dir, file)
	if _, _, err := Restore(t.Context(), file, first.dir, true); !is[*LockedError](err) {
		t.Errorf("Restore into a folder in use = %v, want a *LockedError", err)
	}
	dir := t.TempDir()
	acked := killedChild(t, dir, 40) // leaves a write-ahead log
	notes := filepath.Join(dir, "notes")
	if err := os.WriteFile(notes, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, aside, err := Restore(t.Context(), file, dir, true)
	if err != nil || !strings.HasPrefix(aside, filepath.Join(dir, databaseName)+".2") {
		t.Fatalf("Restore = %q, %v", aside, err)
	}
	wantLog(t, openStore(t, dir), "general", 3)
	if data, err := os.ReadFile(notes); err != nil || string(data) != "mine" {
		t.Errorf("the other file has %q (%v)", data, err)
	}
	again := t.TempDir()
	if err := os.Rename(aside, filepath.Join(again, databaseName)); err != nil {
		t.Fatal(err)
	}
	if c := mustBackup(t, again, filepath.Join(t.TempDir(), "again.db")); c.Events < int64(len(acked)) {
		t.Errorf("what was set aside has %d events, want at least %d", c.Events, len(acked))
	}
}

// A database that is set aside because it is damaged takes its log along, so
// that nothing of it gets into the new one.
func TestRestoreSetsADamagedOneAside(t *testing.T) {
	s, file, dir := openStore(t, t.TempDir()), filepath.Join(t.TempDir(), "backup.db"), t.TempDir()
	mustAppend(t, s, posts("general", 1, 3)...)
	mustBackup(t, s.dir, file)
	for _, name := range []string{databaseName, databaseName + "-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("what is left after a fire"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, aside, err := Restore(t.Context(), file, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Error(err)
	}
	wantLog(t, openStore(t, dir), "general", 3)
}
