package redis

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/presence"
)

var ana = presence.Statement{Room: "plaza#1", User: chat.User{ID: "7", Name: "Ana María"}, Sessions: 2, Here: true}

func TestPage(t *testing.T) {
	good := map[string]string{fieldOf(&ana): valueOf(&ana), fieldVersion: "12", fieldWhole: "1"}
	for name, tc := range map[string]struct {
		change map[string]string // an empty value takes the field away
		want   string
	}{
		"whole":                       {nil, "12 [{plaza#1 {7 Ana María} 2 true}]"},
		"without its mark":            {map[string]string{fieldWhole: ""}, errNotPage.Error()},
		"without a version":           {map[string]string{fieldVersion: ""}, errNotPage.Error()},
		"of version 0":                {map[string]string{fieldVersion: "0"}, errNotPage.Error()},
		"of a version that is none":   {map[string]string{fieldVersion: "-1"}, errNotPage.Error()},
		"with entries that mean none": {map[string]string{"1": "1 a", "1\x002": "x", "1\x003": "-1 a", "\x004": "1 a", "1\x00\x05": "1 a", "1\x006": "1 "}, "12 [{plaza#1 {7 Ana María} 2 true}]"},
	} {
		t.Run(name, func(t *testing.T) {
			fields := maps.Clone(good)
			maps.Copy(fields, tc.change)
			maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
			p, err := parsePage(fields)
			got := fmt.Sprint(p.version, " ", p.statements)
			if err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("parsePage = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAnnouncement(t *testing.T) {
	gone := ana
	gone.Here, gone.Sessions = false, 0
	sent := announcement{Node: "n1", Version: 3, What: whatSaid, Said: announce([]presence.Statement{ana, gone})}
	e := sent.event()
	got, err := parseAnnouncement(&e)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(sent) {
		t.Fatalf("parseAnnouncement = %v, %v, want %v", got, err, sent)
	}
	if e.Kind.Durable() || e.Actor.ID != "n1" {
		t.Errorf("the event is %+v, want a passing one of n1", e)
	}
	statements, err := got.statements()
	if want := fmt.Sprint([]presence.Statement{ana, gone}); err != nil || fmt.Sprint(statements) != want {
		t.Errorf("statements = %v, %v, want %s", statements, err, want)
	}
	for _, body := range []string{"", "{}", `{"node":"n1"}`, `{"node":"n1","version":-1}`, `{"version":1}`, `[]`} {
		if _, err := parseAnnouncement(&chat.Event{Body: []byte(body)}); err == nil {
			t.Errorf("parseAnnouncement(%s) has no error", body)
		}
	}
}

// Announcements that nobody takes are bounded; then pages are read.
func TestInboxIsBounded(t *testing.T) {
	i := newInbox("me")
	a := announcement{Node: "n1", Version: 1, What: whatSaid, Said: []statement{{Room: "1", User: "2", Name: strings.Repeat("a", 1<<20)}}}
	for range 10 {
		i.put([]chat.Event{a.event()})
	}
	if heard, lost := i.take(); len(heard) > 4 || !lost {
		t.Errorf("%d announcements wait, lost is %v, want at most 4 of 10", len(heard), lost)
	}
	own := announcement{Node: "me", Version: 1, What: whatAll}
	i.put([]chat.Event{own.event(), a.event(), {Body: []byte("{")}})
	if heard, lost := i.take(); len(heard) != 1 || !lost {
		t.Errorf("heard %v, lost is %v, want what n1 said, and that something was not understood", heard, lost)
	}
	i.put(nil)
	if heard, lost := i.take(); len(heard) != 0 || !lost {
		t.Errorf("heard %v, lost is %v, want a loss alone", heard, lost)
	}
}

// FuzzEntry: what is taken of a page is what a client could have said, and
// comes out as it went in.
func FuzzEntry(f *testing.F) {
	f.Add(fieldOf(&ana), valueOf(&ana))
	f.Add("1\x002\x003", "01 a")
	f.Fuzz(func(t *testing.T, field, value string) {
		s, err := parseEntry(field, value)
		if err != nil {
			return
		}
		again, err := parseEntry(fieldOf(&s), valueOf(&s))
		if err != nil || again != s || fieldOf(&s) != field {
			t.Errorf("parseEntry(%q, %q) = %+v, then %+v, %v", field, value, s, again, err)
		}
	})
}

// FuzzAnnouncement: what is taken can be said again.
func FuzzAnnouncement(f *testing.F) {
	a := announcement{Node: "n1", Version: 3, What: whatSaid, Said: announce([]presence.Statement{ana})}
	e := a.event()
	f.Add(e.Body)
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnnouncement(&chat.Event{Body: body})
		if err != nil {
			return
		}
		e := a.event()
		again, err := parseAnnouncement(&e)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(a) {
			t.Errorf("%s is %+v, then %+v, %v", body, a, again, err)
		}
		_, _ = a.statements()
	})
}
