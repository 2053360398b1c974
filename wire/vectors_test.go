package wire

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// update has the vectors written anew instead of compared.
var update = flag.Bool("update", false, "write testdata/vectors from the code")

// vectors holds what the code makes against a file of vectors, entry by entry.
func vectors[T any](t *testing.T, name string, made []T) {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name)
	options := json.JoinOptions(jsontext.WithIndent("  "), json.Deterministic(true), jsontext.EscapeForHTML(false))
	if *update {
		b, err := json.Marshal(made, options)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var listed []T
	if err := json.Unmarshal(b, &listed, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text := func(v T) string {
		b, err := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := map[string]bool{}
	for _, v := range made {
		want[text(v)] = true
	}
	for _, v := range listed {
		if !want[text(v)] {
			t.Errorf("%s has a vector that the code does not make: %s", name, text(v))
		}
		delete(want, text(v))
	}
	for v := range want {
		t.Errorf("%s lacks %s", name, v)
	}
}

type errorVector struct {
	Code      chat.Code `json:"code"`
	Num       int       `json:"num"`
	Retryable bool      `json:"retryable"`
}

// docs/protocol.md §7
func TestErrorVectors(t *testing.T) {
	var made []errorVector
	for code := range chat.Codes {
		made = append(made, errorVector{code, code.Num(), code.Retryable()})
	}
	slices.SortFunc(made, func(a, b errorVector) int { return a.Num - b.Num })
	vectors(t, "errors.json", made)
}

type closeVector struct {
	Code     CloseCode `json:"code"`
	ComeBack bool      `json:"come_back"`
}

// docs/protocol.md §8
func TestCloseVectors(t *testing.T) {
	made := []closeVector{}
	for code := range closeNames {
		made = append(made, closeVector{code, code.Resumable()})
	}
	for _, code := range []CloseCode{1001, 1005, 1006, 1010, 1012, 1013, 4499, 4999} { // not ours, or the edges
		made = append(made, closeVector{code, code.Resumable()})
	}
	slices.SortFunc(made, func(a, b closeVector) int { return int(a.Code) - int(b.Code) })
	vectors(t, "closes.json", made)
}

// TestCloseNames holds closeNames against the source: Go has no other list of
// constants.
func TestCloseNames(t *testing.T) {
	source, err := os.ReadFile("close.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range closeNames {
		named[name] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(Close\w+) +CloseCode = `).FindAllStringSubmatch(string(source), -1) {
		if !named[m[1]] {
			t.Errorf("%s has no vector", m[1])
		}
		delete(named, m[1])
	}
	for name := range named {
		t.Errorf("%s is not a constant of close.go", name)
	}
}

// closeNames are the close codes that the server sends.
var closeNames = map[CloseCode]string{
	CloseNormal: "CloseNormal", CloseProtocolError: "CloseProtocolError", CloseUnsupported: "CloseUnsupported", CloseInvalidUTF8: "CloseInvalidUTF8",
	ClosePolicy: "ClosePolicy", CloseTooBig: "CloseTooBig", CloseInternal: "CloseInternal", CloseDrain: "CloseDrain", CloseSlow: "CloseSlow",
	CloseHeartbeat: "CloseHeartbeat", CloseExpired: "CloseExpired", CloseMoved: "CloseMoved", CloseStoreUnavailable: "CloseStoreUnavailable",
	CloseBadRequest: "CloseBadRequest", CloseUnauthenticated: "CloseUnauthenticated", CloseRemoved: "CloseRemoved", CloseRoomNotFound: "CloseRoomNotFound",
	CloseVersion: "CloseVersion", CloseTooManyConnections: "CloseTooManyConnections", CloseTooManyErrors: "CloseTooManyErrors", CloseOrigin: "CloseOrigin",
}

type cursorVector struct {
	Text  string `json:"text"`
	Valid bool   `json:"valid"`
	Epoch string `json:"epoch,omitzero"`
	Seq   uint64 `json:"seq"`
	Tag   string `json:"tag,omitzero"`
}

// docs/protocol.md §6.4
func TestCursorVectors(t *testing.T) {
	var made []cursorVector
	for _, text := range []string{
		"k3v9x0ab:0", "k3v9x0ab:12", "k3v9x0ab:12:1a2b3c4d", "A:9007199254740991:00000000", "", "k3v9x0ab", "k3v9x0ab:", ":1", "k3v9x0ab:01", "k3v9x0ab:-1",
		"k3v9x0ab:1.0", "k3v9x0ab:9007199254740992", "k3v9x0ab:1:1a2b3c4", "k3v9x0ab:1:1a2b3c4d5", "k3v9x0ab:1:1a2b3c4g", "k3v9x0ab:1:1a2b3c4d:", "k3-9:1", "ñ:1", "k3v9x0ab: 1",
	} {
		c, err := chat.ParseCursor(text)
		v := cursorVector{Text: text, Valid: err == nil}
		if v.Valid {
			v.Epoch, v.Seq = c.Epoch, c.Seq
			if c.HasTag {
				v.Tag = string(appendTag(nil, c.Tag))
			}
		}
		made = append(made, v)
	}
	vectors(t, "cursors.json", made)
}

// object decodes a frame as any client would.
func object(t *testing.T, frame []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(frame, &v); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
