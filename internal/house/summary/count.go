package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
)

// event is a line that go test -json writes (go doc test2json).
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	Elapsed    float64 // seconds
	ImportPath string  // of build events
}

// count follows the events of a run. What a test says is shown only if it
// fails.
type count struct {
	out            io.Writer
	passed, failed int
	said           map[string]*strings.Builder // output so far, by the name of its test or package
	parents        map[string]bool             // tests that have subtests
	broken         map[string]bool             // packages and tests in which something was counted as failed
}

func newCount(out io.Writer) *count {
	return &count{
		out:     out,
		said:    make(map[string]*strings.Builder),
		parents: make(map[string]bool),
		broken:  make(map[string]bool),
	}
}

func (c *count) read(events io.Reader) {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			c.line(line)
		}
		if err != nil {
			return
		}
	}
}

// line takes one line. What is no event is shown as it is.
func (c *count) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(c.out, "%s", line)
		return
	}
	switch {
	case e.ImportPath != "":
		c.build(e)
	case e.Test != "":
		c.test(e)
	case e.Package != "":
		c.pack(e)
	}
}

func (c *count) build(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(c.out, e.Output)
	}
}

func (c *count) test(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		if parent, _, ok := cutLast(e.Test, "/"); ok {
			c.parents[e.Package+" "+parent] = true
		}
	case "output":
		c.keep(name, e.Output)
	case "pass":
		if !c.parents[name] {
			c.passed++
		}
		delete(c.said, name)
	case "fail", "skip":
		c.testFailed(e, name)
	}
}

// testFailed counts a test that failed by itself; one with a subtest that
// failed is only shown.
func (c *count) testFailed(e event, name string) {
	text := c.take(name)
	if c.broken[name] {
		fmt.Fprint(c.out, text)
	} else {
		c.fail(name, text)
	}
	for test, ok := e.Test, true; ok; {
		if test, _, ok = cutLast(test, "/"); ok {
			c.broken[e.Package+" "+test] = true
		}
	}
	c.broken[e.Package] = true
}

// pack takes an event of a whole package. Its failure counts if none of its
// tests explains it: it did not build, panicked, or left goroutines behind.
func (c *count) pack(e event) {
	switch e.Action {
	case "output":
		c.keep(e.Package, e.Output)
	case "pass":
		c.take(e.Package)
		fmt.Fprintf(c.out, "ok    %-32s %6.1fs\n", e.Package, e.Elapsed)
	case "skip": // no test files
		c.take(e.Package)
	case "fail":
		text := c.take(e.Package)
		if c.broken[e.Package] {
			fmt.Fprintf(c.out, "FAIL  %-32s %6.1fs\n", e.Package, e.Elapsed)
		} else {
			c.fail(e.Package, text)
		}
	}
}

func (c *count) fail(name, text string) {
	c.failed++
	fmt.Fprintf(c.out, "FAIL  %s\n%s\n", name, strings.TrimSuffix(text, "\n"))
}

func (c *count) keep(name, text string) {
	if c.said[name] == nil {
		c.said[name] = new(strings.Builder)
	}
	c.said[name].WriteString(text)
}

func (c *count) take(name string) string {
	said := c.said[name]
	delete(c.said, name)
	if said == nil {
		return ""
	}
	return said.String()
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
