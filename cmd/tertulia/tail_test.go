package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/client"
)

// follower is a running tertulia tail.
type follower struct {
	t        *testing.T
	out, err page
	cancel   context.CancelFunc
	code     chan exitCode
}

func follow(t *testing.T, url string, args ...string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{t: t, cancel: cancel, code: make(chan exitCode, 1)}
	args = append([]string{"tail", "1", "--server", url, "--username", "Tail"}, args...)
	go func() {
		f.code <- run(ctx, args, IO{In: strings.NewReader(""), Out: &f.out, Err: &f.err, Name: "tertulia"})
	}()
	return f
}

// stop interrupts it.
func (f *follower) stop() {
	f.t.Helper()
	f.cancel()
	if code := <-f.code; code != exitInterrupted {
		f.t.Errorf("tail = %d, want %d; it said %q", code, exitInterrupted, f.err.String())
	}
}

// end interrupts it, and returns the contents that it has written.
func (f *follower) end() (contents []string) {
	f.t.Helper()
	f.stop()
	for line := range strings.Lines(f.out.String()) {
		var e struct {
			Type    string `json:"type"`
			Content string `json:"content"`
			Cursor  string `json:"cursor"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			f.t.Fatalf("tail writes %q: %v", line, err)
		}
		if _, err := chat.ParseCursor(e.Cursor); err != nil || e.Type != "message" {
			f.t.Errorf("tail writes %s", line)
		}
		contents = append(contents, e.Content)
	}
	return contents
}

// awaitReader waits until somebody named Tail is in the room.
func awaitReader(t *testing.T, alice *talker) {
	t.Helper()
	alice.err.want(t, "* Tail joined\n")
}

func TestTail(t *testing.T) {
	url := newServer(t)
	alice := talk(t, "Alice", url)
	f := follow(t, url)
	awaitReader(t, alice)
	alice.say("hola")
	f.out.want(t, "Z  Alice  hola\n")
	f.stop()
	if f.err.String() != "" {
		t.Errorf("tail says %q", f.err.String())
	}
	alice.end(exitOK)
}

// Over three runs with one state file each message comes once and in order,
// also what was said in between, and while the server was killed.
func TestTailResumes(t *testing.T) {
	listen, dir := freeAddr(t), filepath.Join(t.TempDir(), "data")
	url := "ws://" + listen
	srv := serveAt(t, listen, dir)
	state := filepath.Join(t.TempDir(), "state.json")
	said := 0
	var want, got []string
	say := func(n int) (last string) {
		var lines strings.Builder
		for range n {
			said++
			fmt.Fprintln(&lines, said)
			want = append(want, fmt.Sprint(said))
		}
		must(t, url, lines.String(), "send", "1")
		return fmt.Sprintf(`"content":"%d"`, said)
	}
	alice := talk(t, "Alice", url)
	f := follow(t, url, "--json", "--state", state)
	awaitReader(t, alice)
	f.out.want(t, say(5))
	srv.Process.Kill()
	srv.Wait()
	srv = serveAt(t, listen, dir)
	f.out.want(t, say(5))
	got = append(got, f.end()...)
	say(300) // more than one page
	f = follow(t, url, "--json", "--state", state)
	f.out.want(t, say(1))
	got = append(got, f.end()...)
	f = follow(t, url, "--json", "--state", state)
	f.out.want(t, say(1))
	got = append(got, f.end()...)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("tail has written\n%q, want\n%q", got, want)
	}
	alice.leave()
}

// --after begins after any event, and what is known only by its cursor's log is
// said to be missing.
func TestTailAfter(t *testing.T) {
	url := newServer(t)
	must(t, url, "a\nb\nc\n", "send", "1")
	var second struct {
		Cursor string `json:"cursor"`
	}
	line := must(t, url, "", "history", "1", "--after", "1", "--limit", "1", "--json")
	if err := json.Unmarshal([]byte(line), &second); err != nil {
		t.Fatal(err)
	}
	f := follow(t, url, "--json", "--after", second.Cursor)
	f.out.want(t, `"content":"c"`)
	if got := f.end(); fmt.Sprint(got) != "[c]" {
		t.Errorf("tail --after the second message writes %q, want the third", got)
	}
	f = follow(t, url, "--json", "--after", "other:9")
	f.out.want(t, `{"type":"gap","room":"1","reason":"epoch","from":1,"to":3}`+"\n")
	f.stop()
	f = follow(t, url, "--after", "other:9")
	f.err.want(t, "* the room's history was changed by the server")
	f.stop()
}

func TestHistory(t *testing.T) {
	url := newServer(t)
	must(t, url, "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "send", "1")
	for _, test := range []struct{ args, want string }{
		{"", "1 2 3 4 5 6 7 8 9"},
		{"--limit 2", "8 9"},
		{"--before 4", "1 2 3"},
		{"--before 4 --limit 1", "3"},
		{"--after 0 --limit 3", "1 2 3"},
		{"--after 7", "8 9"},
		{"--around 5 --limit 3", "4 5 6"},
	} {
		var got []string
		for line := range strings.Lines(must(t, url, "", append([]string{"history", "1"}, strings.Fields(test.args)...)...)) {
			got = append(got, strings.TrimSpace(strings.SplitN(line, "  ", 3)[2]))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("history %s has %q, want %s", test.args, got, test.want)
		}
	}
}

// Every kind of event has a line for people and an object for programs.
func TestEventsForPeopleAndPrograms(t *testing.T) {
	s := client.Stored{Room: "1", ID: 7, Seq: 3, From: chat.User{ID: "2", Name: "Bob"}, Cursor: chat.Cursor{Epoch: "e", Seq: 3}}
	for _, test := range []struct {
		event      client.Event
		line, json string
	}{
		{client.Message{Stored: s, Content: "a\x1bb"}, "T  Bob  a␛b", `{"type":"message","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","content":"a\u001bb"}`},
		{client.Message{Stored: s, Deleted: true, Changed: 5}, "T  Bob  (deleted)", `{"type":"message","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","changed":5,"deleted":true}`},
		{client.MessageEdited{Stored: s, TargetSeq: 1, MessageID: 4, Content: "x"}, "T  Bob  (changed message 1) x", `{"type":"message_edited","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","content":"x","target_seq":1,"message_id":4}`},
		{client.MessageEdited{Stored: s, TargetSeq: 1, MessageID: 4, Blank: true}, "", `{"type":"message_edited","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","target_seq":1,"message_id":4}`},
		{client.MessageDeleted{Stored: s, TargetSeq: 1, MessageID: 4, Reason: "r"}, "T  Bob  (deleted message 1)", `{"type":"message_deleted","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","target_seq":1,"message_id":4,"reason":"r"}`},
		{client.MessagesErased{Stored: s, Subject: "9"}, "T  Bob  (all that 9 had said was erased)", `{"type":"messages_erased","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","subject":"9"}`},
		{client.RoomUpdated{Stored: s, Settings: chat.Settings{Access: chat.AccessPublic, Title: "T"}}, `T  Bob  (the room is now "T")`, `{"type":"room_updated","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","access":"public","title":"T"}`},
		{client.MemberChanged{Stored: s, Type: "member_added", Member: chat.User{ID: "5", Name: "Eva"}, State: chat.StateJoined, Role: chat.RoleMember}, "T  Bob  (Eva is now joined)", `{"type":"member_added","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob","member":{"user_id":"5","username":"Eva","state":"joined","role":"member"}}`},
		{client.Other{Stored: s, Type: "room_painted"}, "", `{"type":"room_painted","room":"1","seq":3,"cursor":"e:3","id":7,"user_id":"2","username":"Bob"}`},
		{client.Gap{Room: "1", Reason: client.GapRetention, From: 2, To: 5}, "", `{"type":"gap","room":"1","reason":"retention","from":2,"to":5}`},
		{client.Typing{Room: "1"}, "", ``},
	} {
		line := strings.Replace(textOf(test.event, clock(nil)), "0001-01-01T00:00:00Z", "T", 1)
		got := ""
		if out, ok := jsonOf(test.event); ok {
			b, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
		}
		if line != test.line || got != test.json {
			t.Errorf("%T is\n%s\n%s\nwant\n%s\n%s", test.event, line, got, test.line, test.json)
		}
	}
}
