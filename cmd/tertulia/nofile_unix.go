//go:build unix

package main

import "syscall"

// openFiles returns how many files, connections among them, the system lets
// this process have open; 0 if unknown. The Go runtime has raised the soft
// limit to the hard one by itself when it started.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
