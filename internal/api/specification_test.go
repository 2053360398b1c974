package api

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/observe"
	"tertulia/internal/schematest"
)

// specification is Part 3 of docs/protocol.md.
func specification(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(page), "\n# Part 3: REST\n")
	if !ok {
		t.Fatal("docs/protocol.md has no Part 3")
	}
	return part
}

var (
	routeRow  = regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\|.*\\| ([^|]*)\\|$")
	statusRow = regexp.MustCompile("(?m)^\\| (\\d{3}) \\| ([^|]*)\\|$")
	codeWord  = regexp.MustCompile("`([a-z_]+)`")
	example   = regexp.MustCompile("(?s)\\(`(\\w+)` in the document\\):\n\n```json\n(.*?)```")
)

func codesIn(cell string) []chat.Code {
	var codes []chat.Code
	for _, word := range codeWord.FindAllStringSubmatch(cell, -1) {
		codes = append(codes, chat.Code(word[1]))
	}
	return codes
}

// The specification has a row for each route, and the codes there, with those
// of its kind, are the ones that the document has.
func TestSpecificationListsEveryRoute(t *testing.T) {
	doc, _ := described()
	all := operations(doc)
	for _, row := range routeRow.FindAllStringSubmatch(specification(t), -1) {
		op := all[row[1]]
		if op == nil {
			t.Errorf("the specification has %s once too often, or there is no such route", row[1])
			continue
		}
		delete(all, row[1])
		_, path, _ := strings.Cut(row[1], " ")
		want := codesOf(operation{path: path, needs: action(op.Extensions["x-action"].(string)), codes: codesIn(row[2])}, op.RequestBody != nil)
		var got []chat.Code
		for _, r := range op.Responses {
			codes, _ := r.Extensions["x-codes"].([]chat.Code)
			got = append(got, codes...)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s answers\n%q, and the specification says\n%q", row[1], got, want)
		}
	}
	for at := range all {
		t.Errorf("the specification has no row for %s", at)
	}
}

// The table of statuses has each code once, under its status.
func TestSpecificationListsEveryStatus(t *testing.T) {
	left := make(map[chat.Code]bool)
	for code := range chat.Codes {
		left[code] = true
	}
	for _, row := range statusRow.FindAllStringSubmatch(specification(t), -1) {
		for _, code := range codesIn(row[2]) {
			if !left[code] || fmt.Sprint(answers[code].status) != row[1] {
				t.Errorf("the specification has %s under %s, once too often or wrongly: its status is %d", code, row[1], answers[code].status)
			}
			delete(left, code)
		}
	}
	for code := range left {
		t.Errorf("the specification does not give the status of %s", code)
	}
}

// The examples are what the schemas say, and have every member that is needed.
func TestSpecificationExamples(t *testing.T) {
	document, err := schematest.Read(Document(observe.Build{}))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, block := range example.FindAllStringSubmatch(specification(t), -1) {
		count++
		if err := document.Component(block[1], []byte(block[2])); err != nil {
			t.Errorf("the example of %s: %v", block[1], err)
		}
	}
	if count < 6 {
		t.Errorf("there are %d examples, want more: is the page read rightly?", count)
	}
}
