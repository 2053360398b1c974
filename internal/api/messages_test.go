package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"tertulia/chat"
)

func TestMessages(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.as("1"), w.as("bob")
	alice.makeRoom("sala#1", "public")
	bob.do("POST", "/rooms/sala%231/join", "").want(http.StatusOK)

	first := alice.do("POST", "/rooms/sala%231/messages", `{"content":"¡Hola! 👩‍👩‍👧"}`, "Idempotency-Key", "k1").want(http.StatusCreated)
	first.is(`{"seq":4,"cursor":"…","id":"…","user_id":1,"username":"1","content":"¡Hola! 👩‍👩‍👧","created_at":"…","nonce":"k1"}`)
	if first.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first post says that it is a repeat")
	}
	again := alice.do("POST", "/rooms/sala%231/messages", `{"content":"¡Hola! 👩‍👩‍👧"}`, "Idempotency-Key", "k1").want(http.StatusOK)
	if string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("the repeat is %v %s, want it like the first: %v %s", again.header, again.body, first.header, first.body)
	}
	alice.do("POST", "/rooms/sala%231/messages", `{"content":"other"}`, "Idempotency-Key", "k1").refused(chat.IdempotencyConflict)
	bob.do("POST", "/rooms/sala%231/messages", `{"content":"other"}`, "Idempotency-Key", "k1").want(http.StatusCreated)

	at := first.header.Get("Location")
	got := bob.do("GET", at, "").want(http.StatusOK)
	if string(got.body) != string(first.body) {
		t.Errorf("GET %s = %s, want %s", at, got.body, first.body)
	}
	etag := got.header.Get("ETag")
	bob.do("GET", at, "", "If-None-Match", etag).want(http.StatusNotModified)

	edited := alice.do("PATCH", at, `{"content":"Adiós"}`, "If-Match", etag).want(http.StatusOK)
	if got := edited.header.Get("ETag"); got == etag || !strings.Contains(string(edited.body), `"Adiós"`) {
		t.Errorf("the edit gave %s %s", got, edited.body)
	}
	alice.do("PATCH", at, `{"content":"too late"}`, "If-Match", etag).refused(chat.VersionConflict)
	alice.do("DELETE", at, "", "If-Match", etag).refused(chat.VersionConflict)
	bob.do("GET", at, "", "If-None-Match", etag).want(http.StatusOK)
	bob.do("PATCH", at, `{"content":"mine"}`).refused(chat.Forbidden)
	bob.do("DELETE", at, "").refused(chat.Forbidden)
	alice.do("DELETE", at+"?reason=typo", "", "If-Match", edited.header.Get("ETag")).want(http.StatusNoContent)
	left := bob.do("GET", at, "").want(http.StatusOK)
	left.is(`{"seq":4,"cursor":"…","id":"…","user_id":1,"username":"1","created_at":"…","nonce":"k1","changed":7,"changed_at":"…","deleted":true}`)
	if left.header.Get("ETag") == edited.header.Get("ETag") {
		t.Errorf("after the deletion there is %v %s", left.header, left.body)
	}
	alice.do("PATCH", at, `{"content":"back"}`).refused(chat.MessageNotFound)
}

