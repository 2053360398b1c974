package oncluster

import (
	"slices"
	"testing"
)

func TestOutcome(t *testing.T) {
	passed, served := outcome("=== RUN   TestA\n\na cluster serves TestA\n--- PASS: TestA (0.10s)\n    --- PASS: TestA/TestB (0.00s)\n--- FAIL: TestC (0.00s)\n--- PASS: TestD (1.00s)\nPASS\n")
	if want := []string{"TestA", "TestD"}; !slices.Equal(passed, want) {
		t.Errorf("passed are %q, want %q", passed, want)
	}
	if want := []string{"TestA"}; !slices.Equal(served, want) {
		t.Errorf("served are %q, want %q", served, want)
	}
}

func TestNames(t *testing.T) {
	if got, want := names("TestA\nExampleB\nTestC\nok  \tpackage\t0.1s\n"), []string{"TestA", "TestC"}; !slices.Equal(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
}

func TestTurn(t *testing.T) {
	turn := Turn{Addrs: []string{"a", "b"}}
	for _, want := range []string{"a", "b", "a"} {
		if got := turn.Next(); got != want {
			t.Errorf("next is %s, want %s", got, want)
		}
	}
}
