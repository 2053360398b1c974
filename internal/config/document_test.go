package config

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"tertulia/internal/limit"
)

var update = flag.Bool("update", false, "write the table of keys into docs/operations.md")

var (
	reflectDuration = reflect.TypeFor[time.Duration]()
	reflectRate     = reflect.TypeFor[limit.Rate]()
)

// The file that `config init` writes loads without a word, sets every key,
// and equals the defaults.
func TestFileEqualsDefaults(t *testing.T) {
	path := writeFile(t, File())
	l, err := load(Input{File: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Unknown) > 0 {
		t.Errorf("unknown in our own file: %v", l.Unknown)
	}
	if want := Default(); !reflect.DeepEqual(l.Config, want) {
		t.Errorf("file gives %+v, want %+v", l.Config, want)
	}
	for _, s := range l.Settings {
		if s.Source.Name != path {
			t.Errorf("%s comes from %s, want it in the file", s.Key, s.Source)
		}
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	file := strings.Join(strings.Fields(strings.ReplaceAll(File(), "\n#", " ")), " ")
	for _, k := range Keys() {
		if k.Help == "" || !strings.HasSuffix(k.Help, ".") {
			t.Errorf("help of %s = %q, want sentences", k.Name, k.Help)
		}
		if !strings.Contains(file, k.Help) {
			t.Errorf("the file does not say what %s does", k.Name)
		}
		if (k.min == "") != (k.max == "") {
			t.Errorf("%s has one bound, want both or none", k.Name)
		}
		if got, want := k.text(new(Default())), k.Default; got != want {
			t.Errorf("default of %s is written %q, want it as %q", k.Name, want, got)
		}
	}
}

const (
	tableBegin = "<!-- The table is made from internal/config: go test ./internal/config -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

func TestTableInOperations(t *testing.T) {
	const path = "../../docs/operations.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), tableBegin)
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+tableBegin+Table()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != Table() {
		t.Errorf("the table in docs/operations.md is old; run go test ./internal/config -update\ngot:\n%s\nwant:\n%s", table, Table())
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "data_dir", "ws.ping_interval", "ws.idle_timeout"}
	for _, test := range []struct{ word, want string }{
		{"lisen", "listen"},
		{"listne", "listen"},
		{"datadir", "data_dir"},
		{"ws.pinginterval", "ws.ping_interval"},
		{"ping_interval", "ws.ping_interval"},
		{"lst", ""},
		{"database", ""},
		{"", ""},
	} {
		if got := Nearest(test.word, names); got != test.want {
			t.Errorf("Nearest(%q) = %q, want %q", test.word, got, test.want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0s"},
		{25 * time.Second, "25s"},
		{time.Minute, "60s"},
		{90 * time.Second, "90s"},
		{10 * time.Minute, "10m"},
		{time.Hour, "1h"},
		{time.Hour + time.Minute, "1h1m"},
		{time.Hour + time.Second, "1h0m1s"},
		{100 * time.Millisecond, "100ms"},
		{1500 * time.Millisecond, "1.5s"},
	} {
		got := formatDuration(test.d)
		if got != test.want {
			t.Errorf("formatDuration(%v) = %q, want %q", test.d, got, test.want)
		}
		if back, err := time.ParseDuration(got); err != nil || back != test.d {
			t.Errorf("%q reads as %v, %v, want %v", got, back, err, test.d)
		}
	}
}
