package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
	"tertulia/internal/observe"
	"tertulia/wire/schema"
)

// OpenAPI returns the document that describes the API, as JSON. The caller
// must not change it.
func (a *API) OpenAPI() []byte { return a.openAPI }

// Document returns what OpenAPI returns of an API that serves everything, for
// who wants to read it without a server.
func Document(build observe.Build) []byte {
	nothing := func(http.ResponseWriter, *http.Request) error { return errNoPath }
	return New(Config{Build: build, Stream: nothing, Poll: nothing}).OpenAPI()
}

// jsonDocument is the output of what answers with a document as it is.
type jsonDocument struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

func documentOf(text []byte) *jsonDocument {
	return &jsonDocument{ContentType: "application/json", Body: text}
}

// describeDocuments serves the documents. It comes last: what is registered
// later is not in them.
func (a *API) describeDocuments(to *routes) {
	sockets := schema.AsyncAPI(a.cfg.Build.Version)
	register(to, operation{
		id: "get-openapi", method: http.MethodGet, path: "/openapi.json", tag: "server", needs: anyone,
		summary: "Get this document",
	}, func(context.Context, *empty) (*jsonDocument, error) { return documentOf(a.openAPI), nil })
	register(to, operation{
		id: "get-asyncapi", method: http.MethodGet, path: "/asyncapi.json", tag: "server", needs: anyone,
		summary: "Get the AsyncAPI document of the WebSocket",
	}, func(context.Context, *empty) (*jsonDocument, error) { return documentOf(sockets), nil })
	register(to, operation{
		id: "get-schema", method: http.MethodGet, path: "/schemas/{file}", tag: "server", needs: anyone,
		summary: "Get JSON Schemas of frames and commands", codes: []chat.Code{chat.PathNotFound},
	}, getSchema)
	for _, path := range []string{"/openapi.json", "/asyncapi.json", "/schemas/{file}"} {
		success := to.OpenAPI().Paths[path].Get.Responses["200"]
		success.Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}}
	}
	a.openAPI = whole(to.OpenAPI())
}

type getSchemaInput struct {
	File string `path:"file" doc:"shared.json, events.json, or seed or v1 with _frames.json or _commands.json."`
}

func getSchema(_ context.Context, in *getSchemaInput) (*jsonDocument, error) {
	name, ok := strings.CutSuffix(in.File, ".json")
	text, found := schema.File(name)
	if !ok || !found {
		return nil, chat.Errorf(chat.PathNotFound, "There are no schemas of this name; there are those of %s, each with .json.", strings.Join(schema.Names(), ", "))
	}
	return documentOf(text), nil
}

// whole returns a document with the schemas of frames that it refers to.
func whole(d *huma.OpenAPI) []byte {
	d.Components.Schemas.Schema(reflect.TypeFor[problemJSON](), true, "")
	d.Components.Schemas.Map()["Problem"].Properties["code"] = &huma.Schema{Ref: schema.Ref("shared.code")}
	text, err := d.MarshalJSON()
	var document map[string]any
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	if err == nil {
		components := document["components"].(map[string]any)["schemas"].(map[string]any)
		addReferred(components, document, schema.Components())
		text, err = json.Marshal(document, json.Deterministic(true), jsontext.WithIndent("  "))
	}
	if err != nil {
		panic(fmt.Sprintf("api: the document cannot be encoded: %v", err)) // it is the same in every run
	}
	return append(text, '\n')
}

// addReferred adds to components those of from that are referred to below v,
// and those that they refer to.
func addReferred(components map[string]any, v any, from map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		ref, _ := v["$ref"].(string)
		name, ok := strings.CutPrefix(ref, schema.Ref(""))
		if s := from[name]; ok && s != nil && components[name] == nil {
			components[name] = s
			addReferred(components, s, from)
		}
		for _, member := range v {
			addReferred(components, member, from)
		}
	case []any:
		for _, element := range v {
			addReferred(components, element, from)
		}
	}
}
