package migrate

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"tertulia/internal/services/servicetest"
	"tertulia/internal/store/postgres"
)

// The variables that make the test program a process that migrates, to be
// killed.
const (
	childFrom = "TERTULIA_TEST_FROM"
	childTo   = "TERTULIA_TEST_TO"
)

func TestMain(m *testing.M) {
	if from := os.Getenv(childFrom); from != "" {
		childMain(from, os.Getenv(childTo))
		return
	}
	goleak.VerifyTestMain(servicetest.M{M: m})
}

// childMain migrates in small batches and says a line after each.
func childMain(from, to string) {
	_, err := Run(context.Background(), Config{
		From:     from,
		To:       postgres.Config{URL: to},
		Progress: func(p Progress) { fmt.Println(p) },
		batch:    50,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
