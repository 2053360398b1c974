//go:build linux

package crashtest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tertulia/internal/services"
)

// built is the tertulia binary, in a folder of its own.
var built = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("", "tertulia-crashtest")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "tertulia")
	if out, err := exec.Command("go", "build", "-o", path, "tertulia/cmd/tertulia").CombinedOutput(); err != nil {
		return path, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// build makes the tertulia binary, once for all tests.
func build(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is one life of the server.
type process struct {
	cmd  *exec.Cmd
	log  logTail
	done chan struct{} // closed when it has ended
}

// readyTime is far above what opening a data folder takes after a crash.
const readyTime = time.Minute

// start starts the server on a data folder, at the same address each time,
// and returns when it is ready. variables are settings such as
// "TERTULIA_LOG_LEVEL=debug".
func start(ctx context.Context, binary, dir, addr string, variables ...string) (*process, error) {
	settings := filepath.Join(dir, "tertulia.toml")
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(binary, "serve", "--config", settings, "--listen", addr, "--data-dir", filepath.Join(dir, "data"))
	p.cmd.Env = append(withoutSettings(os.Environ()), variables...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait() // it is killed
		close(p.done)
	}()
	if err := p.awaitReady(ctx, addr); err != nil {
		p.kill()
		return nil, fmt.Errorf("start the server: %w\n%s", err, p.log.String())
	}
	return p, nil
}

func (p *process) awaitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended by itself: %v", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond): // it is another process: there is nothing to wait on
		}
	}
}

// kill ends the process as a crash does, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// logTail keeps the end of what a process wrote.
type logTail struct {
	mu  sync.Mutex
	buf []byte
}

const logTailBytes = 8 << 10

func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if n := len(l.buf) - logTailBytes; n > 0 {
		l.buf = bytes.Clone(l.buf[n:])
	}
	return len(b), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}

// withoutSettings leaves the server's variables out of an environment.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "TERTULIA_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// freeAddr is a loopback address that nobody listens on now.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := services.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
