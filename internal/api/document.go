package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// document is the frame of the OpenAPI document; register fills it.
func (a *API) document() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:       "Tertulia",
			Version:     a.cfg.Build.Version,
			Description: "The REST API of a Tertulia server. Every answer that is no success is a problem (RFC 9457) with a stable code.",
		},
		Servers: []*huma.Server{{URL: prefix}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer":   {Type: "http", Scheme: "bearer", Description: "A token, or the key of a service."},
				"user_id":  {Type: "apiKey", In: "query", Name: "user_id", Description: "In open mode: who asks."},
				"username": {Type: "apiKey", In: "query", Name: "username", Description: "In open mode: the display name."},
			},
		},
		Security: []map[string][]string{{"bearer": {}}, {"user_id": {}, "username": {}}},
		Tags: []*huma.Tag{
			{Name: "rooms"}, {Name: "members"}, {Name: "messages"}, {Name: "marks"}, {Name: "presence"},
			{Name: "me"}, {Name: "users"}, {Name: "tokens"}, {Name: "server"},
		},
	}
}

// schemaName is the name of a type in the document: roomJSON is Room.
func schemaName(t reflect.Type, hint string) string {
	return strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "JSON", "")
}

type documentOutput struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

// describeDocument serves the document itself. It comes last: what is
// registered later is not in it.
func describeDocument(to *routes) {
	var text []byte
	register(to, operation{
		id: "get-openapi", method: http.MethodGet, path: "/openapi.json", tag: "server", needs: anyone,
		summary: "Get this document",
	}, func(context.Context, *empty) (*documentOutput, error) {
		return &documentOutput{ContentType: "application/json", Body: text}, nil
	})
	success := to.OpenAPI().Paths["/openapi.json"].Get.Responses["200"]
	success.Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}}
	var err error
	if text, err = to.OpenAPI().MarshalJSON(); err != nil {
		panic("api: the document cannot be encoded: " + err.Error()) // it is the same in every run
	}
}
