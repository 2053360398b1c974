package presence

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const room1 = chat.RoomID("1")

// listener keeps what was published to one room.
type listener struct {
	mu     sync.Mutex
	events []chat.Event
	taken  int
}

func listen(t testing.TB, b bus.Bus, id chat.RoomID) *listener {
	t.Helper()
	l := &listener{}
	_, err := b.Subscribe(context.Background(), bus.RoomTopic(id), func(events []chat.Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, events...)
	})
	if err != nil {
		t.Fatalf("Subscribe(%q) = %v, want nil", id, err)
	}
	return l
}

func (l *listener) all() []chat.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// take returns what came since the last call, as "1 +ana 2 -ana".
func (l *listener) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.events[l.taken:]
	l.taken = len(l.events)
	return format(fresh)
}

func format(events []chat.Event) string {
	var words []string
	for _, e := range events {
		if e.Kind == chat.KindPresenceCount {
			words = append(words, fmt.Sprintf("#%d", e.Count))
			continue
		}
		sign := map[chat.Kind]string{chat.KindUserJoined: "+", chat.KindUserLeft: "-"}[e.Kind]
		words = append(words, fmt.Sprintf("%d %s%s", e.Version, sign, e.Actor.Name))
	}
	return strings.Join(words, " ")
}

func names(users []chat.User) string {
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

// fixture is a tracker on a local bus, and who listens to room 1.
type fixture struct {
	*Tracker
	heard  *listener
	visits map[string]*Visit
}

func newFixture(t testing.TB, c Config) *fixture {
	t.Helper()
	b := local.New()
	c.Bus = b
	f := &fixture{Tracker: New(c), heard: listen(t, b, room1), visits: make(map[string]*Visit)}
	t.Cleanup(func() {
		f.Close()
		b.Close()
	})
	return f
}

// do carries out one step of a story and returns what was published:
//
//	ana/1         ana comes in by session 1; ana=Anita/1 under a new name
//	ana/1 leaves  session 1 leaves cleanly
//	ana/1 is cut  it is cut off
//	9s            time passes
func (f *fixture) do(t *testing.T, step string) string {
	t.Helper()
	session, verb, _ := strings.Cut(step, " ")
	if d, err := time.ParseDuration(step); err == nil {
		time.Sleep(d)
		synctest.Wait()
	} else if verb != "" {
		f.visits[session].Leave(verb == "leaves")
	} else {
		who, key, _ := strings.Cut(session, "/")
		id, name, renamed := strings.Cut(who, "=")
		if !renamed {
			name = id
		}
		_, f.visits[id+"/"+key] = f.Join(room1, chat.User{ID: chat.UserID(id), Name: name})
	}
	return f.heard.take()
}

// A7: per user and room, the first session in and the last one out; at once
// on a clean close, after the grace otherwise. A21: the latest name wins.
func TestVisits(t *testing.T) {
	type step struct{ do, want string }
	for _, tc := range []struct {
		name  string
		steps []step
		here  string // in the end
	}{
		{"one comes and goes", []step{
			{"ana/1", "1 +ana"}, {"bo/1", "2 +bo"}, {"ana/1 leaves", "3 -ana"},
		}, "bo"},
		{"two tabs are one user", []step{
			{"ana/1", "1 +ana"}, {"ana/2", ""}, {"ana/1 leaves", ""}, {"20s", ""}, {"ana/2 leaves", "2 -ana"},
		}, ""},
		{"a cut shows after the grace", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"9999ms", ""}, {"1ms", "2 -ana"},
		}, ""},
		{"in the grace the user is here", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"9s", ""},
		}, "ana"},
		{"a reconnect within the grace shows nothing", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"9s", ""}, {"ana/2", ""}, {"1h", ""},
		}, "ana"},
		{"each cut has a grace of its own", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"9s", ""}, {"ana/2", ""}, {"ana/2 is cut", ""},
			{"9s", ""}, {"1s", "2 -ana"},
		}, ""},
		{"a reconnect before the old session is seen to be dead", []step{
			{"ana/1", "1 +ana"}, {"ana/2", ""}, {"ana/1 is cut", ""}, {"1h", ""},
		}, "ana"},
		{"a clean leave after another session was cut is at once", []step{
			{"ana/1", "1 +ana"}, {"ana/2", ""}, {"ana/1 is cut", ""}, {"1s", ""}, {"ana/2 leaves", "2 -ana"}, {"1h", ""},
		}, ""},
		{"a cut after a clean leave of another session has a grace", []step{
			{"ana/1", "1 +ana"}, {"ana/2", ""}, {"ana/1 leaves", ""}, {"ana/2 is cut", ""}, {"5s", ""}, {"5s", "2 -ana"},
		}, ""},
		{"a clean leave in a reconnect ends it", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"5s", ""}, {"ana/2", ""}, {"ana/2 leaves", "2 -ana"}, {"1h", ""},
		}, ""},
		{"leaving twice is leaving once", []step{
			{"ana/1", "1 +ana"}, {"ana/2", ""}, {"ana/1 leaves", ""}, {"ana/1 leaves", ""}, {"ana/1 is cut", ""}, {"1h", ""},
		}, "ana"},
		{"leaving again after the grace began does not end it", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"ana/1 leaves", ""}, {"9s", ""},
		}, "ana"},
		{"the latest name wins", []step{
			{"ana/1", "1 +ana"}, {"ana=Anita/2", ""},
		}, "Anita"},
		{"the latest name stays when its session leaves, and leaves last", []step{
			{"ana/1", "1 +ana"}, {"ana=Anita/2", ""}, {"ana/2 leaves", ""}, {"ana/1 leaves", "2 -Anita"},
		}, ""},
		{"a new name in the grace", []step{
			{"ana/1", "1 +ana"}, {"ana/1 is cut", ""}, {"ana=Anita/2", ""},
		}, "Anita"},
		{"who comes back stands at the end", []step{
			{"ana/1", "1 +ana"}, {"bo/1", "2 +bo"}, {"ana/1 leaves", "3 -ana"}, {"ana/1", "4 +ana"},
		}, "bo ana"},
		{"who reconnects keeps his place", []step{
			{"ana/1", "1 +ana"}, {"bo/1", "2 +bo"}, {"ana/1 is cut", ""}, {"ana/2", ""},
		}, "ana bo"},
		{"an emptied room goes on with its versions", []step{
			{"ana/1", "1 +ana"}, {"ana/1 leaves", "2 -ana"}, {"ana/1", "3 +ana"},
		}, "ana"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, Config{})
				for i, s := range tc.steps {
					if got := f.do(t, s.do); got != s.want {
						t.Errorf("step %d, %q: published %q, want %q", i, s.do, got, s.want)
					}
				}
				if got := names(f.Snapshot(room1).Users); got != tc.here {
					t.Errorf("in the end here are %q, want %q", got, tc.here)
				}
			})
		})
	}
}

