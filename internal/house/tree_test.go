package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the folder of the module, seen from this package.
const root = "../.."

// module is the module's path.
const module = "tertulia"

// source is one Go file, parsed.
type source struct {
	path string // slash-separated, from the root
	file *ast.File
	fset *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// walk calls f for every file of the tree that belongs to the project, with
// its slash-separated path from the root.
func walk(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		at = filepath.ToSlash(at)
		if entry.IsDir() {
			if isForeign(at) {
				return filepath.SkipDir
			}
			return nil
		}
		f(at)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isForeign reports whether a folder holds what is not the project's: what
// .gitignore names, and the repository's own files.
func isForeign(at string) bool {
	return slices.Contains([]string{".git", "bin", ".cache", "tertulia_data"}, at) || path.Base(at) == "node_modules"
}

// packages returns the Go files of every package, by the folder they are in;
// the root is ".". Files in testdata are none of them.
func packages(t *testing.T) map[string][]source {
	t.Helper()
	all := make(map[string][]source)
	walk(t, func(at string) {
		if path.Ext(at) != ".go" || strings.Contains(at, "testdata/") {
			return
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(root, at), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all[path.Dir(at)] = append(all[path.Dir(at)], source{at, file, fset})
	})
	return all
}

func read(t *testing.T, at string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, at))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
