package room

import (
	"maps"
	"path/filepath"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/count"
	"tertulia/internal/store/sqlite"
)

// Each post ends in exactly one of the counts.
func TestCounts(t *testing.T) {
	st, err := sqlite.Open(t.Context(), sqlite.Config{Dir: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	events := local.New()
	defer events.Close()
	s := New(Config{Store: st, Bus: events, Initial: []chat.RoomID{"1"}, Fatal: func(err error) { t.Error(err) }})
	defer s.Close()
	answered := make(chan error)
	for _, p := range []Post{
		{Room: "1", Nonce: "n", Content: "hola"},
		{Room: "1", Nonce: "n", Content: "hola"},
		{Room: "1", Nonce: "n", Content: "adiós"},
		{Room: "1", Content: "by another way", Source: FromREST},
		{Room: "1", Content: " "},
		{Room: "nowhere", Content: "hola"},
	} {
		go s.Post(p, func(_ Posted, err error) { answered <- err })
		<-answered
	}

	c := s.Counts()
	if got, want := maps.Collect(c.Accepted), (map[string]uint64{"ws": 1, "rest": 1}); !maps.Equal(got, want) {
		t.Errorf("accepted %v, want %v", got, want)
	}
	if got := c.Deduplicated.Value(); got != 1 {
		t.Errorf("deduplicated %d, want 1", got)
	}
	rejected := maps.Collect(c.Rejected.All)
	maps.DeleteFunc(rejected, func(_ string, n uint64) bool { return n == 0 })
	want := map[string]uint64{string(chat.EmptyContent): 1, string(chat.IdempotencyConflict): 1, string(chat.RoomNotFound): 1}
	if !maps.Equal(rejected, want) {
		t.Errorf("rejected %v, want %v", rejected, want)
	}
	if got := count.Sum(c.Batch); got.Count != 5 || got.Sum != 5 {
		t.Errorf("batches: %d with %v rows, want 5 with 5", got.Count, got.Sum)
	}
	if got := count.Sum(c.StoreTime); got.Count != 5 || got.Sum <= 0 {
		t.Errorf("%d batches took %v s, want 5 and some time", got.Count, got.Sum)
	}
}
