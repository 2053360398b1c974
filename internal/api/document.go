package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tertulia/wire/schema"
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
			Schemas: huma.NewMapRegistry(schema.Ref(""), schemaName),
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

// shared names a schema of the frames for the document, and returns a
// reference to it. What stands in frames too has one description.
func shared(r huma.Registry, name, component string) *huma.Schema {
	r.Map()[name] = &huma.Schema{Ref: schema.Ref(component)}
	return &huma.Schema{Ref: schema.Ref(name)}
}
