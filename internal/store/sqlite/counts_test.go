package sqlite

import (
	"testing"

	"tertulia/internal/count"
	"tertulia/internal/store"
)

func TestCounts(t *testing.T) {
	s := openStore(t, t.TempDir())
	mustAppend(t, s, post("r", "", "one"), post("r", "", "two"))
	if _, err := s.After(t.Context(), "r", 0, store.Limit{Events: 10, Bytes: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Room(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	if got := count.Sum(s.Counts().Append); got.Count != 1 || got.Sum <= 0 {
		t.Errorf("%d writes took %v s, want one and some time", got.Count, got.Sum)
	}
	if got := count.Sum(s.Counts().Read); got.Count != 2 || got.Sum <= 0 {
		t.Errorf("%d reads took %v s, want two and some time", got.Count, got.Sum)
	}
	for of, want := range map[string]uint64{count.ReadHistory: 1, count.ReadRoom: 1, count.ReadMember: 0} {
		if got := s.Counts().Reads.Of(of).Value(); got != want {
			t.Errorf("%d reads of %s, want %d", got, of, want)
		}
	}
}
