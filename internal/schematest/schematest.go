// Package schematest holds what the tests send and get to the JSON Schemas of
// package schema.
//
// The schemas of frames are closed first: one with a member that they do not
// name fails, though clients have to ignore it.
package schematest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tertulia/wire/schema"
)

// Profile is a profile of the protocol, as the files of schemas are named.
type Profile string

const (
	Seed Profile = "seed"
	V1   Profile = "v1"
)

// Frame returns why a server may not send this frame in a profile, nil if it
// may.
func (p Profile) Frame(frame []byte) error { return validate(string(p)+"_frames", frame) }

// Command returns why a frame is no command of a profile, nil if it is one.
func (p Profile) Command(frame []byte) error { return validate(string(p)+"_commands", frame) }

// validate holds an object with a type to the definition of that type, so
// that the error is about it and not about all others too.
func validate(file string, frame []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(frame))
	if err != nil {
		return fmt.Errorf("%s is not JSON: %w", frame, err)
	}
	object, _ := v.(map[string]any)
	typ, _ := object["type"].(string)
	s := definitions()[file+"#/$defs/"+typ]
	if s == nil {
		return fmt.Errorf("%s has a type that %s.json does not have", frame, file)
	}
	return s.Validate(v)
}

// definitions are the types of all files, compiled, by file#/$defs/type.
var definitions = sync.OnceValue(func() map[string]*jsonschema.Schema {
	compiler := Compiler()
	all := make(map[string]*jsonschema.Schema)
	for _, name := range schema.Names() {
		for _, typ := range Types(name) {
			all[name+"#/$defs/"+typ] = compiler.MustCompile(base + name + ".json#/$defs/" + typ)
		}
	}
	return all
})

// base is where the schemas are for the compiler; nothing is fetched.
const base = "tertulia:///"

// Compiler returns a compiler that has the files of schemas, closed, and
// checks formats.
func Compiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, name := range schema.Names() {
		v := file(name)
		if !strings.HasSuffix(name, "_commands") { // a server ignores what it does not know
			Close(v)
		}
		if err := c.AddResource(base+name+".json", v); err != nil {
			panic(err) // the files are the same in every run
		}
	}
	return c
}

func file(name string) any {
	text, _ := schema.File(name)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	return v
}

// Types returns the types that a file's choice is among, none for a file of
// definitions only.
func Types(name string) []string {
	var types []string
	choice, _ := file(name).(map[string]any)["oneOf"].([]any)
	for _, ref := range choice {
		types = append(types, ref.(map[string]any)["$ref"].(string)[len("#/$defs/"):])
	}
	return types
}

// Close has every object below v whose members are named refuse others.
func Close(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, named := v["properties"]
		_, said := v["additionalProperties"]
		if v["type"] == "object" && named && !said {
			v["additionalProperties"] = false
		}
		for _, member := range v {
			Close(member)
		}
	case []any:
		for _, element := range v {
			Close(element)
		}
	}
}
