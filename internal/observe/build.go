package observe

import (
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
)

// Build says what program this is. The toolchain writes it into the binary.
type Build struct {
	// Version is the release without its v, or "devel" for a program that was
	// not built from a release.
	Version string `json:"version"`
	// Commit is the revision it was built from, ending in "-dirty" if files
	// had changed since; empty if unknown.
	Commit string `json:"commit"`
	// Date is when that commit was made, in RFC 3339; empty if unknown.
	Date string `json:"date"`
	// Go is the version of the toolchain.
	Go string `json:"go"`
}

// ReadBuild returns the build of the running program.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: devel, Go: runtime.Version()}
	}
	return buildOf(info)
}

const devel = "devel"

// pseudoVersion matches the versions that the toolchain makes up for commits
// without a tag (go.dev/ref/mod#pseudo-versions), and those of changed trees.
var pseudoVersion = regexp.MustCompile(`[-.]\d{14}-[0-9a-f]{12}|\+dirty`)

func buildOf(info *debug.BuildInfo) Build {
	b := Build{Version: strings.TrimPrefix(info.Main.Version, "v"), Go: info.GoVersion}
	if b.Version == "" || b.Version == "(devel)" || pseudoVersion.MatchString(b.Version) {
		b.Version = devel
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value[:min(len(s.Value), 12)]
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.Commit != "" {
		b.Commit += "-dirty"
	}
	return b
}

// String is one line: tertulia 0.1.0 (3f2c1ab04d5e, go1.26.8).
func (b Build) String() string {
	details := b.Go
	if b.Commit != "" {
		details = b.Commit + ", " + b.Go
	}
	return "tertulia " + b.Version + " (" + details + ")"
}
