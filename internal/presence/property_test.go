package presence

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/bus/local"
)

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// follow is a strict reader: it holds a snapshot, takes the room's events in
// the order of publication, and returns its list in the end.
func follow(t fataler, s Snapshot, events []chat.Event) []chat.UserID {
	t.Helper()
	list, err := replay(s, events)
	if err != nil {
		t.Fatalf("a reader of %v: %v", s, err)
	}
	return list
}

func replay(s Snapshot, events []chat.Event) ([]chat.UserID, error) {
	list, version := ids(s), s.Version
	for _, e := range events {
		if e.Version <= s.Version {
			continue
		}
		// An emptied room may go on from a higher version.
		if e.Version <= version || len(list) > 0 && e.Version != version+1 {
			return nil, fmt.Errorf("version %d follows %d", e.Version, version)
		}
		version = e.Version
		i := slices.Index(list, e.Actor.ID)
		switch {
		case e.Kind == chat.KindUserJoined && i < 0:
			list = append(list, e.Actor.ID)
		case e.Kind == chat.KindUserLeft && i >= 0:
			list = slices.Delete(list, i, i+1)
		default:
			return nil, fmt.Errorf("kind %d of %s at version %d does not fit the list %v", e.Kind, e.Actor.ID, e.Version, list)
		}
	}
	return list, nil
}

func ids(s Snapshot) []chat.UserID {
	list := make([]chat.UserID, 0, len(s.Users))
	for _, u := range s.Users {
		list = append(list, u.ID)
	}
	return list
}

// check compares what a room's fields say of each other.
func (t *Tracker) check(id chat.RoomID) error {
	t.mu.Lock()
	r := t.rooms[id]
	t.mu.Unlock()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.check()
}

func (r *room) check() error {
	users, listed, sessions, attached, anywhere := 0, 0, 0, 0, 0
	beyond := false
	for p := r.first; p != nil; p = p.next {
		users++
		sessions += int(p.sessions)
		if p.sessions > 0 {
			attached++
		}
		if p.attached() {
			anywhere++
		}
		if p == r.beyond {
			beyond = true
		}
		if p.listed {
			listed++
		}
		switch {
		case p.listed == beyond:
			return fmt.Errorf("%s: listed is %v, beyond is %v", p.user.ID, p.listed, beyond)
		case p.sessions > 0 && p.grace != nil, !p.own() && p.nodes == 0, p.live > p.nodes:
			return fmt.Errorf("%s: %d sessions, grace is %v, %d nodes, %d live", p.user.ID, p.sessions, p.grace, p.nodes, p.live)
		case r.find(p.user.ID) != p:
			return fmt.Errorf("%s is not found", p.user.ID)
		case p.next == nil && r.last != p, p.next != nil && p.next.prev != p:
			return fmt.Errorf("%s: the chain is broken", p.user.ID)
		}
	}
	listCap := r.tracker.listCap
	switch {
	case users != r.users || sessions != int(r.sessions) || attached != int(r.attached) || anywhere != int(r.anywhere):
		return fmt.Errorf("counted %d users, %d sessions, %d attached, %d anywhere, want %d, %d, %d, %d",
			users, sessions, attached, anywhere, r.users, r.sessions, r.attached, r.anywhere)
	case listed != min(users, listCap):
		return fmt.Errorf("%d of %d users are listed, want %d", listed, users, min(users, listCap))
	case users < listCap && len(r.waiting) > 0, len(r.waiting) >= r.tracker.maxWait:
		return fmt.Errorf("%d changes wait in a room of %d", len(r.waiting), users)
	case r.index != nil && len(r.index) != users:
		return fmt.Errorf("the index has %d users, want %d", len(r.index), users)
	}
	return nil
}

// move is one step of a generated story: what a client of a user does, or the
// passing of time.
type move struct {
	kind  string // join, leave, cut, wait
	user  int
	pick  int // which of the sessions leaves
	sleep time.Duration
}

func moves(users int) *rapid.Generator[[]move] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) move {
		return move{
			kind:  rapid.SampledFrom([]string{"join", "join", "join", "leave", "cut", "wait"}).Draw(t, "kind"),
			user:  rapid.IntRange(0, users-1).Draw(t, "user"),
			pick:  rapid.IntRange(0, 3).Draw(t, "pick"),
			sleep: time.Duration(rapid.IntRange(0, 15_000).Draw(t, "sleep")) * time.Millisecond,
		}
	}), 1, 120)
}

// model is the naive presence of one room.
type model struct {
	order    []string // who is here, in the order of their coming
	sessions map[string]int
	until    map[string]time.Time // the end of the grace
}

func (m *model) join(user string) {
	if !slices.Contains(m.order, user) {
		m.order = append(m.order, user)
	}
	m.sessions[user]++
	delete(m.until, user)
}

func (m *model) leave(user string, clean bool) {
	m.sessions[user]--
	switch {
	case m.sessions[user] > 0:
	case clean:
		m.drop(user)
	default:
		m.until[user] = time.Now().Add(DefaultGrace)
	}
}

func (m *model) drop(user string) {
	m.order = slices.DeleteFunc(m.order, func(u string) bool { return u == user })
	delete(m.until, user)
}

func (m *model) expire() {
	for user, until := range m.until {
		if !until.After(time.Now()) {
			m.drop(user)
		}
	}
}

