//go:build !linux

package postgres

import "syscall"

// setUserTimeout does nothing where the system has no such bound: there, only
// keepalives find a server that has vanished.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
