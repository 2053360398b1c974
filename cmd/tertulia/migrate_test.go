package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tertulia/internal/services/servicetest"
	"tertulia/internal/store/postgres"
)

// migrated runs tertulia migrate and looks that it shows no password.
func migrated(t *testing.T, env []string, database string, args ...string) (code exitCode, stdout, stderr string) {
	t.Helper()
	code, stdout, stderr = tertulia(t.Context(), env, append([]string{"migrate"}, args...)...)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := u.User.Password(); strings.Contains(stdout+stderr, password) {
		t.Errorf("migrate %q shows the password: %s%s", args, stdout, stderr)
	}
	return code, stdout, stderr
}

func TestMigrate(t *testing.T) {
	dir, database := dataFolder(t), servicetest.Database(t)
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(database+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := migrated(t, []string{"TERTULIA_DATABASE_URL_FILE=" + file}, database, "--from", dir)
	if code != exitOK || !strings.HasPrefix(stdout, "1 rooms, 3 events moved to PostgreSQL at 127.0.0.1:") ||
		!strings.Contains(stderr, "copied 3 of 3 rows of events\n") || !strings.Contains(stderr, "checked 3 of 3 rows of events\n") {
		t.Fatalf("migrate = %d, %q, %q, want 0 and what was moved", code, stdout, stderr)
	}
	code, stdout, stderr = migrated(t, nil, database, "--from", dir, "--to", database)
	if code != exitOK || !strings.Contains(stdout, " was moved before: 1 rooms, 3 events ") || stderr != "" {
		t.Errorf("migrate again = %d, %q, %q, want 0", code, stdout, stderr)
	}
	code, _, stderr = tertulia(t.Context(), nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir)
	if code != exitFailure || !strings.Contains(stderr, "was moved to PostgreSQL at ") || !strings.Contains(stderr, "\nhint: serve that one, or take the folder back with: tertulia migrate --from "+dir+" --undo") {
		t.Errorf("serve = %d, %q, want 1 and what to do", code, stderr)
	}
	code, stdout, stderr = migrated(t, nil, database, "--from", dir, "--undo")
	if code != exitOK || stdout != dir+" may be served again\n" || stderr != "" {
		t.Errorf("migrate --undo = %d, %q, %q, want 0", code, stdout, stderr)
	}
	code, stdout, stderr = migrated(t, nil, database, "--from", dir, "--to", database)
	if code != exitFailure || stdout != "" || !strings.Contains(stderr, "is not free for this migration") || !strings.Contains(stderr, "\nhint: ") {
		t.Errorf("migrate into what is full = %d, %q, %q, want 1 and a hint", code, stdout, stderr)
	}
}

// Ctrl-C says how it goes on, and it goes on.
func TestMigrateIsInterrupted(t *testing.T) {
	dir, database := dataFolder(t), servicetest.Database(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, stdout, stderr := tertulia(ctx, nil, "migrate", "--from", dir, "--to", database)
	if code != exitInterrupted || stdout != "" || stderr != "interrupted; run it again to go on where it was, or go back with --undo\n" {
		t.Errorf("migrate = %d, %q, %q, want 130 and how it goes on", code, stdout, stderr)
	}
	if code, _, stderr := migrated(t, nil, database, "--from", dir, "--to", database); code != exitOK {
		t.Errorf("migrate again = %d, %q, want 0", code, stderr)
	}
}

// The schema is named as for serve, and by nothing in the URL.
func TestMigrateToASchema(t *testing.T) {
	dir, database := dataFolder(t), servicetest.Database(t)
	code, stdout, stderr := migrated(t, nil, database, "--from", dir, "--to", database+"&search_path=town")
	if code != exitFailure || stdout != "" || !strings.Contains(stderr, "search_path") || !strings.Contains(stderr, "database.schema") {
		t.Errorf("migrate by search_path = %d, %q, %q, want 1 and database.schema", code, stdout, stderr)
	}
	code, stdout, stderr = migrated(t, []string{"TERTULIA_DATABASE_SCHEMA=town"}, database, "--from", dir, "--to", database)
	if code != exitOK || !strings.Contains(stdout, ", schema town: ") {
		t.Fatalf("migrate = %d, %q, %q, want 0 and the schema", code, stdout, stderr)
	}
	s, err := postgres.Open(t.Context(), postgres.Config{URL: database, Schema: "town"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if room, err := s.Room(t.Context(), "1"); err != nil || room.Head != 3 {
		t.Errorf("Room = %+v, %v, want three events", room, err)
	}
}

func TestMigrateRefuses(t *testing.T) {
	dir, database := dataFolder(t), servicetest.Database(t)
	changed := func(change func(*url.URL)) string {
		u, err := url.Parse(database)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	const nowhere = "postgres://tertulia:secret-word@127.0.0.1:1/tertulia"
	for _, test := range []struct {
		name string
		args []string
		code exitCode
		says string
	}{
		{"no database", []string{"--from", dir}, exitUsage, "name the database by --to or TERTULIA_DATABASE_URL"},
		{"no data", []string{"--from", dir + "0", "--to", nowhere}, exitNotFound, "there is no database"},
		{"no way back", []string{"--from", dir, "--undo"}, exitFailure, "was not moved"},
		{"no server", []string{"--from", dir, "--to", nowhere}, exitUnreachable, "cannot reach the database"},
		{"another URL", []string{"--from", dir, "--to", "https://user:secret-word@example.org"}, exitFailure, "read the database's URL"},
		{"no host", []string{"--from", dir, "--to", changed(func(u *url.URL) { u.Host = "nowhere.invalid" })}, exitFailure, "connect to the database"},
		{"another password", []string{"--from", dir, "--to", changed(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "secret-word") })}, exitFailure, "password authentication failed"},
		{"another database", []string{"--from", dir, "--to", changed(func(u *url.URL) { u.Path = "/nowhere" })}, exitFailure, `database "nowhere" does not exist`},
		{"a file for a folder", []string{"--from", dir + "/tertulia.db", "--to", database}, exitFailure, "not a directory"},
	} {
		code, stdout, stderr := migrated(t, nil, nowhere, test.args...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) || !strings.Contains(stderr, "\nhint: ") {
			t.Errorf("%s: %d with %q, %q, want %d, %q and a hint", test.name, code, stdout, stderr, test.code, test.says)
		}
	}
	if code, _, stderr := tertulia(t.Context(), nil, "backup", "--data-dir", dir, dir+".backup"); code != exitOK {
		t.Errorf("backup after all that: %d, %s", code, stderr)
	}
}
