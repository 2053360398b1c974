package client

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
)

// Both stores give back what they were given, and nothing else.
func TestStores(t *testing.T) {
	changed := uint64(3)
	kept := Kept{
		Cursors: map[chat.RoomID]chat.Cursor{"1": {Epoch: "e1", Seq: 7, Tag: 5, HasTag: true}, "sala:ñ": {Epoch: "e1"}},
		Posts: []KeptPost{
			{Room: "1", Kind: "post", Nonce: "n1", Text: "di \"hola\"\n👩‍👩‍👧", ExpiresAt: time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC), Unknown: true},
			{Room: "1", Kind: "edit", Nonce: "n2", Text: "x", MessageID: 40, IfChanged: &changed},
			{Room: "2", Kind: "delete", Nonce: "n3", MessageID: 41},
		},
	}
	path := filepath.Join(t.TempDir(), "state.json")
	for name, again := range map[string]func() Store{
		"memory": func() func() Store { m := &MemoryStore{}; return func() Store { return m } }(),
		"file":   func() Store { return NewFileStore(path) },
	} {
		if got, err := again().Load(); err != nil || len(got.Cursors) != 0 || len(got.Posts) != 0 {
			t.Errorf("%s: an empty store has %+v, %v", name, got, err)
		}
		for _, want := range []Kept{{Cursors: map[chat.RoomID]chat.Cursor{"0": {Epoch: "e"}}}, kept} {
			if err := again().Save(want); err != nil {
				t.Fatal(err)
			}
			if got, err := again().Load(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got\n%+v, %v, want\n%+v", name, got, err, want)
			}
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are there, %v, want the state alone", len(left), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v, want 0600: it holds messages", info.Mode(), err)
	}
}

// A file that Save has not written is an error, and stays as it is.
func TestFileStoreRefusesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for name, text := range map[string]string{
		"empty": "", "not JSON": "x", "another version": `{"version":2,"cursors":{},"posts":[]}`, "no cursor": `{"version":1,"cursors":{"1":"x"},"posts":[]}`,
		"cut off": `{"version":1,"cursors":{"1":"e:1"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewFileStore(path).Load(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Load says %v, want an error with the path", name, err)
		}
		if _, err := Open("ws://127.0.0.1:1", WithStore(NewFileStore(path))); err == nil {
			t.Errorf("%s: a client opens", name)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%s: the file is changed", name)
		}
	}
	if err := NewFileStore(filepath.Join(path, "below")).Save(Kept{}); err == nil {
		t.Error("a store below a file saves")
	}
}

// failingStore cannot save.
type failingStore struct{ MemoryStore }

func (*failingStore) Save(Kept) error { return os.ErrPermission }

// A post that cannot be kept is not sent.
func TestPostThatCannotBeKept(t *testing.T) {
	c, err := Open("ws://127.0.0.1:1", WithUser(chat.User{ID: "1", Name: "Juan"}), WithStore(&failingStore{}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := c.Room("1").Post("x")
	if _, err := o.Wait(t.Context()); o.State() != PostFailed || err == nil || !strings.Contains(err.Error(), "could not be kept") {
		t.Errorf("the post is %v, %v", o.State(), err)
	}
}

// A handle of a post: canceled, retried, expired.
func TestOutgoing(t *testing.T) {
	c, err := Open("ws://127.0.0.1:1", WithUser(chat.User{ID: "1", Name: "Juan"}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := c.Room("1").PostAs("n1", "x")
	if !o.Cancel() || o.State() != PostFailed || o.Cancel() {
		t.Errorf("a canceled post is %v", o.State())
	}
	o.Retry()
	if o.State() != PostPending || o.Nonce() != "n1" || o.Text() != "x" || o.Room() != "1" || len(c.Outbox()) != 1 {
		t.Errorf("a post that is tried again is %v", o.State())
	}
	o.Retry()
	if len(c.Outbox()) != 1 {
		t.Error("a pending post is put into the outbox twice")
	}
}
