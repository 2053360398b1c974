package seedtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	// The binary is not a dependency that go test knows of. With this its
	// cached results end when the server changes.
	_ "tertulia/internal/server"
	"tertulia/internal/services"
)

// binary is the path of the tertulia binary, built once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		return path, nil // built by the process that started this one
	}
	path := filepath.Join(scratch, "tertulia")
	args := []string{"build", "-o", path}
	if underRace {
		args = append(args, "-race", "-gcflags=modernc.org/...=-d=checkptr=0") // as make test has it
	}
	out, err := exec.Command("go", append(args, "tertulia/cmd/tertulia")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// binaryVariable names the binary to a test process in a namespace.
const binaryVariable = "SEEDTEST_BINARY"

// scratch is a directory for the whole run, and shared the server of most
// tests.
var (
	scratch string
	shared  = sync.OnceValues(func() (*server, error) {
		return launch(filepath.Join(scratch, "shared"), freeAddr())
	})
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "tertulia-seedtest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	// Nearly all of the time is spent waiting for a server.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := stopNodes(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if sharedUsed.Load() {
		if s, err := shared(); err == nil {
			s.kill()
			if strings.Contains(s.log.String(), "DATA RACE") {
				fmt.Fprintf(os.Stderr, "the shared server has a data race:\n%s", s.log)
				return 1
			}
		}
	}
	return code
}

var sharedUsed atomic.Bool

// anyServer returns the address of the server that most tests share, or of
// the cluster; each test has rooms of its own on it.
func anyServer(t *testing.T) string {
	t.Helper()
	if onCluster {
		startNodes(t)
		return everywhere
	}
	return sharedServer(t).addr
}

func sharedServer(t *testing.T) *server {
	t.Helper()
	sharedUsed.Store(true)
	s, err := shared()
	if err != nil {
		t.Fatalf("start the shared server: %v", err)
	}
	return s
}

// server is one running tertulia process.
type server struct {
	addr string
	dir  string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// startServer runs a server of the test's own, on a directory that may hold
// the data of an earlier one.
func startServer(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return startServerAt(t, dir, freeAddr(), args...)
}

func startServerAt(t *testing.T, dir, addr string, args ...string) *server {
	t.Helper()
	s, err := launch(dir, addr, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if strings.Contains(s.log.String(), "DATA RACE") {
			t.Error("the server has a data race")
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log.tail(4<<10))
		}
	})
	return s
}

// launch starts a server and waits until it is ready. With an empty addr it
// is started in dir as a developer would, with nothing said.
func launch(dir, addr string, args ...string) (*server, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	line := []string{"serve"}
	if addr != "" {
		line = append(line, "--data-dir", dir, "--listen", addr)
	} else {
		addr = "localhost:8000"
	}
	s := &server{addr: addr, dir: dir, log: new(logBuffer), done: make(chan struct{})}
	s.cmd = exec.Command(path, append(line, args...)...)
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.awaitReady(); err != nil {
		s.kill()
		return nil, fmt.Errorf("%w\n%s", err, s.log.tail(4<<10))
	}
	return s, nil
}

func (s *server) awaitReady() error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.done:
			return fmt.Errorf("the server ended at once: %v", s.err)
		default:
		}
		if resp, err := http.Get("http://" + s.addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the server at %s is not ready after %v", s.addr, patience)
}

// kill ends the process as a crash would, and waits for its end.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// terminate asks the process to end and waits; it must end with status 0.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.wantEnd(t)
}

// wantEnd waits for a process that has been asked to end, once: a second
// signal would end it at once.
func (s *server) wantEnd(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(2 * patience):
		t.Fatalf("the server is still there %v after SIGTERM", 2*patience)
	}
	if s.err != nil {
		t.Fatalf("the server ended with %v after SIGTERM, want status 0", s.err)
	}
}

// residentBytes is the memory that the process holds, from /proc.
func (s *server) residentBytes(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// wantGrownBy holds that the process has not come to hold so many bytes more.
func (s *server) wantGrownBy(t *testing.T, before, limit int) {
	t.Helper()
	if underRace {
		limit *= 8
	}
	grown := s.residentBytes(t) - before
	t.Logf("the server grew by %d KiB", grown>>10)
	if grown > limit {
		t.Errorf("the server grew by %d MiB, want at most %d", grown>>20, limit>>20)
	}
}

// openFiles counts the process's file descriptors.
func (s *server) openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// logBuffer keeps what a process writes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr() string {
	addr, err := services.FreeAddr()
	if err != nil {
		panic(err)
	}
	return addr
}

var rooms atomic.Int64

// newRoom is a room that no other test of this run uses.
func newRoom() string { return fmt.Sprintf("room-%d", rooms.Add(1)) }

// httpGet returns status, headers and body of a plain request.
func httpGet(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if strings.Contains(url, everywhere) {
		url = strings.Replace(url, everywhere, node(everywhere), 1)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// stats is the body of GET /ws/stats.
type stats struct {
	TotalConnections int                  `json:"total_connections"`
	TotalRooms       int                  `json:"total_rooms"`
	Rooms            map[string]roomStats `json:"rooms"`
}

type roomStats struct {
	Connections int `json:"connections"`
	Users       int `json:"users"`
}

func getStats(t *testing.T, addr string) stats {
	t.Helper()
	resp, body := httpGet(t, "http://"+addr+"/ws/stats")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /ws/stats = %s %s, want 200", resp.Status, body)
	}
	var s stats
	if err := json.Unmarshal([]byte(body), &s, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("GET /ws/stats = %s: %v", body, err)
	}
	return s
}

// eventually waits until a condition holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
