//go:build linux

package bench

import (
	"math"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCPUTimeAgreesWithRusage burns some time and compares two accounts of
// it, which the kernel keeps apart.
func TestCPUTimeAgreesWithRusage(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	used := rusage(t)
	for rusage(t)-used < 50*time.Millisecond { // however long that takes on a busy machine
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	got, want := (after - before).Seconds(), (rusage(t) - used).Seconds()
	if math.Abs(got-want) > 0.02 || got < 0.01 {
		t.Errorf("processor time %.3f s, want about %.3f s", got, want)
	}
}

func rusage(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestMemoryOfSelf(t *testing.T) {
	debug.FreeOSMemory() // or the block would lie where garbage is
	before, err := memoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const grown = 32 << 20
	block := make([]byte, grown)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	after, err := memoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got := after.rss - before.rss; got < grown*9/10 || got > grown*2 {
		t.Errorf("RSS grew by %d, want about %d", got, grown)
	}
	if after.pss <= 0 || after.pss > after.rss {
		t.Errorf("PSS is %d of an RSS of %d", after.pss, after.rss)
	}
	if block[0] != 1 {
		t.Fatal("the block is gone")
	}
}

func TestNoSuchProcess(t *testing.T) {
	if _, err := cpuTime(1 << 22); err == nil { // PID_MAX_LIMIT is 2^22
		t.Error("cpuTime of a process that cannot be: no error")
	}
	if _, err := memoryOf(1 << 22); err == nil {
		t.Error("memoryOf a process that cannot be: no error")
	}
}

func TestNewTarget(t *testing.T) {
	self := os.Getpid()
	for _, test := range []struct {
		name, url string
		pid       int
		want      string // address, or a part of the error
	}{
		{"WebSocket URL", "ws://127.0.0.1:8000", self, "127.0.0.1:8000"},
		{"HTTP URL", "http://127.0.0.9:80", self, "127.0.0.9:80"},
		{"localhost", "ws://localhost:8000", self, "127.0.0.1:8000"},
		{"IPv6", "ws://[::1]:8000", self, "[::1]:8000"},
		{"IPv4 in IPv6", "ws://[::ffff:127.0.0.1]:8000", self, "127.0.0.1:8000"},
		{"another machine", "ws://192.0.2.1:8000", self, "not a loopback address"},
		{"a name", "ws://chat.example.org:8000", self, "not a loopback address"},
		{"every address", "ws://0.0.0.0:8000", self, "not a loopback address"},
		{"no port", "ws://127.0.0.1", self, "want ws://HOST:PORT"},
		{"TLS", "wss://127.0.0.1:8000", self, "want ws://HOST:PORT"},
		{"no URL", "127.0.0.1:8000", self, "server URL"},
		{"no process", "ws://127.0.0.1:8000", 1 << 22, "processor time of process"},
	} {
		got := ""
		if target, err := NewTarget(test.url, test.pid); err != nil {
			got = err.Error()
		} else {
			got = target.Addr.String()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: NewTarget(%q) = %s, want %s", test.name, test.url, got, test.want)
		}
	}
}

// What children used that have ended counts too.
func TestEndedTime(t *testing.T) {
	for _, c := range []struct {
		stat string
		want time.Duration
	}{
		{"12 (postgres: a) b) S 1 12 12 0 -1 4194560 100 200 0 0 11 12 30 7 20 0 1 0 100 0 0", 370 * time.Millisecond},
		{"12 (short) S 1 12", 0},
	} {
		if got := endedTime([]byte(c.stat)); got != c.want {
			t.Errorf("endedTime(%q) = %v, want %v", c.stat, got, c.want)
		}
	}
}
