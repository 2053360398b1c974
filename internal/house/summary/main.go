// Command summary runs go test and says in its last line how many tests have
// passed and failed.
//
//	go run ./internal/house/summary [flags and packages of go test]
//
// A test with subtests is counted by its subtests. A test that was skipped
// has failed, since it has shown nothing; so has a package that does not
// build or whose run ends outside a test. The exit code is 0 only if
// something was tested and nothing failed.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Fprintln(stderr, "summary:", err)
		return 1
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, "summary:", err)
		return 1
	}
	c := newCount(stdout)
	c.read(events)
	if err := cmd.Wait(); err != nil && c.failed == 0 {
		c.fail("go test", err.Error())
	}
	if c.passed == 0 && c.failed == 0 {
		c.fail("go test", "there was nothing to test")
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 {
		return 1
	}
	return 0
}
