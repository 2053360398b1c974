package chat

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCursorsText(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		want Cursors
	}{
		{"none", "AQ", nil},
		{"one", "AQExAQhrM3Y5eDBhYgwaKzxN", Cursors{{"1", Cursor{"k3v9x0ab", 12, 0x1a2b3c4d, true}}}},
		{"several, of two epochs", "AQExAQhrM3Y5eDBhYgwaKzxNATICBQNvbGUAAWUA", Cursors{
			{"1", Cursor{"k3v9x0ab", 12, 0x1a2b3c4d, true}},
			{"2", Cursor{"k3v9x0ab", 5, 0, false}},
			{"ole", Cursor{"e", 0, 0, false}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			shuffled := slices.Clone(c.want)
			slices.Reverse(shuffled)
			if got := shuffled.String(); got != c.text {
				t.Errorf("String() = %s, want %s", got, c.text)
			}
			if got, err := ParseCursors(c.text); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("ParseCursors(%s) = %+v, %v, want %+v", c.text, got, err, c.want)
			}
			for i := range c.want {
				if got := c.want.Find(c.want[i].Room); got == nil || *got != c.want[i].Cursor {
					t.Errorf("Find(%s) = %v, want %v", c.want[i].Room, got, c.want[i].Cursor)
				}
			}
			if got := c.want.Find("nowhere"); got != nil {
				t.Errorf("Find of a room that is not there = %v", got)
			}
		})
	}
}

// What AppendText does not write is refused.
func TestParseCursorsIsStrict(t *testing.T) {
	bytes := func(parts ...string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "")))
	}
	const one = "\x011\x00\x01e\x05"
	if _, err := ParseCursors(bytes("\x01", one)); err != nil {
		t.Fatalf("the text that the others are made of: %v", err)
	}
	for _, c := range []struct{ name, text string }{
		{"empty", ""},
		{"a cursor of one room", "k3v9x0ab:12:1a2b3c4d"},
		{"padding", "AQ=="},
		{"unused bits", "AR"},
		{"standard alphabet", "AQ+/"},
		{"line break", "AQ\n"},
		{"another version", bytes("\x02", one)},
		{"too long", strings.Repeat("A", MaxCursorsBytes+1)},
		{"cut off", bytes("\x01", one[:len(one)-1])},
		{"tag cut off", bytes("\x01", "\x011\x01\x01e\x05abc")},
		{"nothing but a length", bytes("\x01", "\x01")},
		{"no flags", bytes("\x01", "\x011")},
		{"unknown flag", bytes("\x01", "\x011\x04\x01e\x05")},
		{"the epoch of none before", bytes("\x01", "\x011\x02\x05")},
		{"the same epoch written out", bytes("\x01", one, "\x012\x00\x01e\x05")},
		{"empty epoch", bytes("\x01", "\x011\x00\x00\x05")},
		{"bad epoch", bytes("\x01", "\x011\x00\x01:\x05")},
		{"long epoch", bytes("\x01", "\x011\x00\x3f", strings.Repeat("e", 63), "\x05")},
		{"empty room", bytes("\x01", "\x00\x00\x01e\x05")},
		{"bad room", bytes("\x01", "\x01/\x00\x01e\x05")},
		{"a room twice", bytes("\x01", one, "\x011\x02\x06")},
		{"rooms out of order", bytes("\x01", one, "\x010\x02\x06")},
		{"long varint", bytes("\x01", "\x011\x00\x01e\x85\x00")},
		{"seq beyond 2^53−1", bytes("\x01", "\x011\x00\x01e\x80\x80\x80\x80\x80\x80\x80\x10")},
		{"endless varint", bytes("\x01", "\x011\x00\x01e", strings.Repeat("\xff", 11))},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseCursors(c.text)
			if codeOf(err) != CursorInvalid {
				t.Errorf("ParseCursors(%q) = %v, %v, want code %s", c.text, got, err, CursorInvalid)
			}
		})
	}
}

// However long the names, the cursor of 32 rooms can be sent.
func TestCursorsFit(t *testing.T) {
	var cs Cursors
	for i := range 32 {
		room := RoomID(fmt.Sprintf("%s%02d", strings.Repeat("r", MaxRoomIDBytes-2), i))
		epoch := fmt.Sprintf("%s%02d", strings.Repeat("e", maxEpochBytes-2), i)
		cs = append(cs, RoomCursor{room, Cursor{epoch, maxSafeInteger, 0x12345678, true}})
	}
	text := cs.String()
	if len(text) > MaxCursorsBytes {
		t.Errorf("the cursor of 32 rooms has %d bytes, want at most %d", len(text), MaxCursorsBytes)
	}
	if got, err := ParseCursors(text); err != nil || !slices.Equal(got, cs) {
		t.Errorf("ParseCursors = %v, %v, want what was written", got, err)
	}
}

func FuzzParseCursors(f *testing.F) {
	for _, s := range []string{"AQ", "AQExAQhrM3Y5eDBhYgwaKzxN", "AQExAQhrM3Y5eDBhYgwaKzxNATICBQNvbGUAAWUA", "", "AR", "k3v9x0ab:12:1a2b3c4d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cs, err := ParseCursors(s)
		if err != nil {
			if codeOf(err) != CursorInvalid {
				t.Fatalf("ParseCursors(%q): %v, want code %s", s, err, CursorInvalid)
			}
			return
		}
		if got := cs.String(); got != s {
			t.Fatalf("ParseCursors(%q) = %v, which is written %q", s, cs, got)
		}
		for i, c := range cs {
			if _, err := ParseAnyRoomID(string(c.Room)); err != nil || i > 0 && c.Room <= cs[i-1].Room {
				t.Fatalf("ParseCursors(%q) = %v, of which %q should not be there", s, cs, c.Room)
			}
		}
	})
}
