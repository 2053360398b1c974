package house

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/internal/observe"
)

// patience bounds what a reader of the README would wait for.
const patience = 30 * time.Second

// systemPython is the one that Debian's packages are for.
const systemPython = "/usr/bin/python3"

// The transcript of the README works when it is typed: what stands in it is
// run against a real server, in the order of the page.
func TestReadmeTranscript(t *testing.T) {
	readme := read(t, "README.md")
	greeting := observe.Greeting{
		Build:  observe.Build{Version: "devel", Commit: "3f2c1ab04d5e", Go: "go1.26.8"},
		Host:   "127.0.0.1:8000",
		Listen: "127.0.0.1:8000",
		Data:   "./tertulia_data",
		Open:   true,
		Next:   "bin/tertulia chat 1",
	}
	if want := "$ make run\n" + strings.TrimRight(greeting.Banner(), "\n") + "\n```"; !strings.Contains(readme, want) {
		t.Errorf("the README does not show the greeting as it is:\n%s", want)
	}
	r := startReader(t)
	for _, block := range fence.FindAllStringSubmatch(readme, -1) {
		switch block[1] {
		case "python":
			r.python(block[2])
		case "console":
			r.console(block[2])
		}
	}
	if r.typed < 4 {
		t.Errorf("%d commands were run, want more: is the page read rightly?", r.typed)
	}
}

// reader does what the README tells, in a folder of its own.
type reader struct {
	t      *testing.T
	dir    string
	server string // host and port of its server, in place of localhost:8000
	typed  int    // commands so far
}

// startReader builds the binary and starts a server on a free port.
func startReader(t *testing.T) *reader {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "tertulia"), "./cmd/tertulia")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command("bin/tertulia", "serve", "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "TERTULIA_") })
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(log)
	first, err := lines.ReadBytes('\n')
	rest := make(chan []byte, 1)
	go func() {
		said, _ := io.ReadAll(lines)
		rest <- said
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		said := <-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v, want exit code 0:\n%s", err, said)
		}
	})
	var serving struct{ Listen string }
	if jsonErr := json.Unmarshal(first, &serving, json.MatchCaseInsensitiveNames(true)); err != nil || jsonErr != nil {
		t.Fatalf("the server said %q: %v, %v", first, err, jsonErr)
	}
	return &reader{t: t, dir: dir, server: serving.Listen}
}

// run runs a program with input, and returns what it says on stdout.
func (r *reader) run(input string, name string, args ...string) string {
	r.t.Helper()
	r.typed++
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "TERTULIA_SERVER=ws://"+r.server)
	cmd.Stdin = strings.NewReader(input)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		r.t.Errorf("%s: %v\n%s", args[len(args)-1], err, errOut.Bytes())
	}
	return out.String()
}

func (r *reader) here(text string) string {
	return strings.ReplaceAll(text, "localhost:8000", r.server)
}

// python runs a program and wants the frames that its comments name.
func (r *reader) python(code string) {
	r.t.Helper()
	out := r.run("", systemPython, "-c", r.here(code))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := []string{"connected", "message_sent", "message"}
	if len(lines) != len(want) {
		r.t.Fatalf("the Python program printed %q, want %d lines", out, len(want))
	}
	for i, line := range lines {
		var frame struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal([]byte(line), &frame); err != nil || frame.Type != want[i] {
			r.t.Errorf("line %d of the Python program is %q (%v), want a frame %s", i+1, line, err, want[i])
		}
	}
}

// console types the commands of a block, and compares what they say with
// what the block shows below them. What make run does is done already.
func (r *reader) console(block string) {
	r.t.Helper()
	for part := range strings.SplitSeq("\n"+block, "\n$ ") {
		command, shown, _ := strings.Cut(part, "\n")
		if command == "" || strings.HasPrefix(command, "make ") {
			continue
		}
		out := r.run("Hello\n", "sh", "-c", r.here(command))
		if shown = strings.TrimSpace(shown); shown != "" {
			r.compare(command, out, shown)
		}
	}
}

// compare wants the same members in two JSON objects; values differ.
func (r *reader) compare(command, got, want string) {
	r.t.Helper()
	if g, w := members(got), members(want); w == nil || !slices.Equal(g, w) {
		r.t.Errorf("%s gives\n%s\nwith the members %q, want %q", command, got, g, w)
	}
}

func members(object string) []string {
	var m map[string]any
	if json.Unmarshal([]byte(object), &m) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
