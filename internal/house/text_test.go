package house

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// machinePath matches paths that exist on one machine only. It is put
// together here so that it does not match itself.
var machinePath = regexp.MustCompile(`(^|[^\w.])/(` + strings.Join([]string{"root", "work", "farm", "Users", `home/[a-z]+`}, "|") + `)/`)

// texts are the kinds of file that people write.
var texts = map[string]bool{".go": true, ".md": true, ".py": true, ".js": true, ".ts": true, ".sh": true, ".toml": true, ".yml": true, ".sql": true, "": true}

func TestNoPathOfOneMachine(t *testing.T) {
	walk(t, func(at string) {
		if !texts[path.Ext(at)] || strings.Contains(at, "testdata/") {
			return
		}
		text := read(t, at)
		if strings.Contains(text, "\x00") {
			return // a program that somebody has built here
		}
		for i, line := range strings.Split(text, "\n") {
			if found := machinePath.FindString(line); found != "" {
				t.Errorf("%s:%d names a path of one machine: %s", at, i+1, found)
			}
		}
	})
}

func TestMachinePath(t *testing.T) {
	slash := "/"
	for _, test := range []struct {
		text string
		want bool
	}{
		{"see " + slash + "root/go", true},
		{slash + "home/ana/x", true},
		{`"` + slash + "Users/ana", true},
		{"internal" + slash + "work/x", false},
		{"https://example.org/home/", false},
		{"/etc/tertulia/tertulia.toml", false},
	} {
		if got := machinePath.MatchString(test.text); got != test.want {
			t.Errorf("%q is a path of one machine: %v, want %v", test.text, got, test.want)
		}
	}
}
