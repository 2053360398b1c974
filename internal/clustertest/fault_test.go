package clustertest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// flow has one user post at one node what another reads through the proxy, and
// breaks something in the middle. Everything arrives once and in order.
func flow(t *testing.T, id chat.RoomID, broken func()) {
	t.Helper()
	ana, leo := dial(t, world.Nodes[0], "ana").Room(id), subscribe(t, dial(t, world.Proxy, "leo"), id)
	want := numbered(300)
	read := make(chan error, 1)
	go func() { read <- messages(t, leo, want) }()
	for i, text := range want {
		if i == len(want)/3 {
			broken()
		}
		if _, err := ana.Send(t.Context(), text); err != nil {
			t.Fatalf("send %q: %v", text, err)
		}
		time.Sleep(3 * time.Millisecond) // so that the fault lies in the middle
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// A client whose node is killed goes on at another one with its cursor.
func TestNodeIsKilledWhileMessagesFlow(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo")
	flow(t, id, func() {
		for _, n := range world.Nodes[1:] { // leo may be at node 1 now, and is not later
			n.Kill()
			if err := n.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// Without Redis messages go by the store; when it is back, nothing has to be
// restarted.
func TestRedisIsKilledWhileMessagesFlow(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo")
	flow(t, id, func() {
		world.Redis.Kill()
		eventually(t, "the nodes say that Redis is gone, and are ready", func() bool { return strings.Contains(ready(t, 1), "[~] redis degraded since ") })
	})
	if err := world.Redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis is back", func() bool { return strings.Contains(ready(t, 1), "[+] redis ok") })
	t.Run("afterwards", func(t *testing.T) { flow(t, makeRoom(t, "public", "ana", "leo"), func() {}) })
}

// ready asks a node, which must be ready, for its parts.
func ready(t *testing.T, node int) string {
	t.Helper()
	resp, err := http.Get("http://" + world.Nodes[node].Addr + "/readyz?verbose")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s %s, %v, want 200", resp.Status, text, err)
	}
	return string(text)
}

// Users of a node that dies are gone after its lease and the grace; who is
// elsewhere stays.
func TestUsersOfAKilledNodeGo(t *testing.T) {
	id := makeRoom(t, "public", "ana", "leo")
	ana, err := client.Dial(t.Context(), "ws://"+world.Nodes[2].Addr, client.WithBackoff(time.Hour, time.Hour), client.WithToken(tokenOf("ana")))
	if err != nil {
		t.Fatal(err)
	}
	defer ana.Close()
	subscribe(t, ana, id)
	leo := subscribe(t, dial(t, world.Nodes[0], "leo"), id)
	eventually(t, "leo sees ana", func() bool { return len(leo.Presence().Users) == 2 })
	world.Nodes[2].Kill()
	// Within 35 s by contract, on a machine that has time.
	eventually(t, "ana is gone", func() bool { return len(leo.Presence().Users) == 1 })
	if err := world.Nodes[2].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
