//go:build !linux

package services

import (
	"os/exec"
	"syscall"
)

// Zero is no signal, and sending it does nothing.
const (
	freeze = syscall.Signal(0)
	thaw   = syscall.Signal(0)
)

// dieWithParent does nothing where there is no signal for it.
func dieWithParent(*exec.Cmd) {}

// runAs does nothing where there is no root that PostgreSQL refuses.
func runAs(*exec.Cmd, uint32, uint32) {}
