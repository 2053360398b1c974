package schematest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

type vector struct {
	Name     string
	Profile  string
	Profiles []string
	Frame    string
	Error    string
}

func vectors[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile("../../wire/testdata/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFrameVectors(t *testing.T) {
	for _, v := range vectors[vector](t, "frames.json") {
		for _, p := range v.Profiles {
			if err := Profile(p).Frame([]byte(v.Frame)); err != nil {
				t.Errorf("%s (%s): %v", v.Name, p, err)
			}
		}
	}
}

// What no schema of one command can say is refused by the decoder alone.
var beyondSchemas = map[string]string{
	"two objects":                       "the frame is not one JSON value",
	"member twice":                      "a reader that is not strict takes the last one",
	"lone surrogate":                    "a reader that is not strict replaces it",
	"message in both places, different": "two places with one meaning",
	"ping too long":                     "id and t are measured together",
	"too many members":                  "they are counted over all objects",
	"delete with an exponent":           "4e1 is an integer for JSON Schema",
	"subscribe to a reserved room":      "reserved names are those of rooms elsewhere",
}

func TestCommandVectors(t *testing.T) {
	unused := maps.Clone(beyondSchemas)
	for _, v := range vectors[vector](t, "commands.json") {
		err := Profile(v.Profile).Command([]byte(v.Frame))
		_, beyond := beyondSchemas[v.Name]
		delete(unused, v.Name)
		switch {
		case v.Error == "" && err != nil:
			t.Errorf("%s (%s) is taken by the server and refused by its schema: %v", v.Name, v.Profile, err)
		case v.Error != "" && err == nil && !beyond:
			t.Errorf("%s (%s) is %s for the server and good for its schema", v.Name, v.Profile, v.Error)
		}
	}
	for name := range unused {
		t.Errorf("there is no vector %q", name)
	}
}

type conversation struct {
	Name    string
	Profile string
	Steps   []struct {
		Send, Receive string
		Cut           bool
	}
}

func TestConversationVectors(t *testing.T) {
	for _, c := range vectors[conversation](t, "conversations.json") {
		r := Record(t, Profile(c.Profile))
		for _, s := range c.Steps {
			switch {
			case s.Cut:
				r = Record(t, Profile(c.Profile))
			case s.Send != "":
				r.Sent([]byte(s.Send))
			default:
				r.Received([]byte(s.Receive))
			}
		}
	}
}

// Every example of the document validates: its frames in the profile of their
// part, its commands too, the one apart that shows a mistake.
func TestDocumentedFrames(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	part1, part2, _ := strings.Cut(string(text), "\n# Part 2")
	found := 0
	for profile, part := range map[Profile]string{Seed: part1, V1: part2} {
		for line := range strings.Lines(part) {
			line = strings.TrimSpace(line)
			hold := profile.Frame
			switch {
			case strings.HasPrefix(line, "→ {"):
				hold = profile.Command
			case strings.Contains(line, "…"), strings.HasPrefix(line, `{"type":"message","data":{"content"`), strings.HasPrefix(line, `{"type":"message","content"`):
				continue // a form, and commands in §3.3
			}
			_, frame, _ := strings.Cut(line, `{"type":"`)
			if frame == "" || strings.HasPrefix(line, "|") {
				continue
			}
			found++
			err := hold([]byte(`{"type":"` + frame))
			if mistake := `→ {"type":"message","room":"2","content":"x"}`; (err != nil) != (line == mistake) {
				t.Errorf("docs/protocol.md shows %s: %v", line, err)
			}
		}
	}
	if found < 60 {
		t.Errorf("docs/protocol.md shows %d frames, want more: is it read rightly?", found)
	}
}

// A schema that lets anything pass tests nothing. Each frame of the vectors
// is spoiled in every way that a schema can see, one at a time: a required
// member away, a value of another type, a text too long, a member too many.
func TestSpoiltFramesFail(t *testing.T) {
	spoilt := map[string]int{}
	for _, v := range vectors[vector](t, "frames.json") {
		for _, p := range v.Profiles {
			for what, frame := range spoil(t, v.Frame) {
				if isHarmless(optionalInFrames, typeOf(t, v.Frame), what) {
					continue
				}
				spoilt[p+" "+typeOf(t, v.Frame)]++
				if Profile(p).Frame([]byte(frame)) == nil {
					t.Errorf("%s (%s) is good with %s: %s", v.Name, p, what, frame)
				}
			}
		}
	}
	for _, p := range []Profile{Seed, V1} {
		for _, typ := range Types(string(p) + "_frames") {
			if n := spoilt[string(p)+" "+typ]; n < 5 {
				t.Errorf("frame %s of %s was spoilt in %d ways, want more", typ, p, n)
			}
		}
	}
}

func TestSpoiltCommandsFail(t *testing.T) {
	spoilt := map[string]int{}
	for _, v := range vectors[vector](t, "commands.json") {
		if v.Error != "" || strings.Contains(v.Name, "data") || strings.Contains(v.Name, "both places") || v.Name == "unknown members" {
			continue
		}
		for what, frame := range spoil(t, v.Frame) {
			if strings.HasPrefix(what, "a member too many") || isHarmless(optionalInCommands, typeOf(t, v.Frame), what) {
				continue // the server ignores them
			}
			spoilt[v.Profile+" "+typeOf(t, v.Frame)]++
			if Profile(v.Profile).Command([]byte(frame)) == nil {
				t.Errorf("%s (%s) is good with %s: %s", v.Name, v.Profile, what, frame)
			}
		}
	}
	for _, p := range []Profile{Seed, V1} {
		for _, typ := range Types(string(p) + "_commands") {
			if spoilt[string(p)+" "+typ] == 0 {
				t.Errorf("command %s of %s was not spoilt", typ, p)
			}
		}
	}
}

func typeOf(t *testing.T, frame string) string {
	t.Helper()
	var v struct{ Type string }
	if err := json.Unmarshal([]byte(frame), &v); err != nil {
		t.Fatal(err)
	}
	return v.Type
}

// spoil returns a frame with one thing wrong, for each thing that can be.
func spoil(t *testing.T, frame string) map[string]string {
	t.Helper()
	all := map[string]string{}
	var whole any
	if err := json.Unmarshal([]byte(frame), &whole); err != nil {
		t.Fatal(err)
	}
	keep := func(what string) {
		b, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		all[what] = string(b)
	}
	spoilBelow("", whole, keep)
	return all
}

// spoilBelow changes v in place, calls keep, and puts it right again.
func spoilBelow(at string, v any, keep func(what string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			here, was := at+"/"+name, v[name]
			delete(v, name)
			keep("no " + here)
			for what, other := range others(was) {
				v[name] = other
				keep(what + " " + here)
			}
			v[name] = was
			spoilBelow(here, was, keep)
		}
		v["colour"] = "red"
		keep("a member too many in " + at)
		delete(v, "colour")
	case []any:
		for i, was := range v {
			for what, other := range others(was) {
				v[i] = other
				keep(fmt.Sprintf("%s %s/%d", what, at, i))
			}
			v[i] = was
			spoilBelow(fmt.Sprintf("%s/%d", at, i), was, keep)
		}
	}
}

// others returns values that may not stand in the place of this one.
func others(was any) map[string]any {
	switch was.(type) {
	case string:
		return map[string]any{"an object in place of": map[string]any{}, "true in place of": true, "too long": strings.Repeat("x", 20_000)}
	case float64:
		return map[string]any{"an array in place of": []any{}, "a fraction in place of": 1.5, "a negative": -1}
	case bool:
		return map[string]any{"a text in place of": "yes"}
	case nil:
		return map[string]any{"an object in place of": map[string]any{}}
	}
	return map[string]any{"a text in place of": "yes", "a number in place of": 7}
}
