package cluster

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What docs/operations.md shows is what the cluster is tested with.
func TestProxyIsTheDocumentedOne(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## Several nodes\n")
	_, rest, _ = strings.Cut(rest, "```nginx\n")
	got, _, _ := strings.Cut(rest, "```")
	if want := proxyConfig("80", []string{"10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"}); got != want {
		t.Errorf("docs/operations.md shows\n%s\nwant\n%s", got, want)
	}
}

// What `make cluster` runs: it starts, says where, serves through the proxy,
// starts a node again that was killed, and leaves nothing.
func TestRun(t *testing.T) {
	r := startRun(t)
	node := r.want(`^Node 2 +http://\S+ \(process (\d+)\)`)
	proxy := r.want(`^Proxy +(http://\S+)`)[1]
	r.want(`^Next `)
	post(t, proxy, "hola")
	if out, err := exec.Command("kill", "-9", node[1]).CombinedOutput(); err != nil {
		t.Fatalf("kill: %v\n%s", err, out)
	}
	r.want(`^Node 2 +has ended`) // one that dies may still take a request, which no proxy sends twice
	for range 6 {                // two rounds: a dead node is passed over
		post(t, proxy, "sigo aquí")
	}
	r.want(`^Node 2 +http://\S+ \(process \d+\)`)

	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r.want(`^Stopping`)
	_, _ = io.Copy(io.Discard, r.out)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, &r.errs)
	}
	if left, err := os.ReadDir(r.temporary); err != nil || len(left) > 0 {
		t.Errorf("it has left %v, %v, want nothing", left, err)
	}
}

// run is the command that `make cluster` runs.
type run struct {
	t         *testing.T
	temporary string // the folder for temporary files
	cmd       *exec.Cmd
	out       io.Reader
	lines     *bufio.Scanner // of out
	errs      bytes.Buffer
}

// startRun starts the command, which is killed if it takes far too long.
func startRun(t *testing.T) *run {
	t.Helper()
	dir := t.TempDir()
	build(t, filepath.Join(dir, "tertulia"), "tertulia/cmd/tertulia")
	build(t, filepath.Join(dir, "cluster"), "tertulia/internal/cluster/run")
	r := &run{t: t, temporary: filepath.Join(dir, "tmp")}
	if err := os.Mkdir(r.temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{filepath.Dir(dir), dir, r.temporary} { // PostgreSQL's user must be let in
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.cmd = exec.Command(filepath.Join(dir, "cluster"), filepath.Join(dir, "tertulia"), "127.0.0.1:0")
	r.cmd.Env = append(os.Environ(), "TMPDIR="+r.temporary)
	r.cmd.Stderr = &r.errs
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(2*patience, func() { _ = r.cmd.Process.Kill() })
	t.Cleanup(func() { watch.Stop() })
	r.out, r.lines = out, bufio.NewScanner(out)
	return r
}

// want reads up to a line of a pattern, and returns what that has caught.
func (r *run) want(pattern string) []string {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	for r.lines.Scan() {
		if m := re.FindStringSubmatch(r.lines.Text()); m != nil {
			return m
		}
	}
	r.t.Fatalf("it has ended and never said %s\n%s", pattern, &r.errs)
	return nil
}

// The documented command is what TestRun runs.
func TestMakeCluster(t *testing.T) {
	out, err := exec.Command("make", "-n", "-C", "../..", "cluster").CombinedOutput()
	if err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	for _, part := range []string{"build -o .cache/cluster ./internal/cluster/run\n", "exec .cache/cluster bin/tertulia"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("make cluster does not run %q:\n%s", part, out)
		}
	}
}

func build(t *testing.T, path, what string) {
	t.Helper()
	if out, err := exec.Command("go", "build", "-o", path, what).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", what, err, out)
	}
}

// post must be answered by some node.
func post(t *testing.T, url, content string) {
	t.Helper()
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	resp, err := client.Post(url+"/api/v1/rooms/1/messages?user_id=1&username=Ana", "application/json", strings.NewReader(`{"content":"`+content+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		t.Errorf("POST %q: %s %s, want 201", content, resp.Status, body)
	}
}
