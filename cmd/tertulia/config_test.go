package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// inFolder makes an empty folder the current one and puts files into it.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What config init writes is found and accepted by config check, and
// equals the defaults in config show.
func TestConfigRoundTrip(t *testing.T) {
	inFolder(t, nil)
	code, file, stderr := tertulia(t.Context(), nil, "config", "init")
	if code != exitOK || stderr != "" {
		t.Fatalf("config init = %d, %q", code, stderr)
	}
	_, defaults, _ := tertulia(t.Context(), nil, "config", "show")
	if err := os.WriteFile("tertulia.toml", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := tertulia(t.Context(), nil, "config", "check")
	if code != exitOK || stdout != "tertulia.toml: ok\n" || stderr != "" {
		t.Errorf("config check = %d, %q, %q", code, stdout, stderr)
	}
	_, shown, _ := tertulia(t.Context(), nil, "config", "show")
	want, got := strings.Split(defaults, "\n"), strings.Split(shown, "\n")
	for i := range want {
		before := strings.TrimSuffix(want[i], "default")
		if !strings.HasPrefix(got[i], before) || i > 0 && before != "" && !strings.Contains(got[i], "tertulia.toml:") {
			t.Errorf("config show: %q, want %q from the file", got[i], before)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		file   string
		env    []string
		code   exitCode
		stdout string
		stderr []string
	}{
		{"nothing to check", "", nil, exitOK, "no file: ok\n", nil},
		{"good", "listen = \"127.0.0.1:9000\"\n", []string{"TERTULIA_LOG_LEVEL=debug"}, exitOK, "tertulia.toml: ok\n", nil},
		{"unknown key", "\n[ws]\n  ping_intervall = \"20s\"\n", nil, exitUsage, "",
			[]string{"tertulia: tertulia.toml:3:3: unknown key ws.ping_intervall; did you mean ws.ping_interval?"}},
		{"unknown variable", "", []string{"TERTULIA_LISEN=x"}, exitUsage, "",
			[]string{"tertulia: TERTULIA_LISEN: unknown variable TERTULIA_LISEN; did you mean TERTULIA_LISTEN?"}},
		{"two mistakes", "lisen = 1\n[history]\non_connect = 999\n", nil, exitUsage, "", []string{
			"tertulia: tertulia.toml:3:1: 999 is out of range; allowed is 0 to 200",
			"tertulia: tertulia.toml:1:1: unknown key lisen; did you mean listen?",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"tertulia.toml": test.file}
			if test.file == "" {
				files = nil
			}
			inFolder(t, files)
			code, stdout, stderr := tertulia(t.Context(), test.env, "config", "check")
			want := ""
			if test.stderr != nil {
				want = strings.Join(test.stderr, "\n") + "\nhint: the keys and their values: tertulia config init\n"
			}
			if code != test.code || stdout != test.stdout || stderr != want {
				t.Errorf("config check = %d, stdout %q, stderr\n%s\nwant %d, %q,\n%s", code, stdout, stderr, test.code, test.stdout, want)
			}
		})
	}
}

// Variables that the client commands read are not taken for mistakes.
func TestClientVariablesAreKnown(t *testing.T) {
	inFolder(t, nil)
	env := []string{"TERTULIA_SERVER=ws://127.0.0.1:8000", "TERTULIA_USER_ID=1", "TERTULIA_USERNAME=Alice"}
	if code, _, stderr := tertulia(t.Context(), env, "config", "check"); code != exitOK {
		t.Errorf("config check with %q = %d, %q, want 0", env, code, stderr)
	}
}

func TestConfigShow(t *testing.T) {
	inFolder(t, map[string]string{"tertulia.toml": "log.format = \"json\"\nlisen = 1\n"})
	env := []string{"TERTULIA_HISTORY_ON_CONNECT=7"}
	code, stdout, stderr := tertulia(t.Context(), env, "config", "show", "--json", "--no-rooms-auto-create")
	if code != exitOK || stderr != "warning: tertulia.toml:2:1: unknown key lisen; did you mean listen?\n" {
		t.Errorf("config show = %d, %q, want 0 and one warning", code, stderr)
	}
	var all []setting
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("config show --json wrote %q: %v", stdout, err)
	}
	found := make(map[string]setting)
	for _, s := range all {
		found[s.Key] = s
	}
	for _, want := range []setting{
		{"listen", "127.0.0.1:8000", "default"},
		{"log.format", "json", "tertulia.toml:1:1"},
		{"history.on_connect", "7", "TERTULIA_HISTORY_ON_CONNECT"},
		{"rooms.auto_create", "false", "--rooms-auto-create"},
	} {
		if got := found[want.Key]; got != want {
			t.Errorf("config show has %+v, want %+v", got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	_, line, _ := tertulia(t.Context(), nil, "version")
	if !strings.HasPrefix(line, "tertulia ") || strings.Count(line, "\n") != 1 {
		t.Errorf("version = %q, want one line", line)
	}
	code, stdout, stderr := tertulia(t.Context(), nil, "version", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK || stderr != "" {
		t.Fatalf("version --json = %d, %q, %q: %v", code, stdout, stderr, err)
	}
	for _, key := range []string{"version", "commit", "date", "go", "schema"} {
		if _, ok := got[key]; !ok {
			t.Errorf("version --json lacks %s: %s", key, stdout)
		}
	}
}

// A file that stands in the way of being read is named.
func TestConfigFolder(t *testing.T) {
	inFolder(t, nil)
	if err := os.Mkdir("tertulia.toml", 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := tertulia(t.Context(), nil, "config", "check")
	if want := "tertulia: tertulia.toml: cannot be read: is a directory\n"; code != exitUsage || !strings.HasPrefix(stderr, want) {
		t.Errorf("config check = %d, %q, want 2, %q", code, stderr, filepath.Clean(want))
	}
}
