package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runIn runs the tests of a module that consists of the given files.
func runIn(t *testing.T, files map[string]string, args ...string) (code int, out string) {
	t.Helper()
	t.Chdir(t.TempDir())
	files["go.mod"] = "module example\n\ngo 1.26\n"
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	code = run(args, &b, &b)
	return code, b.String()
}

func TestSummary(t *testing.T) {
	const head = "package example\n\nimport \"testing\"\n\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		code  int
		last  string
		shown string
	}{
		{"passing", map[string]string{"a_test.go": head + `
			func TestA(t *testing.T) { t.Log("a secret") }
			func TestB(t *testing.T) { t.Run("one", func(*testing.T) {}); t.Run("two", func(*testing.T) {}) }`},
			0, "3 passed, 0 failed", "ok    example"},
		{"failing", map[string]string{"a_test.go": head + `
			func TestA(t *testing.T) {}
			func TestB(t *testing.T) { t.Error("b is wrong") }`},
			1, "1 passed, 1 failed", "b is wrong"},
		{"a subtest fails", map[string]string{"a_test.go": head + `
			func TestA(t *testing.T) {
				t.Run("one", func(t *testing.T) { t.Run("deep", func(t *testing.T) { t.Error("deep is wrong") }) })
				t.Run("two", func(*testing.T) {})
			}`},
			1, "1 passed, 1 failed", "deep is wrong"},
		{"a parent fails by itself", map[string]string{"a_test.go": head + `
			func TestA(t *testing.T) { t.Run("one", func(*testing.T) {}); t.Error("a is wrong") }`},
			1, "1 passed, 1 failed", "a is wrong"},
		{"skipped", map[string]string{"a_test.go": head + `
			func TestA(t *testing.T) {}
			func TestB(t *testing.T) { t.Skip("not today") }`},
			1, "1 passed, 1 failed", "not today"},
		{"panic", map[string]string{"a_test.go": head + `
			func TestA(t *testing.T) {}
			func TestB(t *testing.T) { panic("lost") }`},
			1, "1 passed, 1 failed", "lost"},
		{"failure after the tests", map[string]string{"a_test.go": "package example\n\nimport (\n\"os\"\n\"testing\"\n)\n" + `
			func TestMain(m *testing.M) { m.Run(); println("left behind"); os.Exit(1) }
			func TestA(t *testing.T) {}`},
			1, "1 passed, 1 failed", "left behind"},
		{"does not build", map[string]string{"a_test.go": head + "func TestA(t *testing.T) { nonsense }", "b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestB(*testing.T) {}"},
			1, "1 passed, 1 failed", "undefined: nonsense"},
		{"no tests", map[string]string{"a.go": "package example"}, 1, "0 passed, 1 failed", "there was nothing to test"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out := runIn(t, test.files, "./...")
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if last := lines[len(lines)-1]; code != test.code || last != test.last {
				t.Errorf("exit code %d and last line %q, want %d and %q:\n%s", code, last, test.code, test.last, out)
			}
			if !strings.Contains(out, test.shown) {
				t.Errorf("%q is not shown:\n%s", test.shown, out)
			}
			if strings.Contains(out, "a secret") {
				t.Errorf("the words of a passing test are shown:\n%s", out)
			}
		})
	}
}

func TestWrongArguments(t *testing.T) {
	code, out := runIn(t, map[string]string{}, "-no-such-flag", "./...")
	if code != 1 || !strings.HasSuffix(out, "0 passed, 1 failed\n") {
		t.Errorf("exit code %d, want 1:\n%s", code, out)
	}
}

// Two runs are counted as one, and one of them failing is a failure.
func TestTwoRuns(t *testing.T) {
	files := map[string]string{
		"a_test.go":   "package example\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}",
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { t.Error(\"b is wrong\") }",
	}
	code, out := runIn(t, files, ".", "--", "-v", ".", "--", "./b")
	if code != 1 || !strings.HasSuffix(out, "\n2 passed, 1 failed\n") {
		t.Errorf("exit code %d, want 1 and two passed, one failed:\n%s", code, out)
	}
}
