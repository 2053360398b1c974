package hub

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/hub/pipe"
	"tertulia/internal/room"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func userN(i int) chat.UserID { return chat.UserID("u" + strconv.Itoa(i)) }

// encoder is the transport of these tests: one event a line. The seed profile
// gets no receipts, and V1 no users who come or go.
var encoder = Encoder{
	Durable: func(b []byte, e *chat.Event) []byte { return fmt.Appendf(b, "%d %s\n", e.Seq, e.Body) },
	Passing: func(b []byte, e *chat.Event, p Profile) []byte {
		switch {
		case p == Seed && (e.Kind == chat.KindReceipt || e.Kind == chat.KindPresenceCount):
			return b
		case p == V1 && e.Version > 0 && e.Kind != chat.KindPresenceCount:
			return fmt.Appendf(b, "passing diff %s %d\n", e.Actor.ID, e.Version)
		}
		return fmt.Appendf(b, "passing %d %s%s %d\n", e.Kind, e.Actor.ID, e.Subject, e.Version)
	},
	Notice:  func(b []byte, e *chat.Event) []byte { return fmt.Appendf(b, "passing notice %d %s\n", e.Kind, e.Room) },
	Payload: func(frame []byte) []byte { return frame[:len(frame)-1] },
}

// world is a node without its gateway: a real store and journal, a hub, and a
// bus that may be hostile.
type world struct {
	t     *testing.T
	store store.Store
	rooms *room.Service
	bus   bus.Bus
	hub   *Hub
}

func newWorld(t *testing.T, b bus.Bus, change func(*Config)) *world {
	t.Helper()
	st, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: st, bus: b}
	w.rooms = room.New(room.Config{Store: st, Bus: b, AutoCreate: true, Fatal: func(err error) { t.Error(err) }})
	cfg := Config{Bus: b, Log: w.rooms.Log(), Encode: encoder, Loops: 2}
	if change != nil {
		change(&cfg)
	}
	w.hub = New(cfg)
	return w
}

// close ends the world; deferred by the test, inside its bubble if it has one.
func (w *world) close() {
	w.hub.Close()
	w.rooms.Close()
	w.bus.Close()
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// typing has a user type in a room.
func (w *world) typing(id chat.RoomID, user chat.UserID) {
	by := chat.Principal{User: chat.User{ID: user}}
	if err := w.rooms.Typing(context.Background(), by, id, true); err != nil {
		w.t.Errorf("Typing: %v", err)
	}
}

// post stores a message and waits for the answer.
func (w *world) post(id chat.RoomID, user chat.UserID, text string) chat.Event {
	w.t.Helper()
	type answer struct {
		p   room.Posted
		err error
	}
	c := make(chan answer, 1)
	w.rooms.Post(room.Post{Room: id, By: chat.Principal{User: chat.User{ID: user, Name: "n"}}, Content: text}, func(p room.Posted, err error) { c <- answer{p, err} })
	a := <-c
	if a.err != nil {
		w.t.Fatalf("Post(%q): %v", text, a.err)
	}
	return a.p.Event
}

// reader is a peer in memory, behind a pipe. It takes at most room bytes
// without waiting, for ever more if room is negative.
type reader struct {
	*pipe.Pipe
	conn *Conn
	sub  *Sub
}

// writeTimeout is that of the transport of these tests.
const writeTimeout = 10 * time.Second

func (w *world) reader(user chat.UserID, room int) *reader {
	return w.readerOf(user, room, &seedDialect)
}

func (w *world) readerOf(user chat.UserID, room int, d *Dialect) *reader {
	r := &reader{Pipe: pipe.New(room, writeTimeout)}
	r.conn = w.hub.Connect(r, user, d)
	return r
}

func bye(reason Reason) []byte { return fmt.Appendf(nil, "bye %d\n", reason) }

// The dialects of these tests.
var (
	seedDialect = Dialect{Bye: bye}
	v1Dialect   = Dialect{
		Profile: V1,
		Bye:     bye,
		Ended: func(b []byte, s *Sub) []byte {
			return fmt.Appendf(b, "ended %s at %d\n", s.Room(), s.Cursor().Seq)
		},
	}
)

// join attaches r and starts delivery.
func (w *world) join(r *reader, id chat.RoomID, opt AttachOptions, markers ...Marker) Attached {
	w.t.Helper()
	sub, at, err := w.hub.Attach(context.Background(), r.conn, id, opt)
	if err != nil {
		w.t.Fatalf("Attach(%s): %v", id, err)
	}
	r.sub = sub
	sub.Start(0, markers...)
	return at
}

func (r *reader) lines() []string {
	s := string(r.Taken())
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		return strings.Split(s[:i], "\n")
	}
	return nil
}

// seqs returns the durable events that r was given.
func (r *reader) seqs(t *testing.T) []uint64 {
	t.Helper()
	var seqs []uint64
	for _, line := range r.lines() {
		if strings.HasPrefix(line, "passing") || strings.HasPrefix(line, "reply") || strings.HasPrefix(line, "bye") {
			continue
		}
		seq, _, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(seq, 10, 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		seqs = append(seqs, n)
	}
	return seqs
}

// wantSeqs holds what r was given against first, first+1, … last.
func (r *reader) wantSeqs(t *testing.T, first, last uint64) {
	t.Helper()
	got := r.seqs(t)
	for i, seq := range got {
		if seq != first+uint64(i) {
			t.Fatalf("event %d has seq %d, want %d", i, seq, first+uint64(i))
		}
	}
	if uint64(len(got)) != last+1-first {
		t.Fatalf("%d events were delivered, want %d..%d", len(got), first, last)
	}
}

// eventually waits until ok, which a test on real time needs: what it waits
// for is certain to happen, and nothing is concluded from how long it took.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 10_000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never came: %s", what)
}

// settle lets everything that can happen happen.
func settle() { synctest.Wait() }
