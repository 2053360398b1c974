package client

import (
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
)

// No goroutine outlives the rooms of the tests (E-063).
func TestMain(m *testing.M) { goleak.VerifyTestMain(servicetest.M{M: m}) }
