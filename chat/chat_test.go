package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// docs/protocol.md §2.2
func TestParseRoomID(t *testing.T) {
	long := strings.Repeat("a", MaxRoomIDBytes)
	cases := []struct {
		name string
		in   string
		code Code // empty: accepted
	}{
		{"number", "1", ""},
		{"slug", "sala_de-estar.2:x#y", ""},
		{"letters of any script", "ñandú東京", ""},
		{"longest", long, ""},
		{"too long", long + "a", InvalidRoom},
		{"empty", "", InvalidRoom},
		{"dot", ".", InvalidRoom},
		{"dots", "..", InvalidRoom},
		{"three dots", "...", ""},
		{"slash", "a/b", InvalidRoom},
		{"space", "a b", InvalidRoom},
		{"control", "a\x00b", InvalidRoom},
		{"quote", `a"b`, InvalidRoom},
		{"invalid UTF-8", "a\xff", InvalidRoom},
		{"emoji", "🎉", InvalidRoom},
		{"stats", "stats", ReservedRoom},
		{"inbox", "inbox", ReservedRoom},
		{"direct message", "dm:1:2", ReservedRoom},
		{"only looks reserved", "statistics", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseRoomID(c.in)
			if code := codeOf(err); code != c.code {
				t.Fatalf("ParseRoomID(%q): code %q, want %q", c.in, code, c.code)
			}
			if err == nil && string(got) != c.in {
				t.Errorf("ParseRoomID(%q) = %q, want it unchanged", c.in, got)
			}
		})
	}
}

func TestParseUser(t *testing.T) {
	cases := []struct {
		name, id, user string
		code           Code
	}{
		{"prototype", "1", "Juan", ""},
		{"accents and spaces", "u-1", "José P", ""},
		{"right to left", "1", "שלום", ""},
		{"no id", "", "Juan", MissingParameter},
		{"no name", "1", "", MissingParameter},
		{"blank name", "1", " \u00a0", MissingParameter},
		{"long id", strings.Repeat("1", MaxUserIDBytes+1), "Juan", InvalidParameter},
		{"long name", "1", strings.Repeat("n", MaxUserNameBytes+1), InvalidParameter},
		{"invalid UTF-8", "1", "\xc3", InvalidParameter},
		{"escape sequence", "1", "\x1b[31mred", InvalidParameter},
		{"line break", "1", "a\nb", InvalidParameter},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u, err := ParseUser(c.id, c.user)
			if code := codeOf(err); code != c.code {
				t.Fatalf("ParseUser(%q, %q): code %q, want %q", c.id, c.user, code, c.code)
			}
			if err == nil && (string(u.ID) != c.id || u.Name != c.user) {
				t.Errorf("ParseUser(%q, %q) = %+v, want them unchanged", c.id, c.user, u)
			}
		})
	}
}

func TestParseNonce(t *testing.T) {
	for in, want := range map[string]Code{
		"a": "", "01J-xyz~!": "", strings.Repeat("n", MaxNonceBytes): "",
		"": InvalidEvent, strings.Repeat("n", MaxNonceBytes+1): InvalidEvent,
		" a": InvalidEvent, "a b": InvalidEvent, "ñ": InvalidEvent, "\x7f": InvalidEvent,
	} {
		if _, err := ParseNonce(in); codeOf(err) != want {
			t.Errorf("ParseNonce(%q): code %q, want %q", in, codeOf(err), want)
		}
	}
}

