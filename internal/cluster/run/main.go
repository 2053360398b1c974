// Command run is what `make cluster` runs: three nodes of the binary that it
// is given, with all they need, until Ctrl-C. A node that ends before is
// started again.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"tertulia/internal/cluster"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}

// run takes the path of the binary, and the address of the proxy if it is to
// be another than usual.
func run(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return fmt.Errorf("give the tertulia binary and, if you like, an address for the proxy")
	}
	proxy := "127.0.0.1:8000"
	if len(args) == 2 {
		proxy = args[1]
	}
	binary, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "tertulia-cluster")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL's user must be let in
		return err
	}
	c, err := cluster.Start(ctx, cluster.Config{Binary: binary, Dir: dir, Nodes: 3, Proxy: proxy, Tell: say})
	if err != nil {
		return err
	}
	say("Next        bin/tertulia chat --server ws://%s 1; kill -9 a node, or Redis, and go on. Ctrl-C ends all.", c.Proxy.Addr)
	c.Keep(ctx, say)
	say("Stopping")
	c.Close()
	return nil
}

// say writes a line; several goroutines may.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
