//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tertulia/internal/services"
)

// Server is a private server: a process of its own with every setting at its
// default, on a free loopback port, with an empty data folder on a disk.
type Server struct {
	Target

	dir     string
	log     string           // path of what the server logged
	command func() *exec.Cmd // the process, anew for each of its lives
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended
}

const (
	readyTime = time.Minute // to become ready
	stopTime  = time.Minute // to stop when asked to
)

// Spawn starts the server that program holds, and returns when it is ready.
// The caller stops it. It does not outlive the process that called Spawn.
// variables are settings such as "TERTULIA_LOG_LEVEL=debug".
func Spawn(ctx context.Context, program string, variables ...string) (*Server, error) {
	dir, err := os.MkdirTemp(diskFolder(), "tertulia-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	s := &Server{dir: dir, log: filepath.Join(dir, "server.log")}
	if err := s.launch(ctx, program, variables); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start a server: %w", err)
	}
	return s, nil
}

func (s *Server) launch(ctx context.Context, program string, variables []string) error {
	addr, err := services.FreeAddr()
	if err != nil {
		return err
	}
	if s.Addr, err = netip.ParseAddrPort(addr); err != nil {
		return err
	}
	// An empty file, so that none is looked for elsewhere.
	settings := filepath.Join(s.dir, "tertulia.toml")
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		return err
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(program, "serve", "--config", settings, "--listen", s.Addr.String(), "--data-dir", filepath.Join(s.dir, "data"))
		cmd.Env = append(withoutSettings(os.Environ()), variables...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	return s.begin(ctx)
}

// begin starts the process and returns when it is ready.
func (s *Server) begin(ctx context.Context) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	s.cmd = s.command()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.PID = s.cmd.Process.Pid
	cmd, done := s.cmd, make(chan struct{})
	s.done = done
	go func() {
		cmd.Wait() // how it ended is in its log
		close(done)
	}()
	if err := s.awaitReady(ctx); err != nil {
		s.kill()
		return err
	}
	return nil
}

// awaitReady asks /readyz until it answers 200.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr.String()+"/readyz", nil)
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
		case <-s.done:
			return fmt.Errorf("it ended at once: %s", s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %s", ctx.Err(), s.logTail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// restart asks the server to end, as an operator does, and begins its next
// life at the same address. It returns when that is ready.
func (s *Server) restart(ctx context.Context) error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("restart a server: %w", err)
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("the server did not stop: %w: %s", ctx.Err(), s.logTail())
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the server stopped with code %d: %s", code, s.logTail())
	}
	return s.begin(ctx)
}

// Stop asks the server to end, waits for that, and removes its folder. The
// error is that it did not end in time; it is then ended by force.
func (s *Server) Stop() error {
	var err error
	s.cmd.Process.Signal(syscall.SIGTERM) // or it has ended already
	select {
	case <-s.done:
	case <-time.After(stopTime):
		err = fmt.Errorf("the server did not stop within %v: %s", stopTime, s.logTail())
		s.kill()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *Server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// logTail is the end of what the server logged, for an error.
func (s *Server) logTail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return "no log: " + err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-2<<10):]))
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

// DataDisk names the kind of file system that [Spawn] puts data folders on,
// such as ext4: what a flush costs is its property.
func DataDisk() (string, error) { return fileSystem(diskFolder()) }

// diskFolder is the folder for temporary files, or the current one if that
// lies in memory, where a flush costs nothing.
func diskFolder() string {
	if name, err := fileSystem(os.TempDir()); err == nil && name == "tmpfs" {
		return "."
	}
	return os.TempDir()
}

// fileSystem names the kind of file system that a folder is on.
func fileSystem(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	switch uint32(st.Type) {
	case unix.TMPFS_MAGIC:
		return "tmpfs", nil
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", nil
	case unix.XFS_SUPER_MAGIC:
		return "xfs", nil
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", nil
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", nil
	}
	return fmt.Sprintf("file system %#x", uint32(st.Type)), nil
}
