package cache

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servicetest.M{M: m}) }