func TestMessageRefusals(t *testing.T) {
	w := newWorld(t)
	alice, bob, eve := w.as("alice"), w.as("bob"), w.as("eve")
	alice.makeRoom("r", "public")
	alice.makeRoom("archived", "public")
	alice.post("archived", "the last")
	alice.do("PATCH", "/rooms/archived", `{"archived":true}`).want(http.StatusOK)
	alice.do("POST", "/rooms/r/members/eve/ban", `{"username":"Eve"}`).want(http.StatusNoContent)
	for _, c := range []struct {
		name         string
		by           caller
		method, path string
		body         string
		want         chat.Code
	}{
		{"empty", alice, "POST", "/rooms/r/messages", `{"content":""}`, chat.EmptyContent},
		{"blank", alice, "POST", "/rooms/r/messages", `{"content":" \n"}`, chat.EmptyContent},
		{"NUL", alice, "POST", "/rooms/r/messages", `{"content":"a\u0000"}`, chat.InvalidEvent},
		{"long", alice, "POST", "/rooms/r/messages", `{"content":"` + strings.Repeat("x", chat.MaxContentBytes+1) + `"}`, chat.TooLarge},
		{"no content", alice, "POST", "/rooms/r/messages", `{}`, chat.InvalidEvent},
		{"no body", alice, "POST", "/rooms/r/messages", "", chat.InvalidJSON},
		{"not joined", bob, "POST", "/rooms/r/messages", `{"content":"x"}`, chat.Forbidden},
		{"banned", eve, "POST", "/rooms/r/messages", `{"content":"x"}`, chat.Banned},
		{"banned reader", eve, "GET", "/rooms/r/messages", "", chat.Banned},
		{"archived", alice, "POST", "/rooms/archived/messages", `{"content":"x"}`, chat.RoomReadOnly},
		{"no such room", alice, "POST", "/rooms/none/messages", `{"content":"x"}`, chat.RoomNotFound},
		{"read without joining", bob, "GET", "/rooms/r/messages", "", chat.Forbidden},
		{"no such message", alice, "GET", "/rooms/r/messages/999", "", chat.MessageNotFound},
		{"around no message", alice, "GET", "/rooms/r/messages?around_id=999", "", chat.MessageNotFound},
		{"message id is a word", alice, "GET", "/rooms/r/messages/x", "", chat.InvalidParameter},
		{"message id is 0", alice, "GET", "/rooms/r/messages/0", "", chat.InvalidParameter},
		{"edit no message", alice, "PATCH", "/rooms/r/messages/999", `{"content":"x"}`, chat.MessageNotFound},
		{"delete no message", alice, "DELETE", "/rooms/r/messages/999", "", chat.MessageNotFound},
		{"delete with a long reason", alice, "DELETE", "/rooms/r/messages/999?reason=" + strings.Repeat("r", 513), "", chat.InvalidParameter},
		{"no place", alice, "GET", "/rooms/r/messages?after=x", "", chat.CursorInvalid},
		{"no place before", alice, "GET", "/rooms/r/events?before=1.5", "", chat.CursorInvalid},
		{"cursor of another log", alice, "GET", "/rooms/r/events?before=zzzz:1", "", chat.CursorInvalid},
		{"two places", alice, "GET", "/rooms/r/messages?after=1&before=9", "", chat.InvalidParameter},
		{"no type", alice, "GET", "/rooms/r/events?types=message,none", "", chat.InvalidParameter},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			c.by.do(c.method, c.path, c.body).refused(c.want)
		})
	}
	w.t = t
	alice.do("POST", "/rooms/r/messages", `{"content":"x"}`, "Idempotency-Key", "a b").refused(chat.InvalidParameter)
}

// item is what a walk looks at.
type item struct {
	Seq     uint64 `json:"seq"`
	ID      int64  `json:"id"`
	Content string `json:"content"`
}

func pageAt(c caller, at string) (logPageJSON[item], *answered) {
	c.w.t.Helper()
	var p logPageJSON[item]
	a := c.do("GET", at, "").want(http.StatusOK).into(&p)
	if (a.linked("next") != "") != p.HasMoreAfter || (a.linked("prev") != "") != p.HasMoreBefore {
		c.w.t.Errorf("GET %s: the links %q, with more before %v and after %v", at, a.header.Get("Link"), p.HasMoreBefore, p.HasMoreAfter)
	}
	return p, a
}

func contents(items []item) []string {
	out := make([]string, len(items))
	for i, m := range items {
		out[i] = m.Content
	}
	return out
}

// numbered are the contents of the messages first to last.
func numbered(first, last int) []string {
	var out []string
	for n := first; n <= last; n++ {
		out = append(out, fmt.Sprint("m", n))
	}
	return out
}

// Each message comes once and in order, whichever way one walks, while others
// post (experience E-048). Events of other kinds stand between the messages.
func TestWalkWhileOthersPost(t *testing.T) {
	const before, during = 60, 60
	w := newWorld(t)
	alice := w.as("alice")
	alice.makeRoom("r", "public")
	for n := 1; n <= before; n++ {
		alice.post("r", fmt.Sprint("m", n))
		if n%7 == 0 {
			alice.do("PATCH", "/rooms/r", fmt.Sprintf(`{"topic":"%d"}`, n)).want(http.StatusOK)
		}
	}
	middle, _ := pageAt(alice, "/rooms/r/messages?limit=1&after=30")
	around := middle.Items[0]

	var posting sync.WaitGroup
	posting.Go(func() {
		for n := before + 1; n <= before+during; n++ {
			alice.post("r", fmt.Sprint("m", n))
		}
	})
	walk := func(at, rel string) []string {
		var all []string
		for at != "" {
			p, a := pageAt(alice, at)
			at = a.linked(rel)
			if rel == "prev" {
				all = append(contents(p.Items), all...)
			} else {
				all = append(all, contents(p.Items)...)
			}
		}
		return all
	}
	for _, limit := range []int{1, 7, 50} {
		query := url.Values{"limit": {fmt.Sprint(limit)}}
		forwards := walk("/rooms/r/messages?after=0&"+query.Encode(), "next")
		if len(forwards) < before || !slices.Equal(forwards, numbered(1, len(forwards))) {
			t.Errorf("forwards by %d: %q", limit, forwards)
		}
		backwards := walk("/rooms/r/messages?"+query.Encode(), "prev")
		if len(backwards) < before || !slices.Equal(backwards, numbered(1, len(backwards))) {
			t.Errorf("backwards by %d: %q", limit, backwards)
		}
		for _, at := range []string{fmt.Sprintf("around_id=%d", around.ID), fmt.Sprintf("around=%d", around.Seq)} {
			p, a := pageAt(alice, "/rooms/r/messages?"+at+"&"+query.Encode())
			if !slices.Contains(contents(p.Items), around.Content) || len(p.Items) > limit {
				t.Errorf("%s by %d: %q, want %s among at most %d", at, limit, contents(p.Items), around.Content, limit)
			}
			both := contents(p.Items)
			if prev := a.linked("prev"); prev != "" {
				both = append(walk(prev, "prev"), both...)
			}
			if next := a.linked("next"); next != "" {
				both = append(both, walk(next, "next")...)
			}
			if len(both) < before || !slices.Equal(both, numbered(1, len(both))) {
				t.Errorf("around by %d: %q", limit, both)
			}
		}
	}
	posting.Wait()
	if got := walk("/rooms/r/messages?limit=200&after=0", "next"); !slices.Equal(got, numbered(1, before+during)) {
		t.Errorf("at last: %q", got)
	}
}

