package house

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// pages returns the Markdown files that we write, by their path. The
// prototype's document is kept as it came.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	walk(t, func(at string) {
		if path.Ext(at) == ".md" && !strings.HasPrefix(at, "docs/seed/") && !strings.Contains(at, "testdata/") {
			all[at] = read(t, at)
		}
	})
	return all
}

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	fence      = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
)

func TestLinks(t *testing.T) {
	all := pages(t)
	for at, text := range all {
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := at
			if target != "" {
				to = path.Join(path.Dir(at), target)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which does not exist", at, to)
			} else if anchor != "" && !anchors(all[to])[anchor] {
				t.Errorf("%s links to %s in %s, which has no such heading", at, anchor, to)
			}
		}
	}
}

// anchors returns the names under which a page's headings can be linked to.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])
		found[name] = true
	}
	return found
}

// commands returns what a page tells its reader to type: the lines after a
// prompt, and code in the running text.
func commands(text string) []string {
	var found []string
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[2]) {
			if typed, ok := strings.CutPrefix(line, "$ "); ok && block[1] == "console" {
				found = append(found, strings.TrimSpace(typed))
			}
		}
	}
	for _, code := range inlineCode.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		found = append(found, code[1])
	}
	return found
}

var makeTarget = regexp.MustCompile(`(?:^|\s)make ([a-z-]+)`)

func TestMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	count := 0
	for at, text := range pages(t) {
		for _, command := range commands(text) {
			for _, match := range makeTarget.FindAllStringSubmatch(command, -1) {
				count++
				if !regexp.MustCompile(`(?m)^` + match[1] + `:`).MatchString(makefile) {
					t.Errorf("%s says make %s, and the Makefile has no such target", at, match[1])
				}
			}
		}
	}
	if count == 0 {
		t.Error("no page names a target of the Makefile")
	}
	if !strings.Contains(read(t, ".ci/run"), "make test") {
		t.Error(".ci/run does not call make test")
	}
}

// calls returns the arguments of each call of tertulia in a line for the
// shell: behind variables, between pipes, before a redirection.
func calls(command string) [][]string {
	var found [][]string
	for part := range strings.SplitSeq(command, "|") {
		words := strings.Fields(part)
		for len(words) > 0 && assignment.MatchString(words[0]) {
			words = words[1:]
		}
		if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w, "<>#&…") }); end >= 0 {
			words = words[:end]
		}
		if len(words) > 0 && path.Base(words[0]) == "tertulia" {
			found = append(found, words[1:])
		}
	}
	return found
}

var assignment = regexp.MustCompile(`^[A-Z_]+=\S*$`)

// Every call of tertulia on a page is one that its command line accepts.
func TestTertuliaCommands(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "tertulia")
	build := exec.Command("go", "build", "-o", binary, "./cmd/tertulia")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	count := 0
	for at, text := range pages(t) {
		for _, command := range commands(text) {
			for _, args := range calls(command) {
				count++
				args = append(args, "--help")
				if out, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
					t.Errorf("%s has %q, and tertulia %s says: %v\n%s", at, command, strings.Join(args, " "), err, out)
				}
			}
		}
	}
	if count < 10 {
		t.Errorf("the pages call tertulia %d times, want more: are they read rightly?", count)
	}
}
