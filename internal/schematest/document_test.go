package schematest

import (
	"net/http"
	"strings"
	"testing"
)

const small = `{
  "openapi": "3.1.0",
  "paths": {"/rooms/{room}": {"put": {
    "parameters": [
      {"name": "room", "in": "path", "required": true, "schema": {"type": "string"}},
      {"name": "limit", "in": "query", "required": true, "schema": {"type": "integer", "maximum": 200}},
      {"name": "If-Match", "in": "header", "schema": {"type": "string", "minLength": 2}}
    ],
    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Room"}}}},
    "responses": {
      "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Room"}}}},
      "204": {"description": "done"}
    }
  }}},
  "components": {"schemas": {"Room": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}}}
}`

func readSmall(t *testing.T) *Document {
	t.Helper()
	d, err := Read([]byte(small))
	if err == nil {
		err = d.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A check that lets an answer pass which is not described tests nothing.
func TestAnswersAreHeldToTheDocument(t *testing.T) {
	d := readSmall(t)
	for _, c := range []struct {
		name   string
		status int
		kind   string
		body   string
		good   bool
	}{
		{"as described", 200, "application/json", `{"id":"1"}`, true},
		{"without a body", 204, "", "", true},
		{"another status", 201, "application/json", `{"id":"1"}`, false},
		{"another media type", 200, "text/plain", `{"id":"1"}`, false},
		{"no body", 200, "application/json", "", false},
		{"a body too many", 204, "application/json", `{"id":"1"}`, false},
		{"a member missing", 200, "application/json", `{}`, false},
		{"a member too many", 200, "application/json", `{"id":"1","x":1}`, false},
		{"no JSON", 200, "application/json", `{`, false},
	} {
		err := d.Answer("PUT", "/rooms/{room}", c.status, http.Header{"Content-Type": {c.kind}}, []byte(c.body))
		if (err == nil) != c.good {
			t.Errorf("%s: %v, want it to pass: %v", c.name, err, c.good)
		}
	}
}

func TestRequestsAreHeldToTheDocument(t *testing.T) {
	d := readSmall(t)
	for _, c := range []struct {
		name, query, match, body string
		good                     bool
	}{
		{"as described", "limit=7&user_id=1", `"x"`, `{"id":"1"}`, true},
		{"a parameter missing", "", "", `{"id":"1"}`, false},
		{"a parameter too large", "limit=201", "", `{"id":"1"}`, false},
		{"a parameter of another type", "limit=x", "", `{"id":"1"}`, false},
		{"a parameter too many", "limit=7&colour=red", "", `{"id":"1"}`, false},
		{"a header too short", "limit=7", "x", `{"id":"1"}`, false},
		{"another body", "limit=7", "", `{"id":1}`, false},
	} {
		r, err := http.NewRequest("PUT", "http://localhost/rooms/1?"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.match != "" {
			r.Header.Set("If-Match", c.match)
		}
		if err := d.Request("/rooms/{room}", r, []byte(c.body)); (err == nil) != c.good {
			t.Errorf("%s: %v, want it to pass: %v", c.name, err, c.good)
		}
	}
}

// A reference that leads nowhere is found, wherever it stands.
func TestDeadReferences(t *testing.T) {
	for _, from := range []string{`"properties": {"id": {"type": "string"}}`, `"schema": {"$ref": "#/components/schemas/Room"}}}},`} {
		d, err := Read([]byte(strings.Replace(small, from, strings.NewReplacer(`{"type": "string"}`, `{"$ref": "#/nothing"}`, "schemas/Room", "schemas/None").Replace(from), 1)))
		if err != nil {
			t.Fatal(err)
		}
		if d.Check() == nil {
			t.Errorf("Check passes with another reference in place of %s", from)
		}
	}
}