func TestNegativeGraceIsNone(t *testing.T) {
	f := newFixture(t, Config{Grace: -1})
	_, v := f.Join(room1, chat.User{ID: "1", Name: "ana"})
	v.Leave(false)
	if got, want := f.heard.take(), "1 +ana 2 -ana"; got != want {
		t.Errorf("published %q, want %q", got, want)
	}
}

func TestEventIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1234567 * time.Nanosecond)
		f := newFixture(t, Config{})
		ana := chat.User{ID: "1", Name: "Ana"}
		f.Join(room1, ana)
		want := chat.Event{
			Room: room1, Kind: chat.KindUserJoined, Actor: ana, Version: 1, Count: 1,
			At: time.Date(2000, 1, 1, 0, 0, 0, 1e6, time.UTC),
		}
		if got := f.heard.all(); len(got) != 1 || got[0].At.Location() != time.UTC || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("published %v, want [%v]", got, want)
		}
	})
}

// The joiner's snapshot has him, and his own join is not after it.
func TestSnapshotOfJoin(t *testing.T) {
	f := newFixture(t, Config{})
	f.Join(room1, chat.User{ID: "1", Name: "ana"})
	got, _ := f.Join(room1, chat.User{ID: "2", Name: "bo"})
	want := Snapshot{Users: []chat.User{{ID: "1", Name: "ana"}, {ID: "2", Name: "bo"}}, Count: 2, Version: 2}
	if !slices.Equal(got.Users, want.Users) || got.Count != want.Count || got.Version != want.Version {
		t.Errorf("Join = %v, want %v", got, want)
	}
	if got := f.Snapshot("nobody"); len(got.Users) != 0 || got.Count != 0 || got.Version != 0 {
		t.Errorf("Snapshot of an unknown room = %v, want an empty one", got)
	}
}

