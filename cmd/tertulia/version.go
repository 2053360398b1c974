package main

import (
	"fmt"

	"tertulia/internal/observe"
	"tertulia/internal/store/sqlite"
)

// VersionCmd says which program this is.
type VersionCmd struct {
	JSON bool `help:"Write JSON."`
}

func (VersionCmd) Help() string {
	return `Examples:

    tertulia version
    tertulia version --json`
}

func (c *VersionCmd) Run(io IO) error {
	build := observe.ReadBuild()
	if c.JSON {
		return writeJSON(io, struct {
			observe.Build
			Schema int `json:"schema"`
		}{build, sqlite.SchemaVersion})
	}
	_, err := fmt.Fprintf(io.Out, "%s, schema %d\n", build, sqlite.SchemaVersion)
	return err
}
