package schematest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed testdata/*.gz
var standards embed.FS

// OpenAPI returns why JSON is no document of OpenAPI 3.1, by the standard's own
// schema. The JSON Schemas within are looked at by [Document.Check].
func OpenAPI(text []byte) error {
	return standard("openapi-3.1", "https://spec.openapis.org/oas/3.1/schema/2022-10-07", text)
}

// AsyncAPI returns why JSON is no document of AsyncAPI 3.0, by the standard's
// own schema.
func AsyncAPI(text []byte) error {
	return standard("asyncapi-3.0.0", "http://asyncapi.com/definitions/3.0.0/asyncapi.json", text)
}

func standard(file, id string, text []byte) error {
	packed, err := standards.ReadFile("testdata/" + file + ".json.gz")
	if err != nil {
		return err
	}
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	schema, err := jsonschema.UnmarshalJSON(plain)
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(id, schema); err != nil {
		return err
	}
	compiled, err := compiler.Compile(id)
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return compiled.Validate(document)
}
