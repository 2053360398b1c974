package redis

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// shared has servers that end before it is looked what is left over.
type shared struct{ *testing.M }

func (s shared) Run() int { return servicetest.Run(s.M) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(shared{m}) }
