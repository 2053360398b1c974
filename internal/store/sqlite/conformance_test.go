package sqlite

import (
	"testing"

	"tertulia/internal/store"
	"tertulia/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		Open:   func(t testing.TB) store.Store { return openAt(t, t.TempDir()) },
		Reopen: func(t testing.TB, closed store.Store) store.Store { return openAt(t, closed.(*Store).dir) },
	})
}
