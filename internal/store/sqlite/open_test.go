package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/pressly/goose/v3"
)

func TestOpenMakesAPrivateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := openStore(t, dir)
	mustAppend(t, s, post("r", "", "hello"))
	for _, c := range []struct {
		name string
		want fs.FileMode
	}{
		{"..", fs.ModeDir | 0o700},
		{".", fs.ModeDir | 0o700},
		{databaseName, 0o600},
		{databaseName + "-wal", 0o600},
		{databaseName + "-shm", 0o600},
		{lockName, 0o600},
	} {
		info, err := os.Stat(filepath.Join(dir, c.name))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if info.Mode() != c.want {
			t.Errorf("%s has mode %v, want %v", c.name, info.Mode(), c.want)
		}
	}
}

func TestOpenInFoldersWithOddNames(t *testing.T) {
	for _, name := range []string{"a b", "what?mode=memory", "50%25", "a#b", "é漢", "semi;colon&amp=1"} {
		dir := filepath.Join(t.TempDir(), name)
		s := openAt(t, dir)
		mustAppend(t, s, post("r", "", "hello"))
		if info, err := os.Stat(filepath.Join(dir, databaseName+"-wal")); err != nil || info.Size() == 0 {
			t.Errorf("in %q: %v, want a write-ahead log that is not empty", name, err)
		}
		closeStore(t, s)
		s = openAt(t, dir)
		wantLog(t, s, "r", 1)
		closeStore(t, s)
	}
}

func TestOpenRefusesALockedFolder(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	_, err := Open(t.Context(), Config{Dir: dir})
	locked, ok := errors.AsType[*LockedError](err)
	if !ok {
		t.Fatalf("Open = %v, want a *LockedError", err)
	}
	if want := (LockedError{Dir: dir, PID: os.Getpid()}); *locked != want {
		t.Errorf("Open = %+v, want %+v", *locked, want)
	}
	mustAppend(t, s, post("r", "", "hello"))
	closeStore(t, s)
	openStore(t, dir)
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	mustAppend(t, s, post("r", "", "hello"))
	run(t, s, `INSERT INTO `+goose.DefaultTablename+` (version_id, is_applied) VALUES (99, true)`)
	closeStore(t, s)

	before, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{Dir: dir})
	newer, ok := errors.AsType[*NewerSchemaError](err)
	if !ok {
		t.Fatalf("Open = %v, want a *NewerSchemaError", err)
	}
	if want := (NewerSchemaError{Path: filepath.Join(dir, databaseName), Have: 99, Known: SchemaVersion}); *newer != want {
		t.Errorf("Open = %+v, want %+v", *newer, want)
	}
	after, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, after) {
		t.Error("Open changed the file that it refused")
	}

	run(t, s, `DELETE FROM `+goose.DefaultTablename+` WHERE version_id = 99`)
	wantLog(t, openStore(t, dir), "r", 1) // and so the lock was given back
}

func TestOpenRefusesAFolderThatIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := Open(t.Context(), Config{Dir: dir})
		if folder, ok := errors.AsType[*FolderError](err); !ok || folder.Dir != dir {
			t.Errorf("Open(%s) = %v, want a *FolderError", dir, err)
		}
		if _, ok := errors.AsType[*fs.PathError](err); !ok {
			t.Errorf("Open(%s) = %v, want a *fs.PathError in it", dir, err)
		}
	}
}

func TestOpenRefusesAFileThatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, databaseName), make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, databaseName), []byte("Dear diary, this is not a database, and it is long enough to see that at once: 0123456789 0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Dir: dir})
	if err == nil {
		closeStore(t, s)
		t.Fatal("Open = nil, want an error")
	}
}

func TestMigrationsRunOnce(t *testing.T) {
	dir := t.TempDir()
	const schema = `SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema ORDER BY name)`
	const applied = `SELECT count(*), max(version_id) FROM ` + goose.DefaultTablename
	var want [3]any
	for i := range 3 {
		s := openAt(t, dir)
		counts := query(t, s, applied)
		got := [3]any{query(t, s, schema)[0], counts[0], counts[1]}
		if i == 0 {
			want = got
		}
		if got != want {
			t.Errorf("opened %d times: %v, want %v", i+1, got, want)
		}
		closeStore(t, s)
	}
	if want[2] != int64(SchemaVersion) {
		t.Errorf("the newest migration is %v, want SchemaVersion, %d", want[2], SchemaVersion)
	}
}

func TestPragmas(t *testing.T) {
	s := openStore(t, t.TempDir())
	r := <-s.readers
	defer func() { s.readers <- r }()
	for _, c := range []struct {
		pragma               string
		writer, ckpt, reader any
	}{
		{"journal_mode", "wal", "wal", "wal"},
		{"synchronous", int64(2), int64(2), int64(2)},
		{"fullfsync", int64(1), int64(1), int64(0)},
		{"checkpoint_fullfsync", int64(1), int64(1), int64(0)},
		{"busy_timeout", int64(2000), int64(2000), int64(2000)},
		{"wal_autocheckpoint", int64(0), int64(0), int64(1000)},
		{"query_only", int64(0), int64(0), int64(1)},
		{"page_size", int64(4096), int64(4096), int64(4096)},
	} {
		for name, conn := range map[string]struct {
			*conn
			want any
		}{"writer": {s.writer.conn, c.writer}, "checkpointer": {s.ckpt.conn, c.ckpt}, "reader": {r.conn, c.reader}} {
			if got := queryOn(t, conn.conn, "PRAGMA "+c.pragma)[0]; got != conn.want {
				t.Errorf("the %s's %s = %v, want %v", name, c.pragma, got, conn.want)
			}
		}
	}
	stmt, err := r.conn.prepare(`DELETE FROM rooms`)
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.s.Close()
	if _, err := stmt.exec(); err == nil {
		t.Error("a reader deleted rows")
	}
}

func BenchmarkOpen(b *testing.B) {
	b.Run("empty folder", func(b *testing.B) {
		for b.Loop() {
			closeStore(b, openAt(b, b.TempDir()))
		}
	})
	b.Run("again", func(b *testing.B) {
		dir := b.TempDir()
		for b.Loop() {
			closeStore(b, openAt(b, dir))
		}
	})
}
