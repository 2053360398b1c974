package seedtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statements are the numbers of what the prototype's document says, as ranges:
// endpoints, envelope, client to server, server to client, flows, statistics,
// test client and documentation.
var statements = [][2]int{{1, 19}, {20, 28}, {30, 39}, {40, 53}, {60, 83}, {90, 95}, {100, 113}}

// resolutions are the ambiguities A1 to A25.
const resolutions = 25

// elsewhere says of each number that no subtest here carries why that is so.
var elsewhere = map[string]string{
	"S-061": "a cache of recent messages beside the store comes with Redis; a single node serves them from memory (internal/hub)",
	"S-065": "as S-061: no cache that could fail",
	"S-075": "messages to one user are rooms of two, which this version does not have",
	"S-080": "as S-061; internal/hub tests that a warm tail reads nothing from the store",
	"S-081": "needs PostgreSQL",
	"S-082": "needs Redis",
	"S-109": "documentation: docs/operations.md",
	"S-110": "measurements: docs/performance.md",
	"S-113": "the shape of the code: docs/architecture.md",
	"A11":   "as S-061",
	"A18":   "as S-075",
	"A24":   "membership comes with tokens; in open mode every user may read every room",
}

// No number is forgotten: each is in the name of a subtest or has its reason,
// and not both.
func TestEveryStatementIsTested(t *testing.T) {
	var all []string
	for _, r := range statements {
		for n := r[0]; n <= r[1]; n++ {
			all = append(all, fmt.Sprintf("S-%03d", n))
		}
	}
	for n := range resolutions {
		all = append(all, fmt.Sprintf("A%d", n+1))
	}

	tested := map[string]bool{}
	name := regexp.MustCompile("(?:t\\.Run\\(|^\\s*\\{(?:name: )?)[\"`]((?:(?:S-\\d{3}|A\\d+) )+)")
	for _, source := range goFiles(t, ".") {
		for line := range strings.Lines(source.text) {
			for _, m := range name.FindAllStringSubmatch(line, -1) {
				for _, number := range strings.Fields(m[1]) {
					tested[number] = true
				}
			}
		}
	}

	for _, number := range all {
		switch reason := elsewhere[number]; {
		case !tested[number] && reason == "":
			t.Errorf("%s is neither tested nor explained", number)
		case tested[number] && reason != "":
			t.Errorf("%s is tested, and said not to be: %s", number, reason)
		}
	}
	for number := range tested {
		if !slices.Contains(all, number) {
			t.Errorf("a subtest is named for %s, which there is not", number)
		}
	}
	for number := range elsewhere {
		if !slices.Contains(all, number) {
			t.Errorf("%s is explained, and there is no such number", number)
		}
	}
}

type goFile struct{ path, text string }

// goFiles reads the Go files below a directory.
func goFiles(t *testing.T, root string) []goFile {
	t.Helper()
	var files []goFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		b, err := os.ReadFile(path)
		files = append(files, goFile{path, string(b)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
