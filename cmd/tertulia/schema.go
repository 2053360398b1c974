package main

import (
	"fmt"
	"strings"

	"tertulia/internal/api"
	"tertulia/internal/observe"
	"tertulia/wire/schema"
)

// SchemaCmd holds the commands that write what the server's interfaces are
// described by.
type SchemaCmd struct {
	OpenAPI  SchemaOpenAPICmd  `cmd:"" name:"openapi" help:"Write the OpenAPI document of the REST API."`
	AsyncAPI SchemaAsyncAPICmd `cmd:"" name:"asyncapi" help:"Write the AsyncAPI document of the WebSocket."`
	JSON     SchemaJSONCmd     `cmd:"" name:"json" help:"Write JSON Schemas of frames and commands."`
}

func (SchemaCmd) Help() string {
	return `Examples:

    tertulia schema openapi > openapi.json
    tertulia schema json v1_frames`
}

// SchemaOpenAPICmd writes the document of the REST API.
type SchemaOpenAPICmd struct{}

func (SchemaOpenAPICmd) Help() string {
	return `A server answers the same under /api/v1/openapi.json.

Examples:

    tertulia schema openapi > openapi.json`
}

func (SchemaOpenAPICmd) Run(io IO) error {
	_, err := io.Out.Write(api.Document(observe.ReadBuild()))
	return err
}

// SchemaAsyncAPICmd writes the document of the WebSocket.
type SchemaAsyncAPICmd struct{}

func (SchemaAsyncAPICmd) Help() string {
	return `A server answers the same under /api/v1/asyncapi.json.

Examples:

    tertulia schema asyncapi > asyncapi.json`
}

func (SchemaAsyncAPICmd) Run(io IO) error {
	_, err := io.Out.Write(schema.AsyncAPI(observe.ReadBuild().Version))
	return err
}

// SchemaJSONCmd writes one file of JSON Schemas, or the names of all.
type SchemaJSONCmd struct {
	Name string `arg:"" optional:"" help:"Which file; their names are listed if it is left out."`
}

func (SchemaJSONCmd) Help() string {
	return `A server answers the same under /api/v1/schemas/. The files refer to each other by name, so keep them in one folder.

Examples:

    tertulia schema json
    tertulia schema json v1_frames > v1_frames.json`
}

func (c *SchemaJSONCmd) Run(io IO) error {
	if c.Name == "" {
		_, err := fmt.Fprintln(io.Out, strings.Join(schema.Names(), "\n"))
		return err
	}
	text, ok := schema.File(strings.TrimSuffix(c.Name, ".json"))
	if !ok {
		return errorWithHint(exitUsage, "the names are "+strings.Join(schema.Names(), ", "), "there are no schemas called %s", c.Name)
	}
	_, err := io.Out.Write(text)
	return err
}
