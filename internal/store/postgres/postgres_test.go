package postgres

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servicetest.M{M: m}) }

// openStore opens a store in a database of its own.
func openStore(t testing.TB) *Store {
	t.Helper()
	return openAt(t, Config{URL: servicetest.Database(t)})
}

func openAt(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
