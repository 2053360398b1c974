package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"tertulia/internal/config"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
)

// start runs `tertulia serve` on a free port as a program of its own, and
// returns the first line of its log. It is killed at the end of the test.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, serving map[string]any, stdout *bytes.Buffer) {
	t.Helper()
	cmd = program(t, "main", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	stdout = new(bytes.Buffer)
	cmd.Stdout = stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	line, err := log.ReadBytes('\n')
	rest := make(chan struct{})
	go func() { // lets the server go on logging
		defer close(rest)
		_, _ = io.Copy(io.Discard, log)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-rest
		_ = cmd.Wait() // reports the kill, or that the test has waited already
	})
	if err != nil {
		t.Fatalf("the server said %q, then %v", line, err)
	}
	if err := json.Unmarshal(line, &serving); err != nil {
		t.Fatalf("the first line is %q, want JSON: %v", line, err)
	}
	return cmd, serving, stdout
}

// Without a terminal the server says one structured line when it serves,
// answers a healthcheck, and ends with 0 at SIGTERM. Stdout stays empty.
func TestServeAndStop(t *testing.T) {
	cmd, serving, stdout := start(t)
	listen, _ := serving["listen"].(string)
	if serving["msg"] != "serving" || serving["level"] != "INFO" || serving["time"] == nil {
		t.Errorf("first line is %v, want level, msg and time of serving", serving)
	}
	info, err := os.Stat(filepath.Join(cmd.Dir, "tertulia_data"))
	if err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("the data folder: %v, %v, want mode 0700", info, err)
	}
	code, out, stderr := tertulia(t.Context(), nil, "healthcheck", "--listen", listen)
	if code != exitOK || !strings.HasPrefix(out, "[+] store ok") || stderr != "" {
		t.Errorf("healthcheck = %d, %q, %q, want 0", code, out, stderr)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v, want exit code 0", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout has %q, want nothing", stdout)
	}
	code, _, stderr = tertulia(t.Context(), nil, "healthcheck", "--listen", listen)
	if code != exitFailure || !strings.Contains(stderr, "no server answers at "+listen) {
		t.Errorf("healthcheck without a server = %d, %q, want 1", code, stderr)
	}
}

func TestServeWarnsOfUnknownKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.toml")
	if err := os.WriteFile(path, []byte("lisen = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, first, _ := start(t, "--config", path)
	if want := path + ":1:1: unknown key lisen; did you mean listen?"; first["msg"] != want || first["level"] != "WARN" {
		t.Errorf("the first line is %v, want a warning %q", first, want)
	}
}

// What keeps a server from starting is said in a sentence with a hint.
func TestServeFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	running, _, _ := start(t)
	inUse := filepath.Join(running.Dir, "tertulia_data")
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		code exitCode
		want []string
	}{
		{"port taken", []string{"--listen", taken.Addr().String()}, exitFailure,
			[]string{"tertulia: the address " + taken.Addr().String() + " is taken by another program\n", "hint: ", "--listen"}},
		{"foreign address", []string{"--listen", "192.0.2.1:8000", "--auth-allow-open-on-any-address"}, exitFailure,
			[]string{"tertulia: this machine does not have the address 192.0.2.1:8000\n", "hint: ", "--listen"}},
		{"folder in a file", []string{"--listen", "127.0.0.1:0", "--data-dir", file + "/data"}, exitFailure,
			[]string{"tertulia: cannot use the data folder " + file + "/data: ", "not a directory\n", "hint: ", "--data-dir"}},
		{"folder in use", []string{"--listen", "127.0.0.1:0", "--data-dir", inUse}, exitFailure,
			[]string{fmt.Sprintf("tertulia: the data folder %s is in use by another server (process %d)\n", inUse, running.Process.Pid), "hint: ", "--data-dir"}},
		{"newer schema", []string{"--listen", "127.0.0.1:0", "--data-dir", fromTheFuture(t)}, exitFailure,
			[]string{" has schema 1000, and this program knows none above ", "hint: run the newer version", "--data-dir"}},
		{"open to others", []string{"--listen", "0.0.0.0:0"}, exitUsage,
			[]string{"tertulia: --listen: listen is 0.0.0.0:0, which others can reach", "--auth-allow-open-on-any-address"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"serve", "--data-dir", filepath.Join(dir, "data")}, test.args...)
			code, stdout, stderr := tertulia(t.Context(), nil, args...)
			if code != test.code || stdout != "" {
				t.Errorf("serve = %d with stdout %q, want %d and none", code, stdout, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("serve says\n%s\nwant %q in it", stderr, want)
				}
			}
			if strings.Contains(stderr, "goroutine") {
				t.Errorf("serve shows a stack:\n%s", stderr)
			}
		})
	}
}

// fromTheFuture makes a data folder as a newer version would leave it.
func fromTheFuture(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the data folder has the databases %q, %v, want one", files, err)
	}
	db, err := sql.Open("sqlite", files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Nobody without special rights may write into a folder of mode 0500, and
// root may; so the error itself is tested.
func TestStartErrors(t *testing.T) {
	cfg := config.Default()
	for _, test := range []struct {
		err  error
		want string
	}{
		{&sqlite.FolderError{Dir: "data", Err: &os.PathError{Op: "mkdir", Path: "data", Err: syscall.EACCES}},
			"cannot use the data folder data: mkdir data: permission denied"},
		{&sqlite.LockedError{Dir: "data"}, "the data folder data is in use by another server"},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}, "this user may not listen on 127.0.0.1:8000"},
		{&net.OpError{Op: "listen", Err: errors.New("odd")}, "cannot listen on 127.0.0.1:8000: odd"},
		{&postgres.DurabilityError{Weak: []string{"fsync is off"}}, "the database may lose messages that it has acknowledged: fsync is off"},
		{&postgres.NewerSchemaError{Schema: "tertulia", Have: 9, Known: 2}, "the database's schema tertulia has version 9, and this program knows none above 2"},
		{errors.New("something else"), "something else"},
	} {
		err := startError(test.err, &cfg)
		if err.Error() != test.want || codeOf(err) != exitFailure {
			t.Errorf("startError(%v) = %q with code %d, want %q with 1", test.err, err, codeOf(err), test.want)
		}
	}
}

func TestDialable(t *testing.T) {
	for _, test := range []struct{ listen, want string }{
		{"127.0.0.1:8000", "127.0.0.1:8000"},
		{":8000", "127.0.0.1:8000"},
		{"0.0.0.0:8000", "127.0.0.1:8000"},
		{"[::]:8000", "127.0.0.1:8000"},
		{"[::1]:8000", "[::1]:8000"},
		{"localhost:80", "localhost:80"},
		{"192.0.2.1:80", "192.0.2.1:80"},
	} {
		if got := dialable(test.listen); got != test.want {
			t.Errorf("dialable(%q) = %q, want %q", test.listen, got, test.want)
		}
	}
}

// A server that is draining, or whose store fails, is not healthy.
func TestHealthcheckOfServerThatIsNotReady(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = bufio.NewReader(conn).ReadString('\n')
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n[-] store failing, for 3s\nfailing\n")
	}()
	address := listener.Addr().String()
	code, stdout, stderr := tertulia(context.Background(), nil, "healthcheck", "--listen", address)
	<-served
	want := "tertulia: the server at " + address + " is not ready\nhint: the server's log says why\n"
	if code != exitFailure || stdout != "[-] store failing, for 3s\nfailing\n" || stderr != want {
		t.Errorf("healthcheck = %d, %q, %q, want 1 and %q", code, stdout, stderr, want)
	}
}