// TestPresenceIsTheModel plays a story to a tracker and to the model, with
// fake time. After each step both agree, and every reader that began at some
// step has the list.
func TestPresenceIsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		listCap := rapid.IntRange(1, 20).Draw(rt, "list cap")
		var story []move
		for user := range rapid.IntRange(0, 25).Draw(rt, "early birds") {
			story = append(story, move{kind: "join", user: user})
		}
		story = append(story, moves(25).Draw(rt, "story")...)
		var err error // a bubble has a goroutine of its own, which must not end for rapid
		synctest.Test(t, func(t *testing.T) { err = playToModel(t, listCap, story) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func playToModel(t *testing.T, listCap int, story []move) error {
	f := newFixture(t, Config{ListCap: listCap})
	m := &model{sessions: make(map[string]int), until: make(map[string]time.Time)}
	visits := make(map[string][]*Visit)
	var readers []Snapshot
	for i, step := range story {
		user := fmt.Sprint(step.user)
		before, published := len(m.order), len(f.heard.all())
		switch open := visits[user]; {
		case step.kind == "wait":
			time.Sleep(step.sleep)
			synctest.Wait()
			m.expire()
		case step.kind == "join":
			m.join(user)
			s, v := f.Join(room1, chat.User{ID: chat.UserID(user), Name: user})
			visits[user] = append(open, v)
			readers = append(readers, s)
		case len(open) > 0:
			n := step.pick % len(open)
			m.leave(user, step.kind == "leave")
			open[n].Leave(step.kind == "leave")
			visits[user] = slices.Delete(open, n, n+1)
		}
		if err := agree(f, m, readers); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, step, err)
		}
		news := len(f.heard.all()) - published
		if step.kind != "wait" && before >= listCap && len(m.order) >= listCap && news > 0 && news < f.maxWait {
			return fmt.Errorf("step %d, %+v: a room of %d with cap %d published %d events", i, step, before, listCap, news)
		}
		time.Sleep(time.Millisecond) // no two graces end at one instant
		synctest.Wait()
		m.expire()
	}
	return nil
}

// agree compares the tracker with the model, and the readers with both.
func agree(f *fixture, m *model, readers []Snapshot) error {
	got := f.Snapshot(room1)
	var want []chat.UserID
	for _, user := range m.order[:min(len(m.order), f.listCap)] {
		want = append(want, chat.UserID(user))
	}
	if !slices.Equal(ids(got), want) || got.Count != len(m.order) {
		return fmt.Errorf("list %v of %d, want %v of %d", ids(got), got.Count, want, len(m.order))
	}
	sessions, attached := 0, 0
	for _, n := range m.sessions {
		sessions += n
		attached += min(n, 1)
	}
	if s := f.Stats(Cluster); s.Connections != sessions || s.Users != attached || len(s.Rooms) != min(sessions, 1) {
		return fmt.Errorf("Stats() = %+v, want %d sessions of %d users", s, sessions, attached)
	}
	if err := f.check(room1); err != nil {
		return err
	}
	events := f.heard.all()
	for _, s := range readers {
		list, err := replay(s, events)
		if err != nil {
			return fmt.Errorf("a reader of %v: %w", s, err)
		}
		if got.Count < f.listCap && !slices.Equal(list, want) {
			return fmt.Errorf("a reader of %v has the list %v, want %v", s, list, want)
		}
	}
	return nil
}

// TestReadersUnderConcurrency lets clients come and go in two rooms at once,
// with graces that end among them. Every snapshot that anybody took, and the
// events after it, are the room in the end.
func TestReadersUnderConcurrency(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const clients = 6
		listCap := rapid.IntRange(1, 12).Draw(rt, "list cap")
		stories := rapid.SliceOfN(moves(16), clients, clients).Draw(rt, "stories")
		b := local.New()
		defer b.Close()
		rooms := []chat.RoomID{"1", "2"}
		heard := []*listener{listen(t, b, rooms[0]), listen(t, b, rooms[1])}
		tracker := New(Config{Bus: b, ListCap: listCap, Grace: 20 * time.Microsecond})
		defer tracker.Close()

		var mu sync.Mutex
		readers := make(map[chat.RoomID][]Snapshot)
		var wg sync.WaitGroup
		for _, story := range stories {
			wg.Go(func() {
				seen := play(tracker, rooms, story)
				mu.Lock()
				defer mu.Unlock()
				for room, snapshots := range seen {
					readers[room] = append(readers[room], snapshots...)
				}
			})
		}
		wg.Wait()
		tracker.graces.Wait() // those cut off are gone

		for i, id := range rooms {
			end, events := tracker.Snapshot(id), heard[i].all()
			if err := tracker.check(id); err != nil {
				rt.Fatalf("room %s: %v", id, err)
			}
			for _, s := range append(readers[id], Snapshot{}) {
				list := follow(rt, s, events)
				if end.Count < listCap && !slices.Equal(list, ids(end)) {
					rt.Fatalf("a reader of %v has the list %v, want %v", s, list, ids(end))
				}
			}
		}
	})
}

// play is one client's story. It returns the snapshots that it took of each
// room. Some of its sessions stay.
func play(tracker *Tracker, rooms []chat.RoomID, story []move) map[chat.RoomID][]Snapshot {
	seen := make(map[chat.RoomID][]Snapshot)
	var open []*Visit
	for _, step := range story {
		room := rooms[step.pick%len(rooms)]
		switch {
		case step.kind == "wait":
			seen[room] = append(seen[room], tracker.Snapshot(room))
			tracker.Stats(Cluster)
		case step.kind == "join":
			s, v := tracker.Join(room, chat.User{ID: chat.UserID(fmt.Sprint(step.user))})
			seen[room] = append(seen[room], s)
			open = append(open, v)
		case len(open) > 0:
			n := step.user % len(open)
			open[n].Leave(step.kind == "leave")
			open = slices.Delete(open, n, n+1)
		}
	}
	for i, v := range open {
		if i%3 > 0 {
			v.Leave(i%3 == 1)
		}
	}
	return seen
}
