package client

import (
	"testing"

	"go.uber.org/goleak"
)

// No goroutine outlives the rooms of the tests (E-063).
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
