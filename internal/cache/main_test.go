package cache

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// serving has servers that end before it is looked what is left over.
type serving struct{ *testing.M }

func (s serving) Run() int { return servicetest.Run(s.M) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(serving{m}) }
