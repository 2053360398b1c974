package api

import (
	"strconv"
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

// What is taken for a place is one, and is written back as it was read.
func FuzzParsePlace(f *testing.F) {
	for _, s := range []string{"0", "12", "k3v9:12", "k3v9:12:1a2b3c4d", "", ":", "01", "9007199254740992", "é:1", "a:1:2:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parsePlace(s)
		if err != nil {
			if code := chat.AsError(err).Code; code != chat.CursorInvalid {
				t.Fatalf("parsePlace(%q): %v, want %s", s, err, chat.CursorInvalid)
			}
			return
		}
		text := at.String()
		if at.Epoch == "" {
			text = strconv.FormatUint(at.Seq, 10)
		}
		if again, err := parsePlace(text); err != nil || again != at {
			t.Fatalf("parsePlace(%q) = %+v, which reads back as %+v, %v", s, at, again, err)
		}
	})
}
