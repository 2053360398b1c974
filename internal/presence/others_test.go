package presence

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus/local"
)

// said is a statement of a story: "ana 2" has two sessions, "ana 0" is in the
// grace, "-ana" is gone.
func said(words string) Statement {
	name, gone := strings.CutPrefix(words, "-")
	s := Statement{Room: room1, Here: !gone}
	fmt.Sscan(name, &s.User.Name, &s.Sessions)
	s.User.ID = chat.UserID(strings.ToLower(s.User.Name))
	return s
}

func allSaid(list string) (statements []Statement) {
	for words := range strings.SplitSeq(list, ",") {
		if words != "" {
			statements = append(statements, said(words))
		}
	}
	return statements
}

// doOthers is do, with what other nodes say:
//
//	B: ana 1,-bo    node B says so
//	B= ana 1        that is all B says
//	B is void       for the grace
func (f *fixture) doOthers(t *testing.T, step string) string {
	t.Helper()
	if node, list, ok := strings.Cut(step, ": "); ok {
		f.Said(node, allSaid(list))
		return f.heard.take()
	}
	if node, list, ok := strings.Cut(step, "= "); ok {
		f.Replace(node, allSaid(list))
		return f.heard.take()
	}
	if node, ok := strings.CutSuffix(step, " is void"); ok {
		f.Void(node, DefaultGrace)
		return f.heard.take()
	}
	return f.do(t, step)
}

// A user is here while any node says so.
func TestOtherNodes(t *testing.T) {
	type step struct{ do, want string }
	for _, tc := range []struct {
		name  string
		steps []step
		here  string // in the end
		stats string // of the cluster: connections, users
	}{
		{"one comes and goes elsewhere", []step{{"B: ana 1", "1 +ana"}, {"B: -ana", "2 -ana"}}, "", "0 0"},
		{"saying it again changes nothing", []step{{"B: ana 1", "1 +ana"}, {"B: ana 1", ""}, {"B: ana 2", ""}}, "ana", "2 1"},
		{"taking back what was not said", []step{{"B: -ana", ""}, {"B: ana 1", "1 +ana"}, {"C: -ana", ""}}, "ana", "1 1"},
		{"one user on three nodes", []step{
			{"ana/1", "1 +ana"}, {"B: ana 1", ""}, {"C: ana 2", ""},
			{"ana/1 leaves", ""}, {"B: -ana", ""}, {"C: ana 0", ""},
		}, "ana", "0 0"},
		{"the last one says that the user is gone", []step{
			{"ana/1", "1 +ana"}, {"B: ana 1", ""}, {"ana/1 leaves", ""}, {"B: -ana", "2 -ana"},
		}, "", "0 0"},
		{"who was cut off here comes back there", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"9s", ""}, {"B: ana 1", ""}, {"1m", ""},
		}, "ana", "1 1"},
		{"who was cut off there comes back here", []step{
			{"B: ana 1", "1 +ana"}, {"B: ana 0", ""}, {"9s", ""}, {"ana/1", ""}, {"B: -ana", ""}, {"1m", ""},
		}, "ana", "1 1"},
		{"a grace here ends while another node has the user in its own", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"B: ana 1", ""}, {"5s", ""}, {"B: ana 0", ""}, {"5s", ""}, {"B: -ana", "2 -ana"},
		}, "", "0 0"},
		{"a whole state makes events of the difference only", []step{
			{"B= ana 1,bo 1", "1 +ana 2 +bo"}, {"B= bo 2,cy 1", "3 +cy 4 -ana"}, {"B= bo 2,cy 1", ""},
		}, "bo cy", "3 2"},
		{"users of a dead node leave after the grace", []step{
			{"B= ana 1,bo 1", "1 +ana 2 +bo"}, {"bo/1", ""}, {"B is void", ""}, {"9999ms", ""}, {"1ms", "3 -ana"}, {"B: -bo", ""},
		}, "bo", "1 1"},
		{"a dead node's users have no session any more", []step{{"B= ana 1,bo 1", "1 +ana 2 +bo"}, {"B is void", ""}}, "ana bo", "0 0"},
		{"a node that comes back in the grace shows nothing", []step{
			{"B= ana 1", "1 +ana"}, {"B is void", ""}, {"9s", ""}, {"B= ana 1", ""}, {"1h", ""},
		}, "ana", "1 1"},
		{"void twice is void once", []step{
			{"B= ana 1", "1 +ana"}, {"B is void", ""}, {"6s", ""}, {"B is void", ""}, {"4s", "2 -ana"},
		}, "", "0 0"},
		{"an unknown node is void already", []step{{"B is void", ""}, {"B= ana 1", "1 +ana"}, {"1m", ""}}, "ana", "1 1"},
		{"a new name from elsewhere", []step{{"ana/1", "1 +ana"}, {"B: Ana 1", ""}, {"ana/1 leaves", ""}, {"B: -ana", "2 -Ana"}}, "", "0 0"},
		{"the same old name said again is no news", []step{{"B: ana 1", "1 +ana"}, {"ana=Anita/1", ""}, {"B: ana 2", ""}}, "Anita", "3 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, Config{})
				for i, s := range tc.steps {
					if got := f.doOthers(t, s.do); got != s.want {
						t.Errorf("step %d, %q: published %q, want %q", i, s.do, got, s.want)
					}
					if err := f.check(room1); err != nil {
						t.Errorf("step %d, %q: %v", i, s.do, err)
					}
				}
				if got := names(f.Snapshot(room1).Users); got != tc.here {
					t.Errorf("in the end here are %q, want %q", got, tc.here)
				}
				if s := f.Stats(Cluster); fmt.Sprint(s.Connections, s.Users) != tc.stats {
					t.Errorf("in the end the cluster has %d connections, %d users, want %s", s.Connections, s.Users, tc.stats)
				}
			})
		})
	}
}

