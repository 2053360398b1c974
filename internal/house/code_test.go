package house

import (
	"bytes"
	"go/ast"
	"go/format"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// The first sentence of a package comment says the package's one purpose.
func TestPackageComments(t *testing.T) {
	for dir, sources := range packages(t) {
		var found []string
		for _, s := range sources {
			if s.file.Doc == nil || s.isTest() {
				continue
			}
			found = append(found, s.path)
			want := "Package " + s.file.Name.Name + " "
			if s.file.Name.Name == "main" {
				want = "Command " + path.Base(dir) + " "
			}
			if text := s.file.Doc.Text(); !strings.HasPrefix(text, want) {
				t.Errorf("%s begins with %.40q, want %q", s.path, text, want)
			}
		}
		if len(found) != 1 && !onlyTests(sources) {
			t.Errorf("package %s has a comment in %q, want it in one file", dir, found)
		}
	}
}

func onlyTests(sources []source) bool {
	for _, s := range sources {
		if !s.isTest() {
			return false
		}
	}
	return true
}

func TestFormat(t *testing.T) {
	for _, sources := range packages(t) {
		for _, s := range sources {
			have := []byte(read(t, s.path))
			want, err := format.Source(have)
			if err != nil {
				t.Errorf("%s: %v", s.path, err)
			} else if !bytes.Equal(have, want) {
				t.Errorf("%s is not formatted; run gofmt -w %s", s.path, s.path)
			}
		}
	}
}

func TestVet(t *testing.T) {
	cmd := exec.Command("go", "vet", "./...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// A package that starts goroutines looks for left-over ones after its tests.
// A suite does so where it is run.
func TestLeftoverGoroutinesAreLookedFor(t *testing.T) {
	for dir, sources := range packages(t) {
		started, looked := "", slices.ContainsFunc(sources, isSuite)
		for _, s := range sources {
			if s.isTest() {
				looked = looked || looksForGoroutines(s.file)
			} else if at := startsGoroutine(s.file); at != nil {
				started = s.fset.Position(at.Pos()).String()
			}
		}
		if started != "" && !looked {
			t.Errorf("%s starts a goroutine, and package %s has no TestMain with goleak.VerifyTestMain", started, dir)
		}
	}
}

// isSuite reports whether a file holds tests for other packages to run.
func isSuite(s source) bool {
	return !s.isTest() && slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` })
}

// startsGoroutine returns the first place where a file starts one: a go
// statement, a timer with a function, or the Go method of a group.
func startsGoroutine(file *ast.File) (found ast.Node) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = n
		case *ast.CallExpr:
			if method, ok := n.Fun.(*ast.SelectorExpr); ok && (method.Sel.Name == "Go" || method.Sel.Name == "AfterFunc") {
				found = n
			}
		}
		return found == nil
	})
	return found
}

// looksForGoroutines reports whether a test file has a TestMain that calls
// goleak.VerifyTestMain.
func looksForGoroutines(file *ast.File) bool {
	found := false
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "TestMain" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			found = found || ok && s.Sel.Name == "VerifyTestMain"
			return !found
		})
	}
	return found
}

// Every test runs everywhere: what it needs is installed by make test.
func TestNothingIsSkipped(t *testing.T) {
	for _, sources := range packages(t) {
		for _, s := range sources {
			ast.Inspect(s.file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if f, ok := call.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Skip" || f.Sel.Name == "Skipf" || f.Sel.Name == "SkipNow") {
					t.Errorf("%s skips a test", s.fset.Position(call.Pos()))
				}
				return true
			})
		}
	}
}
