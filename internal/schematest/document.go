package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document holds requests and answers to an OpenAPI document. It may be used
// from any goroutine.
type Document struct {
	document map[string]any

	mu       sync.Mutex // the compiler is for one at a time
	compiler *jsonschema.Compiler
}

// documentURL is where the document is for the compiler.
const documentURL = base + "openapi.json"

// Read reads a document. Its objects are closed as those of frames are.
func Read(text []byte) (*Document, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	document, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the document is no object")
	}
	Close(document)
	d := &Document{document: document, compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource(documentURL, document)
}

// Check compiles every schema of the document, so that all of its references
// lead somewhere.
func (d *Document) Check() error { return d.checkBelow("", d.document) }

func (d *Document) checkBelow(pointer string, v any) error {
	var errs []error
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			at := pointer + "/" + escape(name)
			if name == "schema" || pointer == "/components/schemas" {
				_, err := d.compile(at)
				errs = append(errs, err)
			} else {
				errs = append(errs, d.checkBelow(at, member))
			}
		}
	case []any:
		for i, element := range v {
			errs = append(errs, d.checkBelow(fmt.Sprintf("%s/%d", pointer, i), element))
		}
	}
	return errors.Join(errs...)
}

func (d *Document) compile(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.compiler.Compile(documentURL + "#" + pointer)
}

// escape writes a name for a JSON Pointer in a URL.
func escape(name string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}

// Component returns why JSON is not what a component describes.
func (d *Document) Component(name string, text []byte) error {
	return d.hold("/components/schemas/"+escape(name), text)
}

func (d *Document) hold(pointer string, text []byte) error {
	s, err := d.compile(pointer)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return s.Validate(v)
}

// at follows names from the top, nil if there is nothing.
func (d *Document) at(names ...string) any {
	var v any = d.document
	for _, name := range names {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// Answer returns why an answer to an operation, named by its method and path,
// is not as the document has it: its status, its media type and its body.
func (d *Document) Answer(method, path string, status int, header http.Header, body []byte) error {
	method, code := strings.ToLower(method), strconv.Itoa(status)
	described, ok := d.at("paths", path, method, "responses", code).(map[string]any)
	if !ok {
		return fmt.Errorf("the status %d is not described", status)
	}
	content, _ := described["content"].(map[string]any)
	if len(body) == 0 || content == nil {
		if len(body) > 0 || content != nil {
			return fmt.Errorf("status %d has a body of %d bytes, and one is described: %v", status, len(body), content != nil)
		}
		return nil
	}
	kind := header.Get("Content-Type")
	if content[kind] == nil {
		return fmt.Errorf("status %d has the media type %q, which is not described", status, kind)
	}
	return d.hold(pointerTo("paths", path, method, "responses", code, "content", kind, "schema"), body)
}

func pointerTo(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("/" + escape(name))
	}
	return b.String()
}

// Request returns why a request that was answered with success is not as the
// document has it: its parameters and its body.
func (d *Document) Request(path string, r *http.Request, body []byte) error {
	method := strings.ToLower(r.Method)
	errs := d.parameters(path, method, r)
	described := d.at("paths", path, method, "requestBody")
	if described != nil && len(body) > 0 {
		errs = append(errs, d.hold(pointerTo("paths", path, method, "requestBody", "content", "application/json", "schema"), body))
	} else if described == nil && len(body) > 0 {
		errs = append(errs, errors.New("it has a body, and none is described"))
	}
	return errors.Join(errs...)
}

func (d *Document) parameters(path, method string, r *http.Request) (errs []error) {
	list, _ := d.at("paths", path, method, "parameters").([]any)
	query := r.URL.Query()
	for i, p := range list {
		p := p.(map[string]any)
		name := p["name"].(string)
		var values []string
		switch p["in"] {
		case "query":
			values = query[name]
			query.Del(name)
		case "header":
			values = r.Header.Values(name)
		default:
			continue // of the path: it was found by it
		}
		if p["required"] == true && len(values) == 0 {
			errs = append(errs, fmt.Errorf("the parameter %s is missing", name))
		}
		if len(values) > 0 {
			if err := d.hold(pointerTo("paths", path, method, "parameters", strconv.Itoa(i), "schema"), asJSON(p["schema"], values[0])); err != nil {
				errs = append(errs, fmt.Errorf("the parameter %s: %w", name, err))
			}
		}
	}
	for name := range query {
		if name != "user_id" && name != "username" { // who asks, in open mode
			errs = append(errs, fmt.Errorf("the parameter %s is not described", name))
		}
	}
	return errs
}

// asJSON writes the value of a parameter as its schema has it.
func asJSON(schema any, value string) []byte {
	s, _ := schema.(map[string]any)
	switch s["type"] {
	case "integer", "number", "boolean":
		return []byte(value)
	case "array":
		b, _ := json.Marshal(strings.Split(value, ",")) // strings have JSON
		return b
	}
	b, _ := json.Marshal(value)
	return b
}
