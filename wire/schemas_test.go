package wire

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tertulia/internal/schematest"
)

// Every command that the decoders know has a schema, and no other.
func TestEveryCommandHasASchema(t *testing.T) {
	sameTypes(t, "v1_commands", sortedKeys(requestFillers))
	sameTypes(t, "seed_commands", []string{TypeMessage, TypePing, TypeTyping})
}

// typeInSource matches where a frame is given its type.
var typeInSource = regexp.MustCompile(`(?:"type":"|append(?:Head|UserEvent|Durable)\(\w+, ")([a-z_]+)"`)

// Every type that the code can send has a schema in one of the profiles, and
// no other: the types are read from the source.
func TestEveryFrameHasASchema(t *testing.T) {
	var sent []string
	for _, typ := range durableTypes {
		sent = append(sent, typ)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range typeInSource.FindAllSubmatch(text, -1) {
			sent = append(sent, string(match[1]))
		}
	}
	slices.Sort(sent)
	have := append(schematest.Types("seed_frames"), schematest.Types("v1_frames")...)
	slices.Sort(have)
	if sent, have = slices.Compact(sent), slices.Compact(have); !slices.Equal(sent, have) {
		t.Errorf("there are schemas for %q\nand the code sends %q", have, sent)
	}
}

func sameTypes(t *testing.T, file string, want []string) {
	t.Helper()
	have := schematest.Types(file)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("%s.json has %q, the decoder knows %q", file, have, want)
	}
}
