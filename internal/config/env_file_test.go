package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every variable may name a file with its value instead.
func TestValueInFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	for _, k := range keys {
		c := Default()
		want := k.text(&c)
		if want == "" {
			continue // an empty value cannot be told from none
		}
		if err := os.WriteFile(path, []byte(want+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := load(Input{Env: []string{k.Env() + "_FILE=" + path}}, nil)
		if err != nil {
			t.Errorf("%s_FILE: %v", k.Env(), err)
			continue
		}
		for _, s := range l.Settings {
			if s.Key == k.Name && (s.Value != want || s.Source.Name != k.Env()+"_FILE") {
				t.Errorf("%s_FILE gives %q from %s, want %q", k.Env(), s.Value, s.Source, want)
			}
		}
	}
}

func TestWrongValueInFile(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	if err := os.WriteFile(long, make([]byte, maxValueBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"both":    {[]string{"TERTULIA_LISTEN=127.0.0.1:1", "TERTULIA_LISTEN_FILE=" + long}, "beside TERTULIA_LISTEN"},
		"missing": {[]string{"TERTULIA_LISTEN_FILE=" + dir + "/none"}, "cannot read the value"},
		"long":    {[]string{"TERTULIA_LISTEN_FILE=" + long}, "longer than"},
	} {
		_, err := load(Input{Env: c.env}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
}