// docs/protocol.md §4.1
func TestIsCanonicalInteger(t *testing.T) {
	for in, want := range map[string]bool{
		"0": true, "1": true, "9007199254740991": true, "42": true,
		"9007199254740992": false, "18446744073709551616": false, "01": false, "": false,
		"-1": false, "+1": false, "1.0": false, "1e3": false, " 1": false, "١": false,
	} {
		if got := IsCanonicalInteger(in); got != want {
			t.Errorf("IsCanonicalInteger(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestCursorRoundTrip(t *testing.T) {
	for _, c := range []Cursor{
		{Epoch: "k3v9x0ab", Seq: 0},
		{Epoch: "k3v9x0ab", Seq: 12},
		{Epoch: "k3v9x0ab", Seq: 12, Tag: 0x1a2b3c4d, HasTag: true},
		{Epoch: "a", Seq: 1<<53 - 1, Tag: 0, HasTag: true},
	} {
		got, err := ParseCursor(c.String())
		if err != nil || got != c {
			t.Errorf("ParseCursor(%q) = %+v, %v, want %+v", c.String(), got, err, c)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"k3v9x0ab:12:1a2b3c4d", "e:0", "", ":", "a:b", "a:1:2", "a:01", "é:1", "a:1:1a2b3c4D", "a:18446744073709551615"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err != nil {
			if codeOf(err) != CursorInvalid {
				t.Fatalf("ParseCursor(%q): %v, want code %s", s, err, CursorInvalid)
			}
			return
		}
		if again, err := ParseCursor(c.String()); err != nil || again != c {
			t.Fatalf("ParseCursor(%q) = %+v, which reads back as %+v, %v", s, c, again, err)
		}
	})
}

func FuzzAppendQuote(f *testing.F) {
	for _, s := range []string{"", "hola", `a"b\c`, "\x00\x1f\x7f", "ñ 👩‍👩‍👧", "\xff\xc3", "<&>\u2028", "\n\r\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendQuote(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("AppendQuote(%q) = %s, which is no JSON: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want { // each invalid byte becomes U+FFFD
			t.Fatalf("AppendQuote(%q) reads back as %q, want %q", s, got, want)
		}
		if !utf8.Valid(b) {
			t.Fatalf("AppendQuote(%q) = %q, which is no UTF-8", s, b)
		}
	})
}

func TestMessageBody(t *testing.T) {
	got := string(MessageBody(`di "hola" <b> ñ`))
	if want := `{"content":"di \"hola\" <b> ñ"}`; got != want {
		t.Errorf("MessageBody = %s, want %s", got, want)
	}
}

// A text that is not for the peer stays with us.
func TestAsErrorHidesInternals(t *testing.T) {
	secret := errors.New("dial 10.0.0.7: password wrong")
	if got := AsError(fmt.Errorf("append: %w", secret)); got.Code != Internal || strings.Contains(got.Message, "10.0.0.7") {
		t.Errorf("AsError(internal) = %v, want code internal without the cause", got)
	}
	told := Errorf(TooLarge, "The content is too long.")
	if got := AsError(fmt.Errorf("post: %w", told)); got != told {
		t.Errorf("AsError(wrapped) = %v, want %v", got, told)
	}
}

func TestCodesAreNumberedOnce(t *testing.T) {
	seen := make(map[int]Code)
	for c := range Codes {
		if other, ok := seen[c.Num()]; ok || c.Num() == 0 {
			t.Errorf("code %s has the number %d, like %q", c, c.Num(), other)
		}
		seen[c.Num()] = c
	}
}

// codeOf returns the code of an *Error, empty for nil.
func codeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "not a *chat.Error"
}

// docs/protocol.md §2.2: ids of direct rooms name rooms, and nobody wishes
// for one.
func TestDirectRoomID(t *testing.T) {
	id := DirectRoomID("2", "1")
	if want := DirectRoomID("1", "2"); id != want {
		t.Errorf("DirectRoomID(2, 1) = %q, want %q as for (1, 2)", id, want)
	}
	// printf '\x01\x31\x01\x32' | sha256sum, its first 20 bytes in base32
	if want := RoomID("dm:rwucjx4xv5d6mozzl7yyzs66s6k5vxlk"); id != want {
		t.Errorf("DirectRoomID(1, 2) = %q, want %q", id, want)
	}
	if other := DirectRoomID("12", ""); other == DirectRoomID("1", "2") {
		t.Error("two pairs of users have one room")
	}
	cases := []struct {
		in   string
		code Code
	}{
		{string(id), ""},
		{"general", ""},
		{"dm:1:2", ReservedRoom},
		{"dm:" + strings.Repeat("A", 32), ReservedRoom},
		{"dm:" + strings.Repeat("a", 31), ReservedRoom},
		{"dm:" + strings.Repeat("a", 31) + "1", ReservedRoom},
		{"a b", InvalidRoom},
	}
	for _, c := range cases {
		if _, err := ParseAnyRoomID(c.in); codeOf(err) != c.code {
			t.Errorf("ParseAnyRoomID(%q): %v, want code %q", c.in, err, c.code)
		}
	}
	if _, err := ParseRoomID(string(id)); codeOf(err) != ReservedRoom {
		t.Errorf("ParseRoomID(%q): %v, want %s", id, err, ReservedRoom)
	}
}

func TestBodies(t *testing.T) {
	cases := []struct {
		name, got, want string
	}{
		{"reason", string(ReasonBody(`"off" topic`)), `{"reason":"\"off\" topic"}`},
		{"no reason", string(ReasonBody("")), `{}`},
		{"settings", string(SettingsBody(Settings{Access: AccessPublic, Title: `"T"`})), `{"access":"public","title":"\"T\"","topic":"","archived":false}`},
		{"bounded settings", string(SettingsBody(Settings{Topic: "t", Archived: true, Keep: Retention{Age: time.Minute, Events: 5}})),
			`{"access":"open","title":"","topic":"t","archived":true,"keep_seconds":60,"keep_events":5}`},
		{"member", string(MemberBody(Member{User: User{ID: "1", Name: "Ñ"}, State: StateJoined, Role: RoleOwner}, "")),
			`{"member":{"user_id":"1","username":"Ñ","state":"joined","role":"owner"}}`},
		{"member with reason", string(MemberBody(Member{User: User{ID: "1"}, State: StateBanned}, "spam")),
			`{"member":{"user_id":"1","username":"","state":"banned","role":"none"},"reason":"spam"}`},
		{"mark", string(MarkBody(Mark{Read: 3, Delivered: 5})), `{"read":3,"delivered":5}`},
		{"revocation", string(RevokedBody("")), `{}`},
		{"unread", string(UnreadBody(&Room{Head: 9, Msgs: 7}, Mark{Read: 3, ReadMsgs: 2})), `{"read":3,"unread":5,"up_to":9}`},
		{"gone", string(RoomGoneBody(&Member{Room: "r", State: StateBanned, Mark: Mark{Read: 3}})), `{"room":"r","my":{"state":"banned","role":"none","read":0,"delivered":0,"unread":0,"up_to":0}}`},
		{"revocation of a token", string(RevokedBody("t1")), `{"token_id":"t1"}`},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
		if !json.Valid([]byte(c.got)) {
			t.Errorf("%s: %s is not JSON", c.name, c.got)
		}
	}
}

func TestParseMarkBody(t *testing.T) {
	want := Mark{Read: 3, Delivered: 1<<53 - 1}
	if got, err := ParseMarkBody(MarkBody(want)); err != nil || got != want {
		t.Errorf("ParseMarkBody() = %+v, %v, want %+v", got, err, want)
	}
	if _, err := ParseMarkBody([]byte(`{"delivered":5}`)); err == nil {
		t.Error("ParseMarkBody() took a body without read")
	}
}
