package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

// dataFolder is a data folder with three messages in room 1.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := make([]store.Append, 3)
	for i := range rows {
		rows[i] = store.Append{Room: "1", Kind: chat.KindMessage, Actor: chat.User{ID: "1", Name: "Juan"}, Body: chat.MessageBody("hola"), MayCreate: true}
	}
	if _, err := s.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBackupAndRestore(t *testing.T) {
	dir, file := dataFolder(t), filepath.Join(t.TempDir(), "backup.db")
	code, stdout, stderr := tertulia(t.Context(), nil, "backup", "--data-dir", dir, file)
	if want := file + ": 1 rooms, 3 events, 0."; code != exitOK || stderr != "" || !strings.HasPrefix(stdout, want) {
		t.Fatalf("backup = %d, %q, %q, want 0 and %s…", code, stdout, stderr, want)
	}
	code, stdout, stderr = tertulia(t.Context(), nil, "restore", "--data-dir", dir, file)
	if code != exitFailure || stdout != "" || !strings.Contains(stderr, "is not empty") || !strings.Contains(stderr, "hint: ") || !strings.Contains(stderr, "--set-aside") {
		t.Errorf("restore over data = %d, %q, %q, want 1 and a hint", code, stdout, stderr)
	}
	code, stdout, stderr = tertulia(t.Context(), nil, "restore", "--data-dir", dir, "--set-aside", file)
	if want := dir + ": 1 rooms, 3 events, 0."; code != exitOK || !strings.HasPrefix(stdout, want) || !strings.HasPrefix(stderr, "what was there is now "+dir+"/tertulia.db.2") {
		t.Errorf("restore --set-aside = %d, %q, %q, want 0 and %s…", code, stdout, stderr, want)
	}
	if found, err := filepath.Glob(dir + "/tertulia.db.*Z"); err != nil || len(found) != 1 {
		t.Errorf("in the folder are %v (%v), want the old database", found, err)
	}
}

// goodAndChanged are a backup of a data folder, and one that says something else.
func goodAndChanged(t *testing.T, dir string) (good, changed string) {
	t.Helper()
	good, changed = filepath.Join(t.TempDir(), "good.db"), filepath.Join(t.TempDir(), "changed.db")
	if code, _, stderr := tertulia(t.Context(), nil, "backup", "--data-dir", dir, good); code != exitOK {
		t.Fatalf("backup = %d, %s", code, stderr)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, bytes.Replace(text, []byte("hola"), []byte("halo"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return good, changed
}

func TestBackupAndRestoreRefuse(t *testing.T) {
	dir := dataFolder(t)
	here := filepath.Join(t.TempDir(), "here")
	if err := os.WriteFile(here, []byte("something"), 0o600); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	good, changed := goodAndChanged(t, dir)
	for _, test := range []struct {
		name string
		args []string
		code exitCode
		says string
	}{
		{"a backup in the data folder", []string{"backup", filepath.Join(dir, "b.db")}, exitUsage, "would be lost with it"},
		{"a backup below the data folder", []string{"backup", filepath.Join(below, "b.db")}, exitUsage, "would be lost with it"},
		{"a backup in no folder", []string{"backup", here + "0/b.db"}, exitFailure, "no such file or directory\nhint: make the folder first"},
		{"a backup of a file", []string{"backup", "--data-dir", here, here + "2"}, exitFailure, "not a directory"},
		{"a backup over a file", []string{"backup", here}, exitFailure, "exists, and is not overwritten"},
		{"a backup of nothing", []string{"backup", "--data-dir", here + "0", here + "2"}, exitNotFound, "there is no database"},
		{"a restore of nothing", []string{"restore", here + "2"}, exitNotFound, "2\nhint: name a file that tertulia backup has written"},
		{"a restore of a folder", []string{"restore", "--set-aside", filepath.Dir(here)}, exitFailure, "is no whole backup"},
		{"a restore into a file", []string{"restore", "--data-dir", here, good}, exitFailure, "not a directory"},
		{"a restore of something else", []string{"restore", "--set-aside", here}, exitFailure, "is no whole backup"},
		{"a restore of what is served", []string{"restore", "--set-aside", filepath.Join(dir, "tertulia.db")}, exitFailure, "is no whole backup"},
		{"a restore of a changed backup", []string{"restore", "--set-aside", changed}, exitFailure, "is damaged, or no database of Tertulia: its SHA-256 begins with "},
	} {
		args := test.args
		if args[1] != "--data-dir" {
			args = append(args, "--data-dir", dir)
		}
		code, stdout, stderr := tertulia(t.Context(), nil, args...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) || !strings.Contains(stderr, "\nhint: ") {
			t.Errorf("%s: %d with %q, %q, want %d, %q and a hint", test.name, code, stdout, stderr, test.code, test.says)
		}
	}
	if code, _, stderr := tertulia(t.Context(), nil, "backup", "--data-dir", dir, here+"3"); code != exitOK {
		t.Errorf("after all that: %d, %s", code, stderr)
	}
}
