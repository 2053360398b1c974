//go:build !linux

package services

import "os/exec"

// dieWithParent does nothing where there is no signal for it.
func dieWithParent(*exec.Cmd) {}

// runAs does nothing where there is no root that PostgreSQL refuses.
func runAs(*exec.Cmd, uint32, uint32) {}
