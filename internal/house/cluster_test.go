package house

import (
	"go/ast"
	"slices"
	"strconv"
	"testing"
)

// oneNodeIsEnough says why tests of frames are not run on a cluster.
var oneNodeIsEnough = map[string]string{
	"wire":                "it has frames, and no server",
	"wire/schema":         "it has frames, and no server",
	"internal/schematest": "it has frames, and no server",
	"internal/api":        "it answers from the store and its node's presence; package server asks over REST on a cluster",
}

// A package whose tests hold what a server says to the schemas has them run on
// several nodes too, and so has who asks whether they are. That none of its
// tests is forgotten is oncluster.Run's to see.
func TestProtocolIsTriedOnSeveralNodes(t *testing.T) {
	all := packages(t)
	for dir, sources := range all {
		states := slices.ContainsFunc(sources, func(s source) bool {
			return s.isTest() && (imports(s.file, "internal/schematest") || imports(s.file, "internal/oncluster"))
		})
		_, excused := oneNodeIsEnough[dir]
		switch runs := slices.ContainsFunc(sources, func(s source) bool { return s.isTest() && runsOnCluster(s.file) }); {
		case states && !runs && !excused:
			t.Errorf("package %s has tests of the protocol, and no test that calls oncluster.Run", dir)
		case excused && (runs || !states):
			t.Errorf("package %s needs no excuse", dir)
		}
	}
	for dir := range oneNodeIsEnough {
		if _, ok := all[dir]; !ok {
			t.Errorf("package %s does not exist, and is excused", dir)
		}
	}
}

func imports(f *ast.File, path string) bool {
	return slices.ContainsFunc(f.Imports, func(spec *ast.ImportSpec) bool {
		return spec.Path.Value == strconv.Quote(module+"/"+path)
	})
}

func runsOnCluster(f *ast.File) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if fun, ok := call.Fun.(*ast.SelectorExpr); ok {
				pkg, ok := fun.X.(*ast.Ident)
				found = found || ok && pkg.Name == "oncluster" && fun.Sel.Name == "Run"
			}
		}
		return !found
	})
	return found
}
