package client

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// serving has PostgreSQL and Redis, which end before it is looked what is left
// over.
type serving struct{ *testing.M }

func (s serving) Run() int { return servicetest.Run(s.M) }

// No goroutine outlives the rooms of the tests (E-063).
func TestMain(m *testing.M) { goleak.VerifyTestMain(serving{m}) }
