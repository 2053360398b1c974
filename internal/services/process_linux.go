package services

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the server when this process ends. As
// root the server gets a process namespace of its own, whose first process it
// is: whoever kills it kills its children, which would otherwise hold
// PostgreSQL's shared memory and keep it from starting again.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // Ctrl-C at the terminal is not for it
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
}

// runAs has the command run as another user.
func runAs(cmd *exec.Cmd, uid, gid uint32) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
}
