package schema_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/schematest"
	"tertulia/wire"
	"tertulia/wire/schema"
)

func parse(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// member follows a path of members.
func member(v any, path ...string) any {
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// Every file is a schema by the meta-schema of 2020-12, and so is every
// definition.
func TestFilesAreSchemas(t *testing.T) {
	compiler := schematest.Compiler()
	for _, name := range schema.Names() {
		text, ok := schema.File(name)
		if !ok {
			t.Errorf("there is no file %s", name)
		}
		file := parse(t, text)
		if file["$schema"] != "https://json-schema.org/draft/2020-12/schema" || file["title"] == nil || file["description"] == nil {
			t.Errorf("%s.json does not say what it is", name)
		}
		for def, s := range file["$defs"].(map[string]any) {
			if _, err := compiler.Compile("tertulia:///" + name + ".json#/$defs/" + def); err != nil {
				t.Error(err)
			}
			if member(s, "description") == nil {
				t.Errorf("%s.json does not describe %s", name, def)
			}
		}
	}
	if _, ok := schema.File("asyncapi"); ok {
		t.Error("asyncapi is served as a schema")
	}
}

// docs/protocol.md §7
func TestCodes(t *testing.T) {
	text, _ := schema.File("shared")
	var have []string
	for _, code := range member(parse(t, text), "$defs", "code", "enum").([]any) {
		have = append(have, code.(string))
	}
	var want []string
	for code := range chat.Codes {
		want = append(want, string(code))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("shared.json has the codes %q, package chat has %q", have, want)
	}
}

// Every reference within the document leads somewhere.
func TestReferences(t *testing.T) {
	document := parse(t, schema.AsyncAPI("1.2.3"))
	if version := member(document, "info", "version"); version != "1.2.3" {
		t.Errorf("the document has the version %v", version)
	}
	count := 0
	each(document, func(ref string) {
		count++
		path, ok := strings.CutPrefix(ref, "#/")
		if !ok || member(document, strings.Split(path, "/")...) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	if count < 500 {
		t.Errorf("the document has %d references, want more", count)
	}
}

// each calls f for every reference below v.
func each(v any, f func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			f(ref)
		}
		for _, member := range v {
			each(member, f)
		}
	case []any:
		for _, element := range v {
			each(element, f)
		}
	}
}

// Every frame and command of a profile is a message with its schema and an
// example, and belongs to an operation of each of the profile's channels.
func TestMessages(t *testing.T) {
	document := parse(t, schema.AsyncAPI("1.2.3"))
	messages := member(document, "components", "messages").(map[string]any)
	for _, profile := range []schematest.Profile{schematest.Seed, schematest.V1} {
		for kind, validate := range map[string]func([]byte) error{"frame": profile.Frame, "command": profile.Command} {
			file := fmt.Sprintf("%s_%ss", profile, kind)
			for _, typ := range schematest.Types(file) {
				name := fmt.Sprintf("%s_%s_%s", profile, kind, typ)
				m := messages[name]
				delete(messages, name)
				if ref := member(m, "payload", "$ref"); ref != schema.Ref(file+"."+typ) || member(m, "name") != typ || member(m, "summary") == nil {
					t.Errorf("message %s has the payload %v, want that of %s in %s.json", name, ref, typ, file)
					continue
				}
				checkExample(t, name, m, typ, validate)
				checkOperations(t, document, name, string(profile))
			}
		}
	}
	for name := range messages {
		t.Errorf("message %s is no frame and no command", name)
	}
}

func checkExample(t *testing.T, name string, m any, typ string, validate func([]byte) error) {
	t.Helper()
	examples, _ := member(m, "examples").([]any)
	if len(examples) == 0 {
		t.Errorf("message %s has no example", name)
		return
	}
	payload := member(examples[0], "payload")
	text, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(text); err != nil || member(payload, "type") != typ {
		t.Errorf("message %s has the example %s: %v", name, text, err)
	}
}

// checkOperations wants an operation with a message in each channel of a
// profile, and its channel to list the message.
func checkOperations(t *testing.T, document map[string]any, message, profile string) {
	t.Helper()
	for channel := range member(document, "channels").(map[string]any) {
		if !strings.HasPrefix(channel, profile) {
			continue
		}
		at := "#/channels/" + channel
		used := false
		for _, operation := range member(document, "operations").(map[string]any) {
			if member(operation, "channel", "$ref") != at {
				continue
			}
			each(operation, func(ref string) { used = used || ref == at+"/messages/"+message })
		}
		if !used {
			t.Errorf("no operation of channel %s has the message %s", channel, message)
		}
	}
}

// An operation stays within its channel, and has a direction.
func TestOperations(t *testing.T) {
	document := parse(t, schema.AsyncAPI("1.2.3"))
	for name, operation := range member(document, "operations").(map[string]any) {
		channel, _ := member(operation, "channel", "$ref").(string)
		each(operation, func(ref string) {
			if ref != channel && !strings.HasPrefix(ref, channel+"/messages/") {
				t.Errorf("operation %s is of %s and has %s", name, channel, ref)
			}
		})
		if action := member(operation, "action"); channel == "" || action != "send" && action != "receive" {
			t.Errorf("operation %s of channel %q has the action %v", name, channel, action)
		}
	}
}

// docs/protocol.md §8
func TestCloseCodes(t *testing.T) {
	document := parse(t, schema.AsyncAPI("1.2.3"))
	listed := map[wire.CloseCode]bool{}
	for _, entry := range member(document, "x-close-codes").([]any) {
		code := wire.CloseCode(member(entry, "code").(float64))
		listed[code] = true
		if back := member(entry, "come_back"); back != code.Resumable() || member(entry, "when") == "" {
			t.Errorf("close code %d is listed as %v", code, entry)
		}
	}
	for _, v := range closes(t) {
		if ours := v.Code >= 4000 && v.Code != 4499 && v.Code != 4999 || v.Code == 1011; ours && !listed[v.Code] {
			t.Errorf("close code %d is not listed", v.Code)
		}
	}
}

type closeVector struct{ Code wire.CloseCode }

func closes(t *testing.T) (all []closeVector) {
	t.Helper()
	text, err := os.ReadFile("../testdata/vectors/closes.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}
