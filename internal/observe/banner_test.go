package observe

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"
)

func TestBanner(t *testing.T) {
	g := Greeting{
		Build:  Build{Version: "0.1.0", Commit: "3f2c1ab04d5e", Go: "go1.26.8"},
		Listen: "127.0.0.1:8000",
		Host:   "127.0.0.1:8000",
		Data:   "./tertulia_data",
		Open:   true,
		Next:   "tertulia chat 1",
	}
	want := `tertulia 0.1.0 (3f2c1ab04d5e, go1.26.8)

  WebSocket   ws://127.0.0.1:8000/ws/{room_id}?user_id=1&username=Juan
  API         http://127.0.0.1:8000/docs
  Statistics  http://127.0.0.1:8000/ws/stats
  Health      http://127.0.0.1:8000/health
  Data        ./tertulia_data

  Everyone is who they say they are; this server listens on loopback only.
  Next: in another terminal, run   tertulia chat 1

`
	if got := g.Banner(); got != want {
		t.Errorf("banner:\n%s\nwant:\n%s", got, want)
	}
	g.TLS = true
	want = strings.NewReplacer("ws://", "wss://", "http://", "https://").Replace(want)
	if got := g.Banner(); got != want {
		t.Errorf("banner with TLS:\n%s\nwant:\n%s", got, want)
	}
}

// Where a token says who somebody is, nothing in the URL does.
func TestBannerOfTokens(t *testing.T) {
	got := Greeting{Host: "127.0.0.1:8000", Next: "tertulia token create --user 1"}.Banner()
	if strings.Contains(got, "user_id") || strings.Contains(got, "who they say they are") || !strings.Contains(got, "token create") {
		t.Errorf("the banner of a server that asks for tokens is:\n%s", got)
	}
}

func TestBannerWarnsOfOthers(t *testing.T) {
	g := Greeting{Listen: "[::]:8000", Host: "127.0.0.1:8000", Open: true, OthersReach: true}
	got := g.Banner()
	for _, want := range []string{"  Warning: whoever reaches [::]:8000 can speak under any name.\n", "ws://127.0.0.1:8000/ws/"} {
		if !strings.Contains(got, want) {
			t.Errorf("the banner lacks %q:\n%s", want, got)
		}
	}
	var log bytes.Buffer
	g.Log(NewLogger(&log, LogOptions{}))
	if got := log.String(); !strings.Contains(got, "WARN  serving listen=[::]:8000") || strings.Count(got, "\n") != 1 {
		t.Errorf("the log is %q, want one warning", got)
	}
}

func TestBuild(t *testing.T) {
	settings := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "3f2c1ab04d5e6f708192a3b4c5d6e7f8091a2b3c"},
		{Key: "vcs.time", Value: "2026-11-24T00:00:00Z"},
	}
	changed := append(settings[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	for _, test := range []struct {
		name, version string
		settings      []debug.BuildSetting
		want          string
	}{
		{"release", "v0.1.0", settings, "tertulia 0.1.0 (3f2c1ab04d5e, go1.26.8)"},
		{"candidate", "v1.0.0-rc.1", nil, "tertulia 1.0.0-rc.1 (go1.26.8)"},
		{"no release yet", "v0.0.0-20261124015100-3f2c1ab04d5e", settings, "tertulia devel (3f2c1ab04d5e, go1.26.8)"},
		{"after a release", "v0.1.1-0.20261124015100-3f2c1ab04d5e", settings, "tertulia devel (3f2c1ab04d5e, go1.26.8)"},
		{"changed release", "v0.1.0+dirty", changed, "tertulia devel (3f2c1ab04d5e-dirty, go1.26.8)"},
		{"outside a repository", "(devel)", nil, "tertulia devel (go1.26.8)"},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: test.version}, Settings: test.settings}
		if got := buildOf(info).String(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
