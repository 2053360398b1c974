package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"tertulia/chat"
	"tertulia/internal/observe"
	"tertulia/internal/schematest"
)

// recordingMux notes what is registered.
type recordingMux struct {
	http.ServeMux
	patterns []string
}

func (m *recordingMux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, handler)
}

// described returns the document and the patterns of the routes.
func described() (*huma.OpenAPI, []string) {
	mux := new(recordingMux)
	to := New(Config{}).describe(mux)
	return to.OpenAPI(), mux.patterns
}

// operations returns every operation of the document by "METHOD /path".
func operations(doc *huma.OpenAPI) map[string]*huma.Operation {
	all := make(map[string]*huma.Operation)
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete,
			"HEAD": item.Head, "OPTIONS": item.Options, "TRACE": item.Trace} {
			if op != nil {
				all[method+" "+path] = op
			}
		}
	}
	return all
}

// What is served is described, and the other way round.
func TestDocumentHasEveryRoute(t *testing.T) {
	doc, patterns := described()
	all := operations(doc)
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(pattern, " ")
		path, ok := strings.CutPrefix(path, prefix)
		if !ok || all[method+" "+path] == nil {
			t.Errorf("%s is served and not described", pattern)
		}
		delete(all, method+" "+path)
	}
	for at := range all {
		t.Errorf("%s is described and not served", at)
	}
}

// Every route says who may use it, what goes in, what comes out, and which
// refusals there are (reliability S22).
func TestOperationsAreDescribed(t *testing.T) {
	doc, _ := described()
	ids := make(map[string]string)
	for at, op := range operations(doc) {
		if op.OperationID == "" || ids[op.OperationID] != "" {
			t.Errorf("%s has the operation id %q, which %q has too", at, op.OperationID, ids[op.OperationID])
		}
		ids[op.OperationID] = at
		if op.Summary == "" || len(op.Tags) != 1 {
			t.Errorf("%s has the summary %q and the tags %q, want one of each", at, op.Summary, op.Tags)
		}
		checkAction(t, at, op)
		for _, p := range op.Parameters {
			if p.Description == "" || p.Schema == nil {
				t.Errorf("%s does not describe its parameter %s", at, p.Name)
			}
		}
		if op.RequestBody != nil {
			checkContent(t, at+" body", doc, op.RequestBody.Content, "application/json")
		}
		checkResponses(t, at, doc, op)
	}
}

var actions = []action{anyone, user, service, see, read, post, mark, join, leave, invite, moderate, manage}

func checkAction(t *testing.T, at string, op *huma.Operation) {
	t.Helper()
	needs, _ := op.Extensions["x-action"].(string)
	if !slices.Contains(actions, action(needs)) {
		t.Errorf("%s needs the action %q, which is none", at, needs)
	}
	if open := op.Security != nil; open != (needs == string(anyone)) {
		t.Errorf("%s needs %q and is open to everybody: %v", at, needs, open)
	}
}

func checkResponses(t *testing.T, at string, doc *huma.OpenAPI, op *huma.Operation) {
	t.Helper()
	for status, r := range op.Responses {
		n, err := strconv.Atoi(status)
		switch {
		case err != nil:
			t.Errorf("%s has an answer %q, want a status", at, status)
		case n == http.StatusNoContent || n == http.StatusNotModified:
			if r.Content != nil {
				t.Errorf("%s describes a body of status %s", at, status)
			}
		case n < 300:
			checkContent(t, at+" "+status, doc, r.Content, "application/json")
		default:
			checkContent(t, at+" "+status, doc, r.Content, problemType)
			codes, _ := r.Extensions["x-codes"].([]chat.Code)
			for _, code := range codes {
				if answers[code].status != n {
					t.Errorf("%s lists %s under %s, want under %d", at, code, status, answers[code].status)
				}
			}
			if len(codes) == 0 || r.Description == "" {
				t.Errorf("%s does not say which codes status %s has", at, status)
			}
		}
	}
	if op.Responses["500"] == nil || op.DefaultStatus == 0 || op.Responses[strconv.Itoa(op.DefaultStatus)] == nil {
		t.Errorf("%s describes no success, or no failure", at)
	}
}

func checkContent(t *testing.T, at string, doc *huma.OpenAPI, content map[string]*huma.MediaType, kind string) {
	t.Helper()
	media := content[kind]
	if len(content) != 1 || media == nil || media.Schema == nil {
		t.Errorf("%s has no schema for %s", at, kind)
		return
	}
	if ref := media.Schema.Ref; ref != "" && !hasMembers(doc.Components.Schemas.SchemaFromRef(ref)) {
		t.Errorf("%s refers to %s, which has no members", at, ref)
	}
}

// Every code has a status, a title and a page.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	titles := make(map[string]chat.Code)
	for code := range chat.Codes {
		is, ok := answers[code]
		if !ok || is.status < 400 || is.status > 599 || is.title == "" {
			t.Errorf("code %s is answered with %+v, want a status and a title", code, is)
		}
		if other, taken := titles[is.title]; taken {
			t.Errorf("codes %s and %s have the same title", code, other)
		}
		titles[is.title] = code
		if is.status >= 500 && !code.Retryable() {
			t.Errorf("code %s is our fault (%d) and cannot be tried again", code, is.status)
		}
	}
}

// hasMembers reports whether a schema says what its members are, itself or by
// a schema of the frames.
func hasMembers(s *huma.Schema) bool { return len(s.Properties) > 0 || s.Ref != "" }

// The document that is given out is whole: every schema in it is one, and
// leads nowhere outside.
func TestDocumentIsWhole(t *testing.T) {
	document, err := schematest.Read(Document(observe.Build{}))
	if err == nil {
		err = document.Check()
	}
	if err != nil {
		t.Error(err)
	}
}