// The ends of a log: a reader that is up to date gets nothing and a place to
// go on from; beyond either end there is nothing.
func TestEndsOfALog(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	alice.makeRoom("r", "public") // seq 1 and 2
	for n := 1; n <= 3; n++ {
		alice.post("r", fmt.Sprint("m", n)) // seq 3 to 5
	}
	for _, c := range []struct {
		query         string
		want          string
		before, after bool
	}{
		{"", "[m1 m2 m3]", false, false},
		{"limit=2", "[m2 m3]", true, false},
		{"after=0", "[m1 m2 m3]", false, false},
		{"after=5", "[]", true, false},
		{"after=99", "[]", true, false},
		{"after=3&limit=1", "[m2]", true, true},
		{"before=0", "[]", false, true},
		{"before=3", "[]", false, true},
		{"before=4", "[m1]", false, true},
		{"before=99", "[m1 m2 m3]", false, false},
		{"around=4&limit=1", "[m2]", true, true},
		{"around=1&limit=2", "[m1 m2]", false, true},
		{"around=99&limit=2", "[m2 m3]", true, false},
	} {
		p, _ := pageAt(alice, "/rooms/r/messages?"+c.query)
		if got := fmt.Sprint(contents(p.Items)); got != c.want || p.HasMoreBefore != c.before || p.HasMoreAfter != c.after {
			t.Errorf("%q: %s, more before %v, after %v; want %s, %v, %v", c.query, got, p.HasMoreBefore, p.HasMoreAfter, c.want, c.before, c.after)
		}
		if p.Log.Head != 5 || p.Log.Messages != 3 || p.Log.Floor != 1 || p.Gap != nil {
			t.Errorf("%q: the log is %+v with the gap %v", c.query, p.Log, p.Gap)
		}
	}
}

// A cursor goes on where it was taken, and is refused a log that is not its
// own any more (docs/protocol.md §6.4).
func TestCursors(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice")
	w.backend().makeRoom("r", "open")
	alice.post("r", "m1")
	first, _ := pageAt(alice, "/rooms/r/messages")
	alice.post("r", "m2")
	next, _ := pageAt(alice, "/rooms/r/messages?after="+first.Cursor)
	if got := fmt.Sprint(contents(next.Items)); got != "[m2]" || next.Gap != nil {
		t.Errorf("after %s: %s and the gap %v, want [m2] and none", first.Cursor, got, next.Gap)
	}
	idle, _ := pageAt(alice, "/rooms/r/messages?after="+next.Cursor)
	if len(idle.Items) != 0 || idle.Cursor != next.Cursor || idle.Gap != nil {
		t.Errorf("after %s: %+v, want nothing and the same cursor", next.Cursor, idle)
	}
	epoch, rest, _ := strings.Cut(next.Cursor, ":")
	seq, _, _ := strings.Cut(rest, ":")
	for name, cursor := range map[string]string{
		"another epoch": "other:" + rest, "another tag": epoch + ":" + seq + ":00000000", "beyond the head": epoch + ":99",
	} {
		p, _ := pageAt(alice, "/rooms/r/messages?after="+cursor)
		if got := fmt.Sprint(contents(p.Items)); got != "[m1 m2]" || p.Gap == nil || *p.Gap != (gapJSON{Reason: "epoch", From: 1, To: 0}) {
			t.Errorf("%s: %s and the gap %v, want the log from its beginning", name, got, p.Gap)
		}
	}
	by, _ := pageAt(alice, "/rooms/r/messages?after="+epoch+":"+seq)
	if len(by.Items) != 0 || by.Gap != nil {
		t.Errorf("a cursor without its tag gives %+v, want nothing new", by)
	}
}
