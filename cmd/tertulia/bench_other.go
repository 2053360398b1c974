//go:build !linux

package main

import "runtime"

// BenchCmd measures on Linux only: it drives epoll and reads /proc.
type BenchCmd struct{}

func (BenchCmd) Help() string {
	return `Measures a server under load. It runs on Linux only.

Examples:

    tertulia bench`
}

func (BenchCmd) Run() error {
	return errorWithHint(exitFailure, "run it on Linux", "bench is not made for %s", runtime.GOOS)
}
