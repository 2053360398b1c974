package sqlite

import (
	"bytes"
	"database/sql"
	_ "embed"
	"path/filepath"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
)

// schema1 is a database as the prototype left it: room general with ten
// messages of which two are trimmed, and room habitación with one.
//
//go:embed testdata/schema1.sql
var schema1 string

// oldFolder is a data folder with that database.
func oldFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(schema1); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUpgradeFromSchema1(t *testing.T) {
	dir := oldFolder(t)
	s := openAt(t, dir)
	defer func() { closeStore(t, s) }()
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	want := chat.Room{
		ID: "general", Exists: true, Settings: chat.Settings{Title: "General"}, CreatedAt: at.Add(5 * time.Second),
		Epoch: "epoch123", Head: 10, Floor: 3, Msgs: 10,
	}
	page := mustPage(t, s, "general")
	if page.Room != want || len(page.Events) != 8 {
		t.Errorf("general = %+v with %d events, want %+v with 8", page.Room, len(page.Events), want)
	}
	first := page.Events[0]
	if first.Seq != 3 || first.ID != 3 || first.Nonce != "n2" || first.Actor != (chat.User{ID: "1", Name: "Juan"}) || !first.At.Equal(want.CreatedAt) ||
		!bytes.Equal(first.Body, chat.MessageBody("message 2")) || first.Changed != 0 || first.Deleted {
		t.Errorf("the first event = %+v", first)
	}
	if got := query(t, s, `PRAGMA integrity_check`)[0]; got != "ok" {
		t.Errorf("integrity_check = %v, want ok", got)
	}
	wantLog(t, s, "habitación", 1)

	// What is old repeats, and changes as what is new does.
	old := post("general", "n5", "message 5")
	results, err := s.Append(t.Context(), []store.Append{old})
	if err != nil || !results[0].Duplicate || results[0].Event.Seq != 6 {
		t.Errorf("the repeat of an old message = %+v, %v, want the duplicate 6", results, err)
	}
	edit := post("general", "", "edited")
	edit.Kind, edit.Target = chat.KindMessageEdited, 6
	remove := edit
	remove.Kind, remove.Target, remove.Body = chat.KindMessageDeleted, 7, []byte(`{}`)
	mustAppend(t, s, edit, remove)
	if _, err := s.Mark(t.Context(), []store.Mark{{Room: "general", User: old.Actor, Read: 12}}); err != nil {
		t.Errorf("Mark: %v", err)
	}
	closeStore(t, s)
	s = openAt(t, dir)
	events := mustPage(t, s, "general").Events
	if e := events[3]; e.Changed != 11 || string(e.Body) != string(edit.Body) || e.Deleted {
		t.Errorf("the edited message = %+v", e)
	}
	if e := events[4]; e.Changed != 12 || string(e.Body) != `{}` || !e.Deleted {
		t.Errorf("the deleted message = %+v", e)
	}
	if _, m, err := s.Member(t.Context(), "general", "1"); err != nil || m.Mark.Read != 12 || m.Mark.ReadMsgs != 10 {
		t.Errorf("Member = %+v, %v, want 12 read with 10 messages", m, err)
	}
}

// A new file and an upgraded one have one schema.
func TestUpgradedSchemaIsThatOfANewFile(t *testing.T) {
	const schema = `SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema ORDER BY name)`
	upgraded, fresh := openStore(t, oldFolder(t)), openStore(t, t.TempDir())
	if got, want := query(t, upgraded, schema)[0], query(t, fresh, schema)[0]; got != want {
		t.Errorf("the upgraded schema is\n%s\nwant\n%s", got, want)
	}
}
