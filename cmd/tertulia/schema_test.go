package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSchemaCommands(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"openapi"}, `"openapi": "3.1.0"`},
		{[]string{"asyncapi"}, `"asyncapi": "3.0.0"`},
		{[]string{"json", "v1_frames"}, `"title": "Frames of the profile v1"`},
		{[]string{"json", "shared.json"}, `"title": "Shared definitions"`},
	} {
		code, stdout, stderr := tertulia(t.Context(), nil, append([]string{"schema"}, c.args...)...)
		if code != exitOK || stderr != "" || !strings.Contains(stdout, c.want) || !json.Valid([]byte(stdout)) {
			t.Errorf("schema %q = %d, %.200q, %q, want JSON with %s", c.args, code, stdout, stderr, c.want)
		}
	}
	if code, stdout, _ := tertulia(t.Context(), nil, "schema", "json"); code != exitOK || strings.Count(stdout, "\n") != 6 {
		t.Errorf("schema json = %d, %q, want six names", code, stdout)
	}
	if code, _, stderr := tertulia(t.Context(), nil, "schema", "json", "x"); code != exitUsage || !strings.Contains(stderr, "hint: the names are shared") {
		t.Errorf("schema json x = %d, %q, want the names as a hint", code, stderr)
	}
}
