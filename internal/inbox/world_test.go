package inbox

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/room"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

var (
	ana = chat.Principal{User: chat.User{ID: "1", Name: "Ana"}}
	bob = chat.Principal{User: chat.User{ID: "2", Name: "Bob"}}
	eva = chat.Principal{User: chat.User{ID: "3", Name: "Eva"}}
)

// world is a node with inboxes and without a hub, or a cluster of three on one
// store: each verb is done at another one, and each device comes to another.
type world struct {
	t     *testing.T
	store store.Store
	nodes []*node
	verbs int // so far
	came  int // devices so far

	mu      sync.Mutex
	screens map[*screen]struct{}
}

type node struct {
	bus   bus.Bus
	rooms *room.Service
	*Service
}

// rooms returns those of the node that the next verb is done at.
func (w *world) rooms() *room.Service {
	w.verbs++
	return w.nodes[w.verbs%len(w.nodes)].rooms
}

// inBubble runs f with a world in a bubble where waiting takes no time. between
// puts something between the bus and what stands on it.
func inBubble(t *testing.T, f func(w *world), between ...func(bus.Bus) bus.Bus) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, store: st, screens: make(map[*screen]struct{})}
		for _, b := range busesOf(t) {
			for _, put := range between {
				b = put(b)
			}
			w.nodes = append(w.nodes, w.node(b))
		}
		defer func() {
			for _, n := range w.nodes {
				n.Close()
				n.rooms.Close()
			}
			for _, n := range w.nodes {
				n.bus.Close()
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(w)
	})
}

func (w *world) node(b bus.Bus) *node {
	n := &node{bus: b}
	n.rooms = room.New(room.Config{Store: w.store, Bus: b, AutoCreate: true, Fatal: func(err error) { w.t.Error(err) }})
	n.Service = New(Config{Rooms: n.rooms, Store: w.store, Bus: b, Notify: func(user chat.UserID, notices []chat.Event) { w.deliver(n, user, notices) }})
	return n
}

// deliver is what the hub of a node does with notices.
func (w *world) deliver(at *node, user chat.UserID, notices []chat.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.screens {
		if s.at == at && s.by.User.ID == user {
			s.take(notices)
		}
	}
}

// screen is what one device of a user shows, by what it was told.
type screen struct {
	*Inbox
	w       *world
	at      *node
	by      chat.Principal
	version uint64
	rooms   map[chat.RoomID]line
	notices []chat.Event
}

// line is one room on a screen.
type line struct {
	Settings struct {
		Access, Title string
		Archived      bool
		Version       uint64
	}
	My struct {
		State, Role string
		Read        uint64
		Unread      uint64
		Private     bool
	}
}

func lineOf(t *testing.T, body []byte) (id chat.RoomID, l line) {
	t.Helper()
	var got struct {
		Room string
		line
	}
	if err := json.Unmarshal(body, &got, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return chat.RoomID(got.Room), got.line
}

// open opens an inbox on a new device.
func (w *world) open(by chat.Principal) *screen {
	w.t.Helper()
	s := &screen{w: w, at: w.nodes[w.came%len(w.nodes)], by: by, rooms: make(map[chat.RoomID]line)}
	w.came++
	in, err := s.at.Open(context.Background(), by)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	s.Inbox = in
	w.mu.Lock()
	defer w.mu.Unlock()
	rooms, version := in.Snapshot()
	for i := range rooms {
		id, l := lineOf(w.t, chat.RoomChangedBody(&rooms[i].Room, &rooms[i].Member))
		s.rooms[id] = l
	}
	s.version = version
	w.screens[s] = struct{}{}
	return s
}

// off switches the device off.
func (s *screen) off() {
	s.w.mu.Lock()
	delete(s.w.screens, s)
	s.w.mu.Unlock()
	s.Close()
}

func (s *screen) take(notices []chat.Event) {
	for _, e := range notices {
		if e.Version <= s.version {
			continue
		}
		s.version = e.Version
		s.notices = append(s.notices, e)
		if e.Kind == chat.KindUnread {
			l := s.rooms[e.Room]
			if err := json.Unmarshal(e.Body, &l.My, json.MatchCaseInsensitiveNames(true)); err != nil {
				s.w.t.Error(err)
			}
			s.rooms[e.Room] = l
			continue
		}
		id, l := lineOf(s.w.t, e.Body)
		if l.Settings.Access == "" {
			delete(s.rooms, id)
		} else {
			s.rooms[id] = l
		}
	}
}

// shown returns what the device shows, and the notices since it was asked last.
func (s *screen) shown() (rooms map[chat.RoomID]line, notices []chat.Event) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	notices, s.notices = s.notices, nil
	return maps.Clone(s.rooms), notices
}

// noticed reports whether something has come since the device was asked last.
func (s *screen) noticed() bool {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.notices != nil
}

// truth is what a user's devices ought to show.
func (w *world) truth(by chat.Principal) map[chat.RoomID]line {
	w.t.Helper()
	list, err := w.rooms().Standings(context.Background(), by, "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	rooms := make(map[chat.RoomID]line)
	for _, at := range list {
		if at.Room.Access == chat.AccessOpen {
			at.Member.Role = max(at.Member.Role, chat.RoleMember)
		}
		id, l := lineOf(w.t, chat.RoomChangedBody(&at.Room, &at.Member))
		rooms[id] = l
	}
	return rooms
}

// check compares the device with the store.
func (s *screen) check(when string) {
	s.w.t.Helper()
	got, _ := s.shown()
	want := s.w.truth(s.by)
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] {
			s.w.t.Errorf("%s: user %s is shown %+v in room %s, want %+v", when, s.by.User.ID, got[id], id, want[id])
		}
		delete(got, id)
	}
	for id := range got {
		s.w.t.Errorf("%s: user %s is shown room %s, which is none of the user's", when, s.by.User.ID, id)
	}
}

// post stores a message and waits for the answer.
func (w *world) post(by chat.Principal, id chat.RoomID) error {
	done := make(chan error, 1)
	w.rooms().Post(room.Post{Room: id, By: by, Content: "Ola"}, func(_ room.Posted, err error) { done <- err })
	return <-done
}
