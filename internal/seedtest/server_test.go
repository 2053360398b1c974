package seedtest

import (
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

	"tertulia/internal/capture"
	"tertulia/internal/oncluster"
	"tertulia/internal/services/servicetest"

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
		args = append(args, "-race", "-gcflags=modernc.org/...=-d=checkptr=0", "-gcflags=modernc.org/sqlite/lib=-race=false") // as make test has it
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
	shared  struct {
		sync.Mutex
		*server
	}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "tertulia-seedtest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	// Nearly all of the time is spent waiting for a server, which several
	// nodes are less fit for.
	parallel := "16"
	if oncluster.Now() {
		parallel = "6"
	}
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := servicetest.Run(m)
	if s := shared.server; s != nil {
		s.kill()
		if strings.Contains(s.log(), "DATA RACE") {
			fmt.Fprintf(os.Stderr, "the shared server has a data race:\n%s", s.log())
			return 1
		}
	}
	return code
}

// anyServer returns the address of the server that most tests share; each
// test has rooms of its own on it.
func anyServer(t *testing.T) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := newServer(t, filepath.Join(scratch, "shared"))
		if err != nil {
			t.Fatalf("start the shared server: %v", err)
		}
		shared.server = s
	}
	if oncluster.Now() {
		oncluster.Asked(t)
	}
	return shared.addr
}

// server is what clients connect to: a running tertulia process, or several
// that are nodes of a cluster.
type server struct {
	addr  string // of the process, or of some node; see node
	nodes []*process
}

// process is one running tertulia process.
type process struct {
	addr string
	line []string // arguments
	dir  string   // where it runs
	env  []string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

// startServer runs a server of the test's own with these arguments of serve.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s, err := newServer(t, t.TempDir(), args...)
	return s.until(t, err)
}

// startServerAt runs one process, on a directory and an address.
func startServerAt(t *testing.T, dir, addr string, args ...string) *server {
	t.Helper()
	s, err := launch(dir, addr, args...)
	return s.until(t, err)
}

// until has a server that was started, unless there is an error, end with the
// test.
func (s *server) until(t *testing.T, err error) *server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if strings.Contains(s.log(), "DATA RACE") {
			t.Error("the server has a data race")
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.logTail())
		}
	})
	return s
}

// newServer starts one process that keeps its data in dir, or a cluster.
func newServer(t *testing.T, dir string, args ...string) (*server, error) {
	if oncluster.Now() {
		oncluster.Asked(t)
		return startCluster(t, args...)
	}
	return launch(dir, freeAddr(), args...)
}

// launch starts one process and waits until it is ready. With an empty addr it
// is started in dir as a developer would, with nothing said.
func launch(dir, addr string, args ...string) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	line := []string{"serve"}
	if addr != "" {
		line = append(line, "--data-dir", dir, "--listen", addr)
	} else {
		addr = "localhost:8000"
	}
	p := &process{addr: addr, line: append(line, args...), dir: dir, log: new(logBuffer)}
	return &server{addr: addr, nodes: []*process{p}}, p.start()
}

// start starts a process that is not there, or not any more, and waits until
// it is ready.
func (p *process) start() error {
	path, err := binary()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(path, p.line...)
	p.cmd.Dir = p.dir
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.done = done
	go func() {
		p.err = p.cmd.Wait()
		close(done)
	}()
	if err := p.awaitReady(); err != nil {
		p.kill()
		return fmt.Errorf("%w\n%s", err, p.log.tail(4<<10))
	}
	return nil
}

func (p *process) awaitReady() error {
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.done:
			return fmt.Errorf("the server ended at once: %v", p.err)
		default:
		}
		if resp, err := http.Get("http://" + p.addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the server at %s is not ready after %v", p.addr, startLimit)
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// each does something with all processes at the same time.
func (s *server) each(do func(*process)) {
	var doing sync.WaitGroup
	for _, p := range s.nodes {
		doing.Go(func() { do(p) })
	}
	doing.Wait()
}

// kill ends the server as a crash would, and waits for its end.
func (s *server) kill() { s.each((*process).kill) }

// signal has the server told something.
func (s *server) signal(sig os.Signal) { s.each(func(p *process) { p.cmd.Process.Signal(sig) }) }

// again starts a server that has ended, where it was and on what it has kept.
func (s *server) again(t *testing.T) {
	t.Helper()
	s.each(func(p *process) {
		if err := p.start(); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

// terminate asks the server to end and waits; it must end with status 0.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	s.signal(syscall.SIGTERM)
	s.wantEnd(t)
}

// wantEnd waits for a server that has been asked to end, once: a second
// signal would end it at once.
func (s *server) wantEnd(t *testing.T) {
	t.Helper()
	for _, p := range s.nodes {
		select {
		case <-p.done:
		case <-time.After(2 * patience):
			t.Fatalf("the server is still there %v after SIGTERM", 2*patience)
		}
		if p.err != nil {
			t.Fatalf("the server ended with %v after SIGTERM, want status 0", p.err)
		}
	}
}

// log returns what the server has written, process by process.
func (s *server) log() string {
	var all strings.Builder
	for _, p := range s.nodes {
		all.WriteString(p.log.String())
	}
	return all.String()
}

// logTail is the end of what each process has written.
func (s *server) logTail() string {
	var all strings.Builder
	for _, p := range s.nodes {
		fmt.Fprintf(&all, "%s:\n%s", p.addr, p.log.tail(4<<10))
	}
	return all.String()
}

// sum adds up a figure of the processes.
func (s *server) sum(of func(*process) int) (n int) {
	for _, p := range s.nodes {
		n += of(p)
	}
	return n
}

// residentBytes is the memory that the server holds, from /proc.
func (s *server) residentBytes(t *testing.T) int {
	t.Helper()
	return s.sum(func(p *process) int {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		pages, err := strconv.Atoi(strings.Fields(string(b))[1])
		if err != nil {
			t.Fatal(err)
		}
		return pages * os.Getpagesize()
	})
}

// wantGrownBy holds that the server has not come to hold so many bytes more,
// for each process.
func (s *server) wantGrownBy(t *testing.T, before, limit int) {
	t.Helper()
	limit *= len(s.nodes)
	if underRace {
		limit *= 8
	}
	grown := s.residentBytes(t) - before
	t.Logf("the server grew by %d KiB", grown>>10)
	if grown > limit {
		t.Errorf("the server grew by %d MiB, want at most %d", grown>>20, limit>>20)
	}
}

// openFiles counts the server's file descriptors.
func (s *server) openFiles(t *testing.T) int {
	t.Helper()
	return s.sum(func(p *process) int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	})
}

// logBuffer keeps what a process writes.
type logBuffer struct{ capture.Buffer }

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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Host = node(req.URL.Host)
	req.Host = req.URL.Host
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
