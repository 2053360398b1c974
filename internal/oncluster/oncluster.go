// Package oncluster has the tests of a package run a second time, with several
// nodes where they are written for one server. The second run is a test
// process of its own in which Now is true: what starts a server there starts
// nodes on one PostgreSQL and one Redis, has each client come to another one,
// and says so by Asked. The tests themselves are the same.
//
// No test is forgotten: each passes there and has asked for a cluster, or is
// among the excuses with its reason.
package oncluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// variable tells a test process that it is the second run.
const variable = "ONCLUSTER"

var now = os.Getenv(variable) != ""

// Now reports whether this process is the second run.
func Now() bool { return now }

// Asked says that a test has got a cluster.
func Asked(t testing.TB) {
	fmt.Printf("\n%s%s\n", asked, root(t.Name()))
}

// asked begins a line of the second run that names a test.
const asked = "a cluster serves "

// root is the test function's part of a name.
func root(name string) string {
	name, _, _ = strings.Cut(name, "/")
	return name
}

// Excuses says of test functions why they are not run on a cluster: a reason,
// and those that it holds for.
type Excuses map[string][]string

// limit is how long the second run may take on a busy machine.
const limit = 8 * time.Minute

// Run is the whole of a test that has the others run a second time, in a
// process with these variables beside its own. In the second run it does
// nothing.
func Run(t *testing.T, excuses Excuses, env ...string) {
	t.Helper()
	if now {
		return
	}
	r := run{env: append(os.Environ(), append(env, variable+"=1")...)}
	all := names(r.test(t, "-test.list=^Test"))
	excused := excuses.held(t, all)
	wanted := slices.DeleteFunc(all, func(name string) bool { return name == t.Name() || slices.Contains(excused, name) })
	if len(wanted) == 0 {
		t.Fatal("no test is run on a cluster")
	}
	out := r.test(t, "-test.run=^("+strings.Join(wanted, "|")+")$", "-test.v", "-test.timeout="+(limit-time.Second).String())
	passed, served := outcome(out)
	for _, name := range wanted {
		switch {
		case !slices.Contains(passed, name):
			t.Errorf("%s has not passed on a cluster", name)
		case !slices.Contains(served, name):
			t.Errorf("%s passes and has asked for no cluster: say why among the excuses", name)
		}
	}
}

// held returns the names that are excused. Each is one of all, and excused
// once.
func (e Excuses) held(t *testing.T, all []string) (excused []string) {
	t.Helper()
	for reason, names := range e {
		for _, name := range names {
			if !slices.Contains(all, name) || slices.Contains(excused, name) || reason == "" {
				t.Errorf("%s is excused because %q: it is no test, or excused twice, or this is no reason", name, reason)
			}
			excused = append(excused, name)
		}
	}
	return excused
}

// run is how the second process is started.
type run struct{ env []string }

// test runs it to its end and returns what it has written.
func (r run) test(t *testing.T, args ...string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = r.env
	out, err := cmd.CombinedOutput()
	if err != nil || testing.Verbose() && len(args) > 1 {
		t.Logf("%s", out)
	}
	if err != nil {
		t.Errorf("on a cluster: %v", err)
	}
	return string(out)
}

// names are the lines of a list of tests.
func names(list string) (all []string) {
	for line := range strings.Lines(list) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Test") {
			all = append(all, line)
		}
	}
	return all
}

var passLine = regexp.MustCompile(`(?m)^--- PASS: (\w+) `)

// outcome reads which tests have passed, and which have had a cluster.
func outcome(out string) (passed, served []string) {
	for _, m := range passLine.FindAllStringSubmatch(out, -1) {
		passed = append(passed, m[1])
	}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), asked); ok {
			served = append(served, name)
		}
	}
	return passed, served
}

// Turn hands out the addresses of a cluster's nodes, one after the other. It
// may be used from any goroutine.
type Turn struct {
	Addrs []string
	n     atomic.Int64
}

// Next returns the next node's address.
func (t *Turn) Next() string { return t.Addrs[int(t.n.Add(1)-1)%len(t.Addrs)] }
