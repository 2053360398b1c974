//go:build unix

package services

import (
	"os"
	"syscall"
)

// Stop freezes the server (SIGSTOP) until Continue; its sockets stay open. Of
// a server with children only the parent is frozen.
func (p *Process) Stop() { p.signal(syscall.SIGSTOP) }

// Continue ends Stop.
func (p *Process) Continue() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}