// A room that was forgotten is never behind what it has published.
func TestVersionsOutliveRoom(t *testing.T) {
	f := newFixture(t, Config{})
	f.do(t, "ana/1")
	f.do(t, "ana/1 leaves")
	if got := f.Snapshot(room1).Version; got != 2 {
		t.Errorf("version of an emptied room = %d, want 2", got)
	}
	if got := len(f.rooms); got != 0 {
		t.Errorf("the tracker holds %d empty rooms, want 0", got)
	}
}

// A room of ListCap users or more publishes nothing of single comings and
// goings, and all that is owed once it is small.
func TestLargeRoom(t *testing.T) {
	type step struct{ do, want string }
	for _, tc := range []struct {
		name  string
		steps []step
		list  string // in the end
		count int
	}{
		{"the list fills up and no more", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""}, {"e/1", ""},
		}, "a b c", 5},
		{"who was behind the list goes unseen", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""}, {"d/1 leaves", ""}, {"c/1 leaves", "4 -c"},
		}, "a b", 2},
		{"flapping at the border shows nothing", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"},
			{"d/1", ""}, {"d/1 leaves", ""}, {"d/1", ""}, {"d/1 leaves", ""},
		}, "a b c", 3},
		{"a change of the list waits until the room is small", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""},
			{"a/1 leaves", ""}, {"d/1 leaves", "4 -a 5 +d 6 -d"},
		}, "b c", 2},
		{"who moved up stays seen", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""}, {"e/1", ""},
			{"b/1 leaves", ""}, {"a/1 leaves", ""}, {"c/1 leaves", "4 -b 5 +d 6 -a 7 +e 8 -c"},
		}, "d e", 2},
		{"a full list of three without others", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"c/1 leaves", "4 -c"}, {"c/1", "5 +c"},
		}, "a b c", 3},
		{"the first behind the list leaves", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""}, {"e/1", ""},
			{"d/1 leaves", ""}, {"a/1 leaves", ""}, {"b/1 leaves", "4 -a 5 +e 6 -b"},
		}, "c e", 2},
		{"grace behind and on the list", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""},
			{"d/1 is cut", ""}, {"2s", "#4"}, {"a/1 is cut", ""}, {"8s", ""}, {"1s", "#3"}, {"1s", "4 -a"},
		}, "b c", 2},
		{"the number is told once a second, and last", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""}, {"e/1", ""}, {"999ms", ""}, {"1ms", "#5"},
			{"e/1 leaves", ""}, {"f/1", ""}, {"1s", "#5"}, {"1m", ""}, {"f/1 leaves", ""}, {"d/1 leaves", ""}, {"c/1 leaves", "4 -c"}, {"1m", ""},
		}, "a b", 2},
		{"twelve changes are enough to wait", []step{
			{"a/1", "1 +a"}, {"b/1", "2 +b"}, {"c/1", "3 +c"}, {"d/1", ""},
			{"a/1 leaves", ""}, {"a/1", ""}, {"b/1 leaves", ""}, {"b/1", ""}, {"c/1 leaves", ""}, {"c/1", ""},
			{"d/1 leaves", ""}, {"d/1", ""}, {"a/1 leaves", ""}, {"a/1", ""},
			{"b/1 leaves", "4 -a 5 +d 6 -b 7 +a 8 -c 9 +b 10 -d 11 +c 12 -a 13 +d 14 -b 15 +a"},
		}, "c d a", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, Config{ListCap: 3})
				for i, s := range tc.steps {
					if got := f.do(t, s.do); got != s.want {
						t.Errorf("step %d, %q: published %q, want %q", i, s.do, got, s.want)
					}
				}
				got := f.Snapshot(room1)
				if names(got.Users) != tc.list || got.Count != tc.count {
					t.Errorf("in the end: list %q, count %d, want %q, %d", names(got.Users), got.Count, tc.list, tc.count)
				}
			})
		})
	}
}

