package clustertest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/client"
	"tertulia/internal/services"
)

// makeRoom makes a room with members.
func makeRoom(t *testing.T, access string, members ...chat.UserID) chat.RoomID {
	t.Helper()
	id := chat.RoomID(strings.ReplaceAll(t.Name(), "/", "-"))
	list := make([]string, len(members))
	for i, m := range members {
		ask(t, world.Nodes[0], "", "PUT", "/api/v1/users/"+string(m), fmt.Sprintf(`{"username":%q}`, m))
		list[i] = fmt.Sprintf(`{"user_id":%q}`, m)
	}
	ask(t, world.Nodes[0], "", "POST", "/api/v1/rooms", fmt.Sprintf(`{"id":%q,"access":%q,"members":[%s]}`, id, access, strings.Join(list, ",")))
	return id
}

func subscribe(t *testing.T, c *client.Client, id chat.RoomID) *client.Room {
	t.Helper()
	room := c.Room(id)
	if err := room.Subscribe(t.Context(), client.WithPresence(client.PresenceList)); err != nil {
		t.Fatalf("subscribe to %s: %v", id, err)
	}
	return room
}

// Two users at two nodes hear each other; what one says comes to both in one
// order.
func TestMessagesGoAcrossNodes(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo")
	ana, leo := subscribe(t, dial(t, world.Nodes[0], "ana"), id), subscribe(t, dial(t, world.Nodes[1], "leo"), id)
	want := numbered(50)
	for i, text := range want {
		by := ana
		if i%2 == 1 {
			by = leo
		}
		if _, err := by.Send(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for name, room := range map[string]*client.Room{"ana": ana, "leo": leo} {
		if err := messages(t, room, want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// stats asks a node who is in a room.
func stats(t *testing.T, at *services.Program, id chat.RoomID, query string) (connections, users int) {
	t.Helper()
	var body struct {
		Rooms map[chat.RoomID]struct{ Connections, Users int } `json:"rooms"`
	}
	text := ask(t, at, "", "GET", "/ws/stats"+query, "")
	if err := json.Unmarshal([]byte(text), &body, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("statistics %s: %v", text, err)
	}
	return body.Rooms[id].Connections, body.Rooms[id].Users
}

// A user at two nodes is one user; each node counts its own if asked to.
func TestPresenceAndStatsAreTheClusters(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo")
	subscribe(t, dial(t, world.Nodes[0], "ana"), id)
	second := dial(t, world.Nodes[1], "ana")
	subscribe(t, second, id)
	leo := subscribe(t, dial(t, world.Nodes[2], "leo"), id)
	eventually(t, "every node counts three connections of two users", func() bool {
		for _, n := range world.Nodes {
			if connections, users := stats(t, n, id, ""); connections != 3 || users != 2 {
				return false
			}
		}
		return true
	})
	for i, n := range world.Nodes {
		if connections, users := stats(t, n, id, "?scope=node"); connections != 1 || users != 1 {
			t.Errorf("node %d counts %d connections of %d users of its own, want 1 of 1", i+1, connections, users)
		}
	}
	eventually(t, "leo sees both", func() bool { return len(leo.Presence().Users) == 2 })
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection that ended is not counted", func() bool {
		connections, users := stats(t, world.Nodes[2], id, "")
		return connections == 2 && users == 2
	})
}

// Who is removed from a room at one node is out of it at another.
func TestRemovalGoesAcrossNodes(t *testing.T) {
	id := makeRoom(t, "private", "ana", "leo")
	leo := subscribe(t, dial(t, world.Nodes[1], "leo"), id)
	gone := make(chan error, 1)
	go func() { gone <- messages(t, leo, []string{"never"}) }()
	ask(t, world.Nodes[0], "", "DELETE", "/api/v1/rooms/"+string(id)+"/members/leo", "")
	select {
	case err := <-gone:
		if err == nil {
			t.Error("who was removed got a message")
		}
	case <-time.After(patience):
		t.Error("who was removed is still subscribed")
	}
}

// A revocation at one node ends the connection at another.
func TestRevocationGoesAcrossNodes(t *testing.T) {
	c := dial(t, world.Nodes[1], "eva")
	if err := c.WaitOnline(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(t, world.Nodes[0], "", "POST", "/api/v1/users/eva/revoke", "")
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Errorf("the connection of a revoked user lives on: %v", c.Status())
	}
}

// A ticket made by one node opens a WebSocket at another, once (§2.6).
func TestTicketGoesAcrossNodes(t *testing.T) {
	id := makeRoom(t, "public", "ana")
	var made struct {
		Ticket string `json:"ticket"`
	}
	if err := json.Unmarshal([]byte(ask(t, world.Nodes[0], "ana", "POST", "/api/v1/tickets", "")), &made); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+world.Nodes[1+i].Addr+"/api/v1/stream?room="+string(id)+"&ticket="+made.Ticket, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			text, _ := io.ReadAll(resp.Body)
			t.Errorf("request %d with the ticket: %s %s, want %d", i+1, resp.Status, text, want)
		}
		resp.Body.Close()
	}
}
