package schematest_test

import (
	"bytes"
	"testing"

	"tertulia/internal/api"
	"tertulia/internal/observe"
	"tertulia/internal/schematest"
	"tertulia/wire/schema"
)

// The documents that the server serves are what they say they are, and one
// that is not is found.
func TestDocumentsFollowTheirStandards(t *testing.T) {
	for _, test := range []struct {
		name     string
		document []byte
		check    func([]byte) error
		faults   [][2]string
	}{
		{"OpenAPI", api.Document(observe.Build{}), schematest.OpenAPI, [][2]string{
			{`"openapi": "3.1`, `"openapi": "3.0`}, {`"in": "path"`, `"in": "body"`}, {`"responses":`, `"answers":`},
		}},
		{"AsyncAPI", schema.AsyncAPI("1.2.3"), schematest.AsyncAPI, [][2]string{
			{`"asyncapi": "3.0.0"`, `"asyncapi": "2.6.0"`}, {`"action": "send"`, `"action": "shout"`}, {`"payload":`, `"load":`},
		}},
	} {
		if err := test.check(test.document); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		for _, fault := range test.faults {
			if wrong := bytes.ReplaceAll(test.document, []byte(fault[0]), []byte(fault[1])); bytes.Equal(wrong, test.document) {
				t.Errorf("%s has no %s", test.name, fault[0])
			} else if test.check(wrong) == nil {
				t.Errorf("%s with %s is taken", test.name, fault[1])
			}
		}
	}
}