// The storm: 1,000 users come, and go in the order of their coming, which is
// the dearest one.
func TestLargeRoomStorm(t *testing.T) {
	const users = 1000
	f := newFixture(t, Config{})
	var visits []*Visit
	for i := range users {
		s, v := f.Join(room1, chat.User{ID: chat.UserID(fmt.Sprint(i)), Name: fmt.Sprint(i)})
		visits = append(visits, v)
		if s.Count != i+1 || len(s.Users) != min(i+1, DefaultListCap) {
			t.Fatalf("join %d: count %d, list of %d, want %d, %d", i, s.Count, len(s.Users), i+1, min(i+1, DefaultListCap))
		}
	}
	named := slices.DeleteFunc(f.heard.all(), func(e chat.Event) bool { return e.Kind == chat.KindPresenceCount })
	if got := len(named); got != DefaultListCap {
		t.Errorf("1,000 joins published %d events, want %d", got, DefaultListCap)
	}
	batches := 0
	if _, err := f.bus.Subscribe(t.Context(), bus.RoomTopic(room1), func(events []chat.Event) {
		if events[0].Kind != chat.KindPresenceCount {
			batches++
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, v := range visits[:users-DefaultListCap] {
		v.Leave(true)
	}
	if batches != 2 { // 1,600 changes of the list
		t.Errorf("800 leaves of a room that stayed large were published in %d batches, want 2", batches)
	}
	for _, v := range visits[users-DefaultListCap:] {
		v.Leave(true)
	}
	if r := follow(t, Snapshot{}, f.heard.all()); len(r) != 0 {
		t.Errorf("a reader of all events ends with %d users, want 0", len(r))
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{ListCap: 2})
		join := func(room, user string) *Visit {
			_, v := f.Join(chat.RoomID(room), chat.User{ID: chat.UserID(user), Name: user})
			return v
		}
		check := func(when, want string) {
			t.Helper()
			// fmt prints maps in the order of their keys.
			if got := fmt.Sprint(f.Stats(Cluster)); got != want {
				t.Errorf("%s: Stats() = %s, want %s", when, got, want)
			}
		}
		check("nobody", "{0 0 map[]}")
		a1, a2, b, c := join("1", "ana"), join("1", "ana"), join("1", "bo"), join("1", "cy")
		other := join("2", "ana")
		check("two rooms", "{5 4 map[1:{4 3} 2:{1 1}]}")
		a1.Leave(false)
		check("one tab less", "{4 4 map[1:{3 3} 2:{1 1}]}")
		a2.Leave(false)
		check("ana in grace", "{3 3 map[1:{2 2} 2:{1 1}]}")
		if got := f.Snapshot("1").Count; got != 3 {
			t.Errorf("Snapshot.Count with ana in grace = %d, want 3", got)
		}
		a3 := join("1", "ana")
		check("ana back", "{4 4 map[1:{3 3} 2:{1 1}]}")
		other.Leave(false)
		check("only a user in grace in room 2", "{3 3 map[1:{3 3}]}")
		for _, v := range []*Visit{a3, b, c} {
			v.Leave(true)
		}
		check("all gone", "{0 0 map[]}")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := len(f.rooms); got != 0 {
			t.Errorf("the tracker holds %d empty rooms, want 0", got)
		}
	})
}

// No leak after many comings and goings.
func TestChurnLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{})
		for i := range 10_000 {
			_, v := f.Join(chat.RoomID(fmt.Sprint(i%100)), chat.User{ID: chat.UserID(fmt.Sprint(i))})
			v.Leave(i%2 == 0)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(f.Stats(Cluster)); got != "{0 0 map[]}" {
			t.Errorf("Stats() = %s, want nothing", got)
		}
		if got := len(f.rooms); got != 0 {
			t.Errorf("the tracker holds %d empty rooms, want 0", got)
		}
	})
}

func TestCloseStopsGraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{})
		f.do(t, "ana/1")
		f.do(t, "bo/1")
		f.do(t, "ana/1 is cut")
		start := time.Now()
		f.Close()
		f.Close() // again
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v, want no time", took)
		}
		for _, step := range []struct{ do, here string }{
			{"1h", "ana bo"}, {"bo/1 is cut", "ana"}, {"cy/1", "ana cy"}, {"cy/1 leaves", "ana"},
		} {
			if got := f.do(t, step.do); got != "" {
				t.Errorf("after Close, %q published %q, want nothing", step.do, got)
			}
			if got := names(f.Snapshot(room1).Users); got != step.here {
				t.Errorf("after Close and %q, here are %q, want %q", step.do, got, step.here)
			}
		}
	})
}

// Close waits for the end of a grace that is being published.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Config{})
		f.do(t, "ana/1")
		entered, release := make(chan struct{}), make(chan struct{})
		var finished atomic.Bool
		if _, err := f.bus.Subscribe(t.Context(), bus.RoomTopic(room1), func([]chat.Event) {
			close(entered)
			<-release
			finished.Store(true)
		}); err != nil {
			t.Fatal(err)
		}
		f.do(t, "ana/1 is cut")
		<-entered // 10 s later
		var wg sync.WaitGroup
		wg.Go(func() {
			f.Close()
			if !finished.Load() {
				t.Errorf("Close returned while a user's leave was being published")
			}
		})
		for range 20 { // lets a Close that does not wait return
			runtime.Gosched()
		}
		close(release)
		wg.Wait()
	})
}

// Who comes while the last one goes comes to a room, not to one that is just
// being forgotten.
func TestJoinWhileRoomEmpties(t *testing.T) {
	for range 100 {
		f := newFixture(t, Config{})
		f.do(t, "ana/1")
		var wg sync.WaitGroup
		_, err := f.bus.Subscribe(t.Context(), bus.RoomTopic(room1), func(events []chat.Event) {
			if events[0].Kind != chat.KindUserLeft {
				return
			}
			wg.Go(func() { f.Join(room1, chat.User{ID: "bo", Name: "bo"}) })
			for range 20 { // lets the join come to the room's lock
				runtime.Gosched()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		f.do(t, "ana/1 leaves")
		wg.Wait()
		if got := names(f.Snapshot(room1).Users); got != "bo" {
			t.Fatalf("here are %q, want %q", got, "bo")
		}
	}
}

// One visit left from many goroutines leaves once.
func TestLeaveIsExactlyOnce(t *testing.T) {
	f := newFixture(t, Config{Grace: -1})
	for range 100 {
		_, one := f.Join(room1, chat.User{ID: "1", Name: "ana"})
		_, two := f.Join(room1, chat.User{ID: "1", Name: "ana"})
		f.heard.take()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { one.Leave(i%2 == 0) })
		}
		wg.Wait()
		if got := f.heard.take(); got != "" {
			t.Fatalf("leaving by one of two sessions published %q, want nothing", got)
		}
		two.Leave(true)
	}
}

// A visit is what each session pays; the budget of an idle connection is
// 6 KiB in all.
func TestSizes(t *testing.T) {
	if got := unsafe.Sizeof(Visit{}); got > 64 {
		t.Errorf("a visit has %d bytes, want at most 64", got)
	}
	if got := unsafe.Sizeof(person{}); got > 64 {
		t.Errorf("a person has %d bytes, want at most 64", got)
	}
}
