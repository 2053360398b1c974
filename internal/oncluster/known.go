package oncluster

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// patience bounds the wait for what one node must hear of another.
const patience = 30 * time.Second

// Known waits until the node at addr has heard who of the clients of all nodes
// is in a room. It is for right before somebody enters there whom the test
// expects to see the others: a node tells of who is at other nodes as it hears
// of them, and promises no more (docs/protocol.md §10.4, §14.6). Nothing else
// has to be waited for, and nothing is after an entry or a departure: messages
// reach whoever is subscribed, by whatever node they come.
//
// It asks each node for its own clients, so that the test keeps no account of
// those that it has cut off.
func Known(t testing.TB, addr string, all []string, room string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		there := 0
		for _, other := range all {
			there += connections(t, other, "?scope=node", room)
		}
		heard := connections(t, addr, "", room)
		if heard == there {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the node at %s counts %d connections in room %s, and the nodes have %d", addr, heard, room, there)
		}
	}
}

// connections asks a node how many are in a room.
func connections(t testing.TB, addr, query, room string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/ws/stats"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := once.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var stats struct {
		Rooms map[string]struct {
			Connections int `json:"connections"`
		} `json:"rooms"`
	}
	if err = json.NewDecoder(resp.Body).Decode(&stats); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the statistics of %s: %s, %v", addr, resp.Status, err)
	}
	return stats.Rooms[room].Connections
}
