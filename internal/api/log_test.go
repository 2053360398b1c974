package api

import (
	"testing"

	"tertulia/chat"
)

func TestParsePlace(t *testing.T) {
	for in, want := range map[string]chat.Cursor{
		"0": {}, "12": {Seq: 12}, "k3v9:12": {Epoch: "k3v9", Seq: 12}, "k3v9:12:1a2b3c4d": {Epoch: "k3v9", Seq: 12, Tag: 0x1a2b3c4d, HasTag: true},
	} {
		if got, err := parsePlace(in); err != nil || got != want {
			t.Errorf("parsePlace(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "-1", "01", "1.0", "a:b", "k3v9:12:xyz", ":1"} {
		if _, err := parsePlace(in); err == nil || chat.AsError(err).Code != chat.CursorInvalid {
			t.Errorf("parsePlace(%q): %v, want %s", in, err, chat.CursorInvalid)
		}
	}
}