// A large room stays large when its users are spread over nodes.
func TestLargeRoomOfManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{ListCap: 3})
		for i, s := range []struct{ do, want string }{
			{"a/1", "1 +a"}, {"B: b 1", "2 +b"}, {"C: c 1", "3 +c"}, {"C: d 1", ""}, {"C: e 1", ""}, {"1s", "#5"},
			{"B is void", ""}, {"10s", ""}, {"1s", "#4"}, {"e/1", ""}, {"C: -d", ""}, {"C= ", "4 -b 5 +d 6 -d 7 +e 8 -c"}, {"e/1 leaves", "9 -e"},
		} {
			if got := f.doOthers(t, s.do); got != s.want {
				t.Errorf("step %d, %q: published %q, want %q", i, s.do, got, s.want)
			}
		}
	})
}

// What a node tells of its own: each change, in order, and nothing of what
// other nodes said.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := local.New()
		defer b.Close()
		var mu sync.Mutex
		var told []string
		take := func() string {
			mu.Lock()
			defer mu.Unlock()
			fresh := strings.Join(told, ", ")
			told = nil
			return fresh
		}
		tracker := New(Config{Bus: b})
		defer tracker.Close()
		tracker.TellTo(func(s Statement) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf("%s %d %v", s.User.Name, s.Sessions, s.Here))
		})
		f := &fixture{Tracker: tracker, heard: listen(t, b, room1), visits: make(map[string]*Visit)}
		for i, s := range []struct{ do, want string }{
			{"ana/1", "ana 1 true"}, {"ana/2", "ana 2 true"}, {"ana/1 is cut", "ana 1 true"}, {"ana/2 is cut", "ana 0 true"},
			{"B: ana 1,bo 1", ""}, {"9s", ""}, {"ana=Anita/3", "Anita 1 true"}, {"ana/3 is cut", "Anita 0 true"}, {"10s", "Anita 0 false"},
			{"bo/1", "bo 1 true"}, {"B is void", ""}, {"1m", ""}, {"bo/1 leaves", "bo 0 false"},
		} {
			f.doOthers(t, s.do)
			if got := take(); got != s.want {
				t.Errorf("step %d, %q: told %q, want %q", i, s.do, got, s.want)
			}
		}
		f.do(t, "ana/1")
		f.do(t, "cy/1")
		f.do(t, "cy/1 is cut")
		f.Said("B", allSaid("dora 1"))
		if got := fmt.Sprint(f.Own()); got != "[{1 {ana ana} 1 true} {1 {cy cy} 0 true}]" {
			t.Errorf("Own() = %s", got)
		}
		take()
		f.Close()
		f.do(t, "ana/1 leaves")
		if got := take(); got != "" {
			t.Errorf("after Close told %q, want nothing", got)
		}
	})
}

// /ws/stats of one node and of all of them.
func TestStatsScope(t *testing.T) {
	f := newFixture(t, Config{Grace: -1})
	f.do(t, "ana/1")
	f.do(t, "ana/2")
	f.Said("B", []Statement{
		{Room: room1, User: chat.User{ID: "ana", Name: "ana"}, Sessions: 3, Here: true},
		{Room: "2", User: chat.User{ID: "bo", Name: "bo"}, Sessions: 1, Here: true},
	})
	if got, want := fmt.Sprint(f.Stats(Node)), "{2 1 map[1:{2 1}]}"; got != want {
		t.Errorf("Stats(Node) = %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(f.Stats(Cluster)), "{6 2 map[1:{5 1} 2:{1 1}]}"; got != want {
		t.Errorf("Stats(Cluster) = %s, want %s", got, want)
	}
	if !f.IsHere("bo") {
		t.Error("who is on another node is not here, want here")
	}
	f.SetDegraded(true)
	if !f.Snapshot(room1).Degraded || !f.Snapshot("empty").Degraded {
		t.Error("a snapshot of a degraded tracker does not say so")
	}
}

// Close leaves the users of other nodes where they are.
func TestCloseStopsVoids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{})
		f.Replace("B", allSaid("ana 1"))
		f.Void("B", DefaultGrace)
		f.heard.take()
		f.Close()
		f.Void("B", DefaultGrace)
		f.Said("C", allSaid("bo 1"))
		time.Sleep(time.Hour)
		if got := f.heard.take(); got != "" {
			t.Errorf("after Close published %q, want nothing", got)
		}
		if got := names(f.Snapshot(room1).Users); got != "ana bo" {
			t.Errorf("here are %q, want %q", got, "ana bo")
		}
	})
}

// More nodes than are counted for one user end well.
func TestUserOnVeryManyNodes(t *testing.T) {
	f := newFixture(t, Config{Grace: -1})
	for i := range 2 * maxNodes {
		f.Said(fmt.Sprint(i), allSaid("ana 1"))
	}
	if err := f.check(room1); err != nil {
		t.Error(err)
	}
	for i := range 2 * maxNodes {
		f.Replace(fmt.Sprint(i), nil)
	}
	if got := f.heard.take(); got != "1 +ana 2 -ana" {
		t.Errorf("published %q, want her coming and going", got)
	}
}
