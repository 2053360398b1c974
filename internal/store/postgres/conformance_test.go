package postgres

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
	"tertulia/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	var schemas atomic.Int64
	// A schema in the same database is made in a tenth of the time.
	url := sync.OnceValue(func() string { return servicetest.Database(t) })
	storetest.Run(t, storetest.Factory{
		Open: func(t testing.TB) store.Store {
			return openAt(t, Config{URL: url(), Schema: fmt.Sprintf("case %d", schemas.Add(1))})
		},
		Reopen: func(t testing.TB, closed store.Store) store.Store { return openAt(t, closed.(*Store).config) },
	})
}
