package sqlite

import (
	"errors"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store/dump"
)

func openSource(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := OpenSource(t.Context(), dir)
	if err != nil {
		t.Fatalf("OpenSource: %v", err)
	}
	return s
}

func closeSource(t *testing.T, s *Source) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Every table is read by rising keys, from any key on.
func TestSourceRows(t *testing.T) {
	s := openAt(t, t.TempDir())
	mustAppend(t, s, post("b", "", "no nonce"), post("a", "n1", "one"), post("a", "n2", "two"))
	remove := post("a", "", "")
	remove.Kind, remove.Target, remove.Body = chat.KindMessageDeleted, 1, []byte(`{}`)
	mustAppend(t, s, remove)
	if err := s.Revoke(t.Context(), "ana", s.now()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	source := openSource(t, s.dir)
	defer closeSource(t, source)
	for table, want := range map[*dump.Table]int{dump.Rooms: 2, dump.Events: 4, dump.Accounts: 1, dump.Members: 0, dump.RevokedTokens: 0} {
		var rows []dump.Row
		for row, err := range source.Rows(t.Context(), table, nil) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if n, err := source.Count(t.Context(), table); len(rows) != want || n != int64(want) || err != nil {
			t.Errorf("%s has %d rows, counted %d (%v), want %d", table.Name, len(rows), n, err, want)
		}
		for i, row := range rows {
			n := 0
			for _, err := range source.Rows(t.Context(), table, table.KeyOf(row)) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != len(rows)-i-1 {
				t.Errorf("after row %d of %s are %d, want %d", i, table.Name, n, len(rows)-i-1)
			}
		}
	}
	if name, err := source.Name(t.Context(), 2); name != "a" || err != nil {
		t.Errorf("Name(2) = %q, %v, want a", name, err)
	}
}

// A store that was moved is not opened; only its way back makes it usable, as
// another life.
func TestLeaveAndReturn(t *testing.T) {
	s := openAt(t, t.TempDir())
	first := mustAppend(t, s, post("general", "a", "one"))[0]
	closeStore(t, s)
	source := openSource(t, s.dir)
	if _, err := Open(t.Context(), Config{Dir: s.dir}); !is[*LockedError](err) {
		t.Errorf("Open beside a source = %v, want a *LockedError", err)
	}
	before, err := source.Origin(t.Context())
	if err != nil || before.Epoch != s.Epoch() || before.NextID <= first.ID {
		t.Errorf("Origin = %+v, %v, want epoch %s and ids above %d", before, err, s.Epoch(), first.ID)
	}
	if err := source.Return(t.Context()); !errors.Is(err, ErrNotMoved) {
		t.Errorf("Return of what is at home = %v, want ErrNotMoved", err)
	}
	for _, to := range []string{"there", "elsewhere", "there"} { // nothing has arrived yet
		if err := source.Leave(t.Context(), to, "a place"); err != nil {
			t.Fatalf("Leave: %v", err)
		}
	}
	if err := source.Arrive(t.Context()); err != nil {
		t.Fatalf("Arrive: %v", err)
	}
	if err := source.Leave(t.Context(), "elsewhere", "another place"); !is[*MovedError](err) {
		t.Errorf("Leave to another store = %v, want a *MovedError", err)
	}
	closeSource(t, source)
	_, err = Open(t.Context(), Config{Dir: s.dir})
	if moved, ok := errors.AsType[*MovedError](err); !ok || moved.To != "a place" {
		t.Fatalf("Open = %v, want a *MovedError to a place", err)
	}
	source = openSource(t, s.dir)
	if err := source.Return(t.Context()); err != nil {
		t.Fatalf("Return: %v", err)
	}
	after, err := source.Origin(t.Context())
	if err != nil || after.Epoch == before.Epoch || after.StoreID == before.StoreID || after.NextID <= before.NextID {
		t.Errorf("Origin = %+v, %v, want another life than %+v", after, err, before)
	}
	closeSource(t, source)
	wantLog(t, openStore(t, s.dir), "general", 1)
}

// A store that has not arrived goes on where it was, with the cursors that its
// clients have. What was copied of it is not taken for a part of it again.
func TestReturnBeforeArriving(t *testing.T) {
	s := openAt(t, t.TempDir())
	mustAppend(t, s, post("general", "a", "one"))
	closeStore(t, s)
	source := openSource(t, s.dir)
	before, err := source.Origin(t.Context())
	if err := errors.Join(err, source.Leave(t.Context(), "there", "a place"), source.Return(t.Context())); err != nil {
		t.Fatal(err)
	}
	after, err := source.Origin(t.Context())
	if err != nil || after.Epoch != before.Epoch || after.NextID != before.NextID || after.StoreID == before.StoreID {
		t.Errorf("Origin = %+v, %v, want %+v but for the id", after, err, before)
	}
	closeSource(t, source)
	wantLog(t, openStore(t, s.dir), "general", 1)
}

func TestOpenSourceMakesNothing(t *testing.T) {
	if _, err := OpenSource(t.Context(), t.TempDir()); !is[*NoStoreError](err) {
		t.Errorf("OpenSource of an empty folder = %v, want a *NoStoreError", err)
	}
}
