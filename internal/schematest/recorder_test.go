package schematest

import (
	"strings"
	"testing"
)

// What the schemas refuse and the server takes is an error, and so is a frame
// that they do not have; what both refuse is none.
func TestRecorder(t *testing.T) {
	bad, good, pong := `{"type":"ping","id":7}`, `{"type":"ping","id":"a"}`, `{"type":"pong","data":{}}`
	refusal := `{"type":"error","message":"No.","code":"invalid_event","data":{"message":"No.","code":"invalid_event","num":1002,"retryable":false}}`
	for _, c := range []struct {
		name  string
		steps []string // what is sent, and behind a "<" what comes
		fails int
	}{
		{"an answer", []string{good, "<" + pong}, 0},
		{"a refusal", []string{bad, "<" + refusal, good, "<" + pong}, 0},
		{"taken and wrong", []string{bad, "<" + pong}, 1},
		{"taken and wrong, behind a good one", []string{good, bad, "<" + pong, "<" + pong}, 1},
		{"a frame that there is not", []string{`<{"type":"caught_up","room":"1","data":{"seq":1}}`}, 1},
		{"no frame", []string{`<hola`}, 1},
	} {
		heard := &counting{TB: t}
		r := Record(heard, Seed)
		for _, s := range c.steps {
			if frame, ok := strings.CutPrefix(s, "<"); ok {
				r.Received([]byte(frame))
			} else {
				r.Sent([]byte(s))
			}
		}
		if heard.errors != c.fails {
			t.Errorf("%s: %d errors, want %d", c.name, heard.errors, c.fails)
		}
	}
}

// counting counts errors in place of the test.
type counting struct {
	testing.TB
	errors int
}

func (c *counting) Errorf(string, ...any) { c.errors++ }
