//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tertulia/internal/bench"
)

// TestBenchDefaultsArePublished: a scenario without flags is the one that
// docs/performance.md has figures of.
func TestBenchDefaultsArePublished(t *testing.T) {
	parser, parsed, err := newParser(IO{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	b := &parsed.Bench
	for i, test := range []struct {
		name string
		got  func() bench.Scenario
	}{
		{"idle", b.Idle.scenario},
		{"fanout", b.Fanout.scenario},
		{"ack", b.Ack.scenario},
		{"rooms", b.Rooms.scenario},
		{"reconnect", b.Reconnect.scenario},
	} {
		if _, err := parser.Parse([]string{"bench", test.name, "--spawn"}); err != nil {
			t.Fatal(err)
		}
		if got, want := test.got(), bench.Published()[i]; !reflect.DeepEqual(got, want) {
			t.Errorf("bench %s = %+v, want %+v", test.name, got, want)
		}
	}
}

func TestBenchUsage(t *testing.T) {
	for _, test := range []struct {
		name string
		args string
		want string
	}{
		{"no server", "bench all", "say which server to measure"},
		{"no process", "bench all --server ws://127.0.0.1:1", "say which server to measure"},
		{"both", "bench all --spawn --server ws://127.0.0.1:1", "--spawn"},
		{"another machine", "bench all --server ws://192.0.2.1:8000 --pid 1", "not a loopback address"},
		{"endless", "bench ack --spawn --duration 1h", "at most 5m"},
		{"no duration", "bench ack --spawn --duration 0s", "more than nothing"},
	} {
		code, _, stderr := tertulia(t.Context(), nil, strings.Fields(test.args)...)
		if code != exitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: %d with %q, want %d with %q", test.name, code, stderr, exitUsage, test.want)
		}
	}
}

// TestBenchSpawns measures a real server, and wants nothing left of it.
func TestBenchSpawns(t *testing.T) {
	temporary := t.TempDir()
	cmd := program(t, "main", strings.Fields("bench ack --spawn --json --senders 2 --inflight 2 --rate 50 --warm 10ms --duration 100ms")...)
	cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderrOf(err))
	}
	var report bench.Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	for _, f := range report {
		if f.Scenario != "ack" || f.Value <= 0 {
			t.Errorf("figure %+v, want one of ack that is more than 0", f)
		}
	}
	if len(report) != 2*6 {
		t.Errorf("%d figures, want 6 for each of two loads", len(report))
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func stderrOf(err error) string {
	if e, ok := err.(*exec.ExitError); ok {
		return string(e.Stderr)
	}
	return ""
}
