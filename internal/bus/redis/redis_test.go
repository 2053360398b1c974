package redis

import (
	"testing"

	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
)

func TestConformance(t *testing.T) {
	bustest.Run(t, func(*testing.T) bus.Bus { return New(Config{}) })
}
