package clustertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// listen collects what comes to a room, until the test ends.
func listen(t *testing.T, events func(ctx context.Context, yield func(client.Event))) (heard func(what string, is func(client.Event) bool)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all, ended := make(chan client.Event, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		events(ctx, func(e client.Event) {
			select {
			case all <- e:
			default: // a test does not cause so many
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func(what string, is func(client.Event) bool) {
		t.Helper()
		limit := time.After(patience)
		for {
			select {
			case e := <-all:
				if is(e) {
					return
				}
			case <-limit:
				t.Fatalf("not within %v: %s", patience, what)
			}
		}
	}
}

// listenTo is listen for a room.
func listenTo(t *testing.T, room *client.Room) func(string, func(client.Event) bool) {
	t.Helper()
	return listen(t, func(ctx context.Context, yield func(client.Event)) {
		for e, err := range room.Events(ctx) {
			if err != nil {
				return
			}
			yield(e)
		}
	})
}

// named reports whether a user is among some.
func named(users []chat.User, id chat.UserID) bool {
	return slices.ContainsFunc(users, func(u chat.User) bool { return u.ID == id })
}

// What users of v1 do at one node is seen by those at another.
func TestV1GoesAcrossNodes(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo", "eva1")
	ana, leo := dial(t, world.Nodes[0], "ana").Room(id), dial(t, world.Nodes[1], "leo").Room(id)
	for _, room := range []*client.Room{ana, leo} {
		if err := room.Subscribe(t.Context(), client.WithPresence(client.PresenceList), client.WithReceipts()); err != nil {
			t.Fatal(err)
		}
	}
	heard := listenTo(t, leo)
	sent, err := ana.Send(t.Context(), "uno")
	if err != nil {
		t.Fatal(err)
	}
	heard("the message", func(e client.Event) bool { m, ok := e.(client.Message); return ok && m.ID == sent.ID })
	if _, err := ana.Edit(t.Context(), sent.ID, "dos"); err != nil {
		t.Fatal(err)
	}
	heard("its edit", func(e client.Event) bool {
		m, ok := e.(client.MessageEdited)
		return ok && m.MessageID == sent.ID && m.Content == "dos"
	})
	if _, err := ana.Delete(t.Context(), sent.ID, ""); err != nil {
		t.Fatal(err)
	}
	heard("its deletion", func(e client.Event) bool { m, ok := e.(client.MessageDeleted); return ok && m.MessageID == sent.ID })
	ana.Typing(true)
	heard("that ana types", func(e client.Event) bool { m, ok := e.(client.Typing); return ok && m.User.ID == "ana" && m.On })
	told := listenTo(t, ana)
	if _, err := leo.MarkRead(t.Context(), sent.Seq); err != nil { // an author's own mark moves with the post
		t.Fatal(err)
	}
	told("what leo has read", func(e client.Event) bool {
		m, ok := e.(client.Receipt)
		return ok && m.User.ID == "leo" && m.Read >= sent.Seq
	})
	eva := dial(t, world.Nodes[2], "eva1")
	subscribe(t, eva, id)
	heard("that eva comes", func(e client.Event) bool {
		m, ok := e.(client.PresenceChanged)
		return ok && named(m.Joined, "eva1")
	})
	if err := eva.Close(); err != nil {
		t.Fatal(err)
	}
	heard("that eva goes", func(e client.Event) bool { m, ok := e.(client.PresenceChanged); return ok && named(m.Left, "eva1") })
}

// A list of rooms is kept current by messages that others post at other nodes.
func TestInboxGoesAcrossNodes(t *testing.T) {
	id := makeRoom(t, "private", "ana", "inés")
	ana, other := dial(t, world.Nodes[0], "ana").Room(id), dial(t, world.Nodes[1], "inés")
	heard := listen(t, func(ctx context.Context, yield func(client.Event)) {
		for e, err := range other.Events(ctx) {
			if err != nil {
				return
			}
			yield(e)
		}
	})
	other.WatchInbox()
	heard("the room in the list", func(e client.Event) bool {
		switch e := e.(type) {
		case client.RoomChanged:
			return e.Room == id
		case client.Unread:
			return e.Room == id
		}
		return false
	})
	for range 3 {
		if _, err := ana.Send(t.Context(), "hola"); err != nil {
			t.Fatal(err)
		}
	}
	heard("three unread messages", func(e client.Event) bool { m, ok := e.(client.Unread); return ok && m.Room == id && m.Unread == 3 })
	if _, err := other.Room(id).MarkRead(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	heard("nothing unread", func(e client.Event) bool { m, ok := e.(client.Unread); return ok && m.Room == id && m.Unread == 0 })
}

// A client that knows several nodes goes on at another when its own dies,
// where it was.
func TestClientGoesToAnotherServer(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo")
	leo, err := client.Dial(t.Context(), "ws://"+world.Nodes[1].Addr, client.WithServers("ws://"+world.Nodes[2].Addr),
		client.WithBackoff(50*time.Millisecond, time.Second), client.WithToken(tokenOf("leo")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = leo.Close() })
	ana, want := dial(t, world.Nodes[0], "ana").Room(id), numbered(90)
	room := subscribe(t, leo, id)
	read := make(chan error, 1)
	go func() { read <- messages(t, room, want) }()
	for i, text := range want {
		if i == 30 {
			world.Nodes[1].Kill()
		}
		if _, err := ana.Send(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	if err := world.Nodes[1].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
