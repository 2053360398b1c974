package client_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/config"
	"tertulia/internal/oncluster"
)

func TestConversation(t *testing.T) {
	n := newNode(t)
	j, b := dial(t, n.url(), juan).Room("1"), dial(t, n.url(), bob).Room("1")
	enter := func(r *client.Room) *listener {
		if err := r.Subscribe(within(t), client.WithPresence(client.PresenceList), client.WithReceipts()); err != nil {
			t.Fatal(err)
		}
		return listen(t, r)
	}
	atJuan := enter(j)
	atJuan.want("caught up at 0")
	if oncluster.Now() { // else Juan comes in after Bob, where Bob is
		for _, addr := range n.turn.Addrs {
			oncluster.Known(t, addr, n.turn.Addrs, "1")
		}
	}
	atBob := enter(b)
	atBob.want("caught up at 0")
	atJuan.want("joined [{2 Bob}] left []")
	first := send(t, j, "Ola")
	atJuan.want("1 Juan: Ola")
	atBob.want("1 Juan: Ola")
	if _, err := j.Edit(within(t), first.ID, "Hola", client.IfChanged(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Edit(within(t), first.ID, "Hello", client.IfChanged(0)); !hasCode(err, chat.VersionConflict) {
		t.Errorf("an edit of an old form fails with %v, want version_conflict", err)
	}
	atBob.want("2 edits 1: Hola")
	atJuan.want("2 edits 1: Hola")
	b.Typing(true)
	atJuan.want("Bob types true")
	if mark, err := b.MarkRead(within(t), 2); err != nil || mark.Read != 2 || mark.Delivered != 2 {
		t.Errorf("MarkRead = %+v, %v, want 2", mark, err)
	}
	atJuan.want("Bob has read 2")
	if _, err := j.Delete(within(t), first.ID, "typo"); err != nil {
		t.Fatal(err)
	}
	atBob.want("3 deletes 1 (typo)")
	atJuan.want("3 deletes 1 (typo)")
	if p := j.Presence(); p.Count != 2 || len(p.Users) != 2 {
		t.Errorf("Presence = %+v, want both", p)
	}
	if p, err := b.RefreshPresence(within(t)); err != nil || p.Count != 2 {
		t.Errorf("RefreshPresence = %+v, %v, want 2", p, err)
	}
	b.Unsubscribe()
	atBob.want("unsubscribed <nil>")
	atJuan.want("Bob types false", "joined [] left [{2 Bob}]")
	send(t, j, "adiós")
	want(t, b, "4 Juan: adiós") // subscribes again; it may come behind "caught up"
	if rtt, err := dial(t, n.url(), bob).Ping(within(t)); err != nil || rtt <= 0 {
		t.Errorf("Ping = %v, %v", rtt, err)
	}
}

func hasCode(err error, code chat.Code) bool {
	e, ok := errors.AsType[*chat.Error](err)
	return ok && e.Code == code
}

// Iterators are independent: each gets everything once, a second one after
// break goes on where the first stopped, From begins anywhere.
func TestIterators(t *testing.T) {
	n := newNode(t)
	j := dial(t, n.url(), juan).Room("1")
	if err := j.Subscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	send(t, j, "a", "b", "c", "d")
	want(t, j, "1 Juan: a", "2 Juan: b")
	want(t, j, "3 Juan: c")
	var cursor chat.Cursor
	for e, err := range j.Events(within(t), client.From(mustCursor(t, j, 0))) {
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := e.(client.Durable); ok {
			if cursor = d.Place().Cursor; cursor.Seq == 2 {
				break
			}
		}
	}
	if cursor.Seq != 2 {
		t.Fatalf("From the beginning ends at %v", cursor)
	}
	want(t, j, "4 Juan: d") // has caught up before or after it, for it comes by itself
	var begun, both sync.WaitGroup
	for range 2 {
		begun.Add(1)
		both.Go(func() { wantTelling(t, j, begun.Done, "caught up at 4", "5 Juan: e", "6 Juan: f") })
	}
	begun.Wait()
	send(t, j, "e", "f")
	both.Wait()
}

// mustCursor is the place of a seq in the room's log, without a tag.
func mustCursor(t testing.TB, r *client.Room, seq uint64) chat.Cursor {
	t.Helper()
	c := r.Cursor()
	if c.Epoch == "" {
		t.Fatal("the room has no cursor")
	}
	return chat.Cursor{Epoch: c.Epoch, Seq: seq}
}

// All rooms come through one iterator, rooms that are followed later too.
func TestAllRooms(t *testing.T) {
	n := newNode(t)
	c, b := dial(t, n.url(), juan), dial(t, n.url(), bob)
	const rooms = 120 // more than one subscribe takes
	for i := range rooms {
		c.Room(chat.RoomID(fmt.Sprint("r", i))).Follow()
	}
	for i := range rooms {
		if err := c.Room(chat.RoomID(fmt.Sprint("r", i))).Subscribe(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[chat.RoomID][]string{}
	posted := 0
	for e, err := range c.Events(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if posted == 0 {
			for i := range rooms {
				b.Room(chat.RoomID(fmt.Sprint("r", i))).Post("uno")
				posted++
			}
			c.Room("late").Follow(client.Recent(5))
			send(t, b.Room("late"), "dos")
			posted++
		}
		if m, ok := e.(client.Message); ok {
			got[m.Room] = append(got[m.Room], seen(m, nil))
			if posted--; posted == 0 {
				break
			}
		}
	}
	if len(got) != rooms+1 || !slices.Equal(got["late"], []string{"1 Bob: dos"}) || !slices.Equal(got["r7"], []string{"1 Bob: uno"}) {
		t.Errorf("%d rooms have spoken, late: %q, r7: %q", len(got), got["late"], got["r7"])
	}
}

// A program that is slow, or has been away, gets every event once, and the
// client's memory holds no more than the tail of them.
func TestSlowIterator(t *testing.T) {
	n := newNode(t)
	c := dial(t, n.url(), juan)
	room := c.Room("1")
	if err := room.Subscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	writer := dial(t, n.url(), bob, client.WithPipeline(40)).Room("1")
	const total = 1000
	var handles []*client.Outgoing
	for i := range total {
		handles = append(handles, writer.Post(fmt.Sprint(i)))
	}
	for _, o := range handles[:total/2] {
		if _, err := o.Wait(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	next := uint64(1)
	for e, err := range room.Events(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := e.(type) {
		case client.Message:
			if e.Seq != next {
				t.Fatalf("got seq %d, want %d", e.Seq, next)
			}
			if next++; next > total {
				return
			}
		case client.Gap:
			t.Fatalf("%+v", e)
		}
	}
}

// The server restarts while Juan listens and Bob talks.
func TestServerRestarts(t *testing.T) {
	n := newNode(t)
	j, b := dial(t, n.url(), juan).Room("1"), dial(t, n.url(), bob).Room("1")
	if err := j.Subscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			if i%20 == 10 {
				n.stop()
				n.start()
			}
			if _, err := b.Send(within(t), fmt.Sprint(i)); err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
	}()
	next := 0
	for e, err := range j.Events(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := e.(client.Message); ok {
			if want := fmt.Sprintf("%d Bob: %d", next+1, next); seen(m, nil) != want {
				t.Fatalf("got %q, want %q", seen(m, nil), want)
			}
			if next++; next == 60 {
				break
			}
		}
	}
	<-done
}

// A process ends, another goes on with the same file: nothing is missed or
// repeated, and what was not sent is sent once, in order, with its nonces.
func TestProcessRestarts(t *testing.T) {
	n := newNode(t)
	b := dial(t, n.url(), bob).Room("1")
	state := client.NewFileStore(filepath.Join(t.TempDir(), "state.json"))
	c := dial(t, n.url(), juan, client.WithStore(state))
	if err := c.Room("1").Subscribe(within(t)); err != nil {
		t.Fatal(err)
	}
	send(t, b, "a", "b", "c")
	want(t, c.Room("1"), "1 Bob: a", "2 Bob: b")
	c.GoOffline()
	var nonces []chat.Nonce
	for _, text := range []string{"x", "y", "z"} {
		o := c.Room("1").Post(text)
		nonces = append(nonces, o.Nonce())
		if o.State() != client.PostPending {
			t.Fatalf("an offline post is %v", o.State())
		}
	}
	c.Close()
	send(t, b, "d")

	again := dial(t, n.url(), juan, client.WithStore(state))
	room := again.Room("1")
	for _, o := range again.Outbox() {
		if _, err := o.Wait(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, room, "3 Bob: c", "4 Bob: d", "5 Juan: x", "6 Juan: y", "7 Juan: z")
	again.Close()
	kept, err := state.Load()
	if err != nil || len(kept.Posts) != 0 || kept.Cursors["1"].Seq != 7 {
		t.Errorf("the file keeps %+v, %v, want cursor 7 and no posts", kept, err)
	}
	i := 0
	for m, err := range b.History(within(t), client.AfterSeq(4)) {
		if err != nil || m.Nonce != nonces[i] {
			t.Fatalf("message %d has nonce %s, %v, want %s", m.Seq, m.Nonce, err, nonces[i])
		}
		i++
	}
	if i != 3 {
		t.Errorf("%d messages were sent, want 3", i)
	}
}

// Unanswered posts are not lost when the server refuses rooms; refusals are
// told with their code.
func TestRefusals(t *testing.T) {
	n := newNode(t, func(c *config.Config) { c.Rooms.AutoCreate = false })
	c := dial(t, n.url(), juan)
	if err := c.Room("nowhere").Subscribe(within(t)); !hasCode(err, chat.RoomNotFound) {
		t.Errorf("Subscribe = %v, want room_not_found", err)
	}
	for e, err := range c.Room("nowhere").Events(within(t)) {
		if err != nil {
			if !hasCode(err, chat.RoomNotFound) {
				t.Errorf("Events ends with %v, want room_not_found", err)
			}
			break
		}
		if got := seen(e, nil); got != "" && !strings.HasPrefix(got, "unsubscribed room_not_found") {
			t.Errorf("got %q", got)
		}
	}
	if _, err := c.Room("nowhere").Send(within(t), "x"); !hasCode(err, chat.RoomNotFound) {
		t.Errorf("Send = %v, want room_not_found", err)
	}
	for _, text := range []string{"", "\x00", "\xff", strings.Repeat("x", chat.MaxContentBytes+1)} {
		if o := c.Room("1").Post(text); o.State() != client.PostFailed {
			t.Errorf("Post(%.10q) is %v, want failed", text, o.State())
		}
	}
	_, err := client.Dial(within(t), n.url(), client.WithUser(chat.User{ID: "", Name: "x"}))
	if err == nil {
		t.Error("a user without an id connects")
	}
	if _, err := client.Dial(within(t), n.url()); err == nil {
		t.Error("nobody connects")
	} else if refused, ok := errors.AsType[*client.RefusedError](err); !ok || refused.Code != 4500 || !hasCode(err, chat.MissingParameter) {
		t.Errorf("nobody is refused with %v, want 4500 and missing_parameter", err)
	}
}

func TestHistory(t *testing.T) {
	n := newNode(t)
	room := dial(t, n.url(), juan, client.WithPipeline(40)).Room("1")
	const total = 450 // three pages
	for i := range total {
		room.Post(fmt.Sprint(i + 1))
	}
	send(t, room, "last")
	read := func(opts ...client.HistoryOption) (seqs []uint64) {
		for m, err := range room.History(within(t), opts...) {
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, m.Seq)
		}
		return seqs
	}
	for _, test := range []struct {
		name        string
		opts        []client.HistoryOption
		count       int
		first, last uint64
	}{
		{"newest backwards", nil, total + 1, total + 1, 1},
		{"forwards", []client.HistoryOption{client.AfterSeq(0)}, total + 1, 1, total + 1},
		{"before", []client.HistoryOption{client.BeforeSeq(11)}, 10, 10, 1},
		{"after", []client.HistoryOption{client.AfterSeq(total)}, 1, total + 1, total + 1},
	} {
		got := read(test.opts...)
		if len(got) != test.count || got[0] != test.first || got[len(got)-1] != test.last {
			t.Errorf("%s: %d messages, want %d from %d to %d", test.name, len(got), test.count, test.first, test.last)
		}
	}
	page, err := room.Around(within(t), 200, 5)
	if err != nil || len(page.Events) == 0 || !page.Earlier || !page.Later {
		t.Errorf("Around = %+v, %v", page, err)
	}
}

// Nothing is left of a client that was closed, in whatever state.
func TestCloseAnyTime(t *testing.T) {
	n := newNode(t)
	for i := range 30 {
		c, err := client.Open(n.url(), client.WithUser(juan), client.WithStore(&client.MemoryStore{}))
		if err != nil {
			t.Fatal(err)
		}
		o := c.Room("1").Post("x")
		time.Sleep(time.Duration(i) * 300 * time.Microsecond)
		c.Close()
		if s := o.State(); s == client.PostPending {
			t.Errorf("after Close the post is %v", s)
		}
		for _, err := range c.Room("1").Events(t.Context()) {
			if err != nil {
				t.Errorf("Events of a closed client ends with %v", err)
			}
		}
	}
}
