// Command summary runs go test and says in its last line how many tests have
// passed and failed.
//
//	go run ./internal/house/summary [flags and packages of go test] [-- more of them]
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
	"slices"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs go test once for each list of arguments; "--" stands between two.
func run(args []string, stdout, stderr io.Writer) int {
	passed, failed := 0, 0
	for more := true; more; {
		var one []string
		if i := slices.Index(args, "--"); i >= 0 {
			one, args = args[:i], args[i+1:]
		} else {
			one, more = args, false
		}
		c := goTest(one, stdout, stderr)
		passed += c.passed
		failed += c.failed
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	return 0
}

// goTest runs go test with args and counts. A run that tested nothing has
// failed.
func goTest(args []string, stdout, stderr io.Writer) *count {
	c := newCount(stdout)
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.fail("go test", err.Error())
		return c
	}
	c.read(events)
	if err := cmd.Wait(); err != nil && c.failed == 0 {
		c.fail("go test", err.Error())
	}
	if c.passed == 0 && c.failed == 0 {
		c.fail("go test", "there was nothing to test")
	}
	return c
}
