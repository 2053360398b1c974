// Package services starts private PostgreSQL and Redis servers, and what stands
// around them: children of this process on free ports of 127.0.0.1, with
// everything they write in a folder that they are given. Tests run against
// them, and so does a cluster that is tried out on one machine.
//
// The programs are those of Debian's packages postgresql, redis-server and
// nginx-light; an
// error says how to install what is missing. A server dies with the process
// that started it, however that ends.
package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// startLimit is how long a server may take until it answers; PostgreSQL after
// a crash replays its log first.
const startLimit = time.Minute

// Process is one server. Its methods may be called from any goroutine.
type Process struct {
	// Addr is where the server listens, through all its restarts.
	Addr string

	command func() *exec.Cmd
	ready   func(ctx context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has been waited for
	log  output
}

// start runs the command and waits until the server answers.
func (p *Process) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }() // ended by the process; joined by Kill and Close
	p.cmd, p.done = cmd, done
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("%s has ended:\n%s", cmd.Path, p.log.String())
		case <-ctx.Done():
			_ = cmd.Process.Kill()
			<-done
			return fmt.Errorf("%s does not answer: %w\n%s", cmd.Path, err, p.log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the server, and all its children, as kill -9 does.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Restart starts a server that has ended, on the same address and with what it
// has kept.
func (p *Process) Restart(ctx context.Context) error { return p.start(ctx) }

// PID is the process's number. After Restart it is another one.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Done is closed when the process has ended. After Restart it is another
// channel.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Log returns the last of what the server has written.
func (p *Process) Log() string { return p.log.String() }

// end sends a signal that ends the server, and waits for that.
func (p *Process) end(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// The ports of FreeAddr are below those that a system gives to connections and
// to who asks for any (from 32768 on Linux, from 49152 elsewhere).
const firstPort, lastPort = 10_000, 32_767

// FreeAddr returns an address of 127.0.0.1 on which nobody listens. Before the
// caller listens there, and while its server is down, no connection is given
// the port, not even one that is made to the address itself. Another listener
// may take it, if it asks for just this one.
func FreeAddr() (addr string, err error) {
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// missing is the error for a program that is not installed.
func missing(program, debian string) error {
	return errors.New(program + " is not installed: apt-get install -y --no-install-recommends " + debian)
}

// outputBytes is how much is kept of what a server writes.
const outputBytes = 64 << 10

// output keeps the end of what is written to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() > outputBytes {
		o.buf.Next(o.buf.Len() - outputBytes/2)
	}
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
