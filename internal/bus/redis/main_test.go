package redis

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// rueidis closes connections to servers that have left a cluster five seconds
// later, and looks once more up to a second after a connection was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(servicetest.M{M: m}, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"), goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}
