package api

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func TestIsJSON(t *testing.T) {
	for in, want := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "Application/JSON; Charset=UTF-8": true,
		"": false, "text/plain": false, "application/json; charset=latin1": false, "application/x-www-form-urlencoded": false, "application/vnd.x+json": false, ";": false,
	} {
		if got := isJSON(in); got != want {
			t.Errorf("isJSON(%q) = %v, want %v", in, got, want)
		}
	}
}

// A body is either read, and is then JSON that no reader takes for something
// else, or refused in a sentence of ours that repeats nothing of it.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"content":"Hola"}`, `{"content":"a","content":"b"}`, `{`, `[]`, `null`, "{\"content\":\"\xff\"}", `{"content":"\ud800"}`, `{"content":5}`, `{} {}`, ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var content contentJSON
		if err := strictJSON.Unmarshal(body, &content); err != nil {
			if !strings.HasPrefix(err.Error(), "The body ") || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q is refused with %q", body, err)
			}
			return
		}
		if !utf8.ValidString(content.Content) || !jsontext.Value(body).IsValid() {
			t.Fatalf("%q is read as %q", body, content.Content)
		}
	})
}
