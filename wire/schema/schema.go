// Package schema is the protocol in the form that programs read: JSON Schemas
// (2020-12) of every frame and command of both profiles, and the AsyncAPI
// document that names them. docs/protocol.md is the specification; the files
// here are held to it, and to package wire, by tests.
//
// The schemas are open, because the protocol has readers ignore members that
// they do not know. What this version sends has no others; our tests close
// the schemas before they validate with them.
package schema

import (
	"embed"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// names are the files of schemas. They refer to each other by relative URLs,
// so they belong beside each other wherever they are served.
var names = []string{"shared", "events", "seed_frames", "seed_commands", "v1_frames", "v1_commands"}

//go:embed shared.json events.json seed_frames.json seed_commands.json v1_frames.json v1_commands.json asyncapi.json
var files embed.FS

// Names returns the names of all schema files.
func Names() []string { return append([]string(nil), names...) }

// File returns one schema file; ok is false if there is none of this name.
func File(name string) (text []byte, ok bool) {
	for _, n := range names {
		if n == name {
			return read(name), true
		}
	}
	return nil, false
}

func read(name string) []byte {
	text, err := files.ReadFile(name + ".json")
	if err != nil {
		panic("schema: " + err.Error()) // it is embedded
	}
	return text
}

// parse reads an embedded file, which is the same in every run.
func parse(name string) map[string]any {
	var v map[string]any
	if err := json.Unmarshal(read(name), &v); err != nil {
		panic(fmt.Sprintf("schema: %s.json: %v", name, err))
	}
	return v
}

// Components returns every schema under the name that it has among the
// components of a document: file.definition, and file alone for the choice
// among a file's definitions. References are to #/components/schemas/.
func Components() map[string]any {
	all := make(map[string]any)
	for _, name := range names {
		file := parse(name)
		inComponents(file, name)
		definitions, _ := file["$defs"].(map[string]any)
		for def, s := range definitions {
			all[name+"."+def] = s
		}
		if _, ok := file["oneOf"]; ok {
			delete(file, "$defs")
			delete(file, "$schema")
			all[name] = file
		}
	}
	return all
}

// Ref is a reference to one of the [Components], as "shared.message".
func Ref(component string) string { return componentPrefix + component }

const componentPrefix = "#/components/schemas/"

// inComponents rewrites the references below v, which stand in the named
// file, to those among components. References that are no file's stay.
func inComponents(v any, file string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			v["$ref"] = componentRef(ref, file)
		}
		for _, member := range v {
			inComponents(member, file)
		}
	case []any:
		for _, element := range v {
			inComponents(element, file)
		}
	}
}

func componentRef(ref, file string) string {
	to, def, _ := strings.Cut(ref, "#/$defs/")
	switch {
	case strings.HasSuffix(to, ".json"):
		file = strings.TrimSuffix(to, ".json")
	case to != "":
		return ref // within the document itself
	}
	if def == "" {
		return Ref(file)
	}
	return Ref(file + "." + def)
}

// AsyncAPI returns the AsyncAPI document of a server of this version, whole:
// the schemas are among its components.
func AsyncAPI(version string) []byte {
	document := parse("asyncapi")
	inComponents(document, "asyncapi")
	document["info"].(map[string]any)["version"] = version
	document["components"].(map[string]any)["schemas"] = Components()
	text, err := json.Marshal(document, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic("schema: " + err.Error()) // it was read from JSON
	}
	return append(text, '\n')
}
