package api

import (
	"testing"

	"tertulia/chat"
)

// RFC 9110 §13.1.1, §13.1.2
func TestPreconditions(t *testing.T) {
	const etag = `"k3v9.12"`
	for _, c := range []struct {
		name, list       string
		unchanged, match bool
	}{
		{"none given", "", false, true},
		{"the same", `"k3v9.12"`, true, true},
		{"another", `"k3v9.13"`, false, false},
		{"in a list", `"a", "k3v9.12","b"`, true, true},
		{"any", "*", true, true},
		{"weak is good for reading only", `W/"k3v9.12"`, true, false},
		{"without quotes", "k3v9.12", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (Conditional{IfNoneMatch: c.list}).unchanged(etag); got != c.unchanged {
				t.Errorf("If-None-Match: %s is unchanged: %v, want %v", c.list, got, c.unchanged)
			}
			err := Unless{IfMatch: c.list}.check(etag)
			if got := err == nil; got != c.match {
				t.Errorf("If-Match: %s matches: %v, want %v", c.list, got, c.match)
			}
			if err != nil && chat.AsError(err).Code != chat.VersionConflict {
				t.Errorf("If-Match: %s: %v, want %s", c.list, err, chat.VersionConflict)
			}
		})
	}
}
