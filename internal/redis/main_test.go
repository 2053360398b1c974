package redis

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// serving has servers that end before it is looked what is left over.
type serving struct{ *testing.M }

func (s serving) Run() int { return servicetest.Run(s.M) }

// rueidis, which tries at first whether a server is one of a cluster, looks once
// more up to a second after a connection was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(serving{m}, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}
