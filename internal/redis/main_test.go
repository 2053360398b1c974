package redis

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// rueidis, which tries at first whether a server is one of a cluster, looks once
// more up to a second after a connection was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servicetest.M{M: m}, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}
