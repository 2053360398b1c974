package seedtest

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/internal/oncluster"
)

// Statistics: docs/protocol.md §10.4. The server is the test's own, because
// it counts everybody.
func TestStats(t *testing.T) {
	t.Parallel()
	s := startServer(t)

	t.Run("S-004 S-007 S-090 S-095 A16 anybody on this machine gets exactly the prototype's keys", func(t *testing.T) {
		resp, body := httpGet(t, "http://"+s.addr+"/ws/stats")
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			t.Errorf("GET /ws/stats = %s %s, want 200 and JSON", resp.Status, resp.Header.Get("Content-Type"))
		}
		var keys map[string]any
		if err := json.Unmarshal([]byte(body), &keys); err != nil {
			t.Fatalf("GET /ws/stats = %s: %v", body, err)
		}
		if want := (map[string]any{"total_connections": 0.0, "total_rooms": 0.0}); len(keys) != 3 ||
			keys["total_connections"] != want["total_connections"] || keys["total_rooms"] != want["total_rooms"] {
			t.Errorf("GET /ws/stats = %s, want zeros and no other keys", body)
		}
		if rooms, ok := keys["rooms"].(map[string]any); !ok || len(rooms) != 0 {
			t.Errorf("rooms = %v, want an empty object", keys["rooms"])
		}
	})

	t.Run("A16 detail adds members and changes none", func(t *testing.T) {
		join(t, s.addr, "d", "1", "Juan")
		wantStats(t, s.addr, map[string]roomStats{"d": {1, 1}})
		_, body := httpGet(t, "http://"+s.addr+"/ws/stats?detail=1")
		var got stats
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("GET /ws/stats?detail=1 = %s: %v", body, err)
		}
		if got.TotalConnections != 1 || got.Rooms["d"] != (roomStats{1, 1}) {
			t.Errorf("GET /ws/stats?detail=1 = %s, want one connection", body)
		}
	})

	t.Run("S-091 S-092 S-093 connections and distinct users of the rooms that have any", func(t *testing.T) {
		wantStats(t, s.addr, map[string]roomStats{})
		juan, _ := join(t, s.addr, "1", "1", "Juan")
		join(t, s.addr, "1", "1", "Juan")
		join(t, s.addr, "1", "2", "Bob")
		join(t, s.addr, "café", "2", "Bob")
		wantStats(t, s.addr, map[string]roomStats{"1": {3, 2}, "café": {1, 1}})
		juan.close()
		wantStats(t, s.addr, map[string]roomStats{"1": {2, 2}, "café": {1, 1}})
	})

	t.Run("S-094 counts go down after clean and unclean ends", func(t *testing.T) {
		wantStats(t, s.addr, map[string]roomStats{})
		clean, _ := join(t, s.addr, "1", "1", "Juan")
		unclean, _ := join(t, s.addr, "1", "2", "Bob")
		wantStats(t, s.addr, map[string]roomStats{"1": {2, 2}})
		clean.close()
		wantStats(t, s.addr, map[string]roomStats{"1": {1, 1}})
		unclean.drop()
		wantStats(t, s.addr, map[string]roomStats{})
	})

	t.Run("S-094 nothing is left of 10000 connections", func(t *testing.T) {
		const workers = 8
		cycles := 10_000
		switch {
		case oncluster.Now():
			cycles = 200
		case underRace:
			cycles = 2_000
		}
		connect := func(n int) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				for w := range workers {
					t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
						t.Parallel()
						for i := range n / workers {
							c, _ := enter(t, s.addr, fmt.Sprintf("cycle-%d", i%10), fmt.Sprint(w), "W")
							if i%2 == 0 {
								c.close()
							} else {
								c.drop()
							}
						}
					})
				}
			})
		}
		connect(cycles / 10) // memory and files that stay
		wantStats(t, s.addr, map[string]roomStats{})
		files, memory := s.openFiles(t), s.residentBytes(t)
		began := time.Now()
		connect(cycles)
		t.Logf("%d connections in %v", cycles, time.Since(began))
		wantStats(t, s.addr, map[string]roomStats{})
		eventually(t, patience, "the files are closed", func() bool { return s.openFiles(t) <= files+2 })
		s.wantGrownBy(t, memory, 32<<20)
	})
}

// wantStats waits until the statistics say this, those of each node of a
// cluster, and holds that their sums are right each time.
func wantStats(t *testing.T, addr string, rooms map[string]roomStats) {
	t.Helper()
	for _, addr := range everyNode(addr) {
		wantStatsOf(t, addr, rooms)
	}
}

func wantStatsOf(t *testing.T, addr string, rooms map[string]roomStats) {
	t.Helper()
	var got stats
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got = getStats(t, addr)
		sum := 0
		for _, r := range got.Rooms {
			sum += r.Connections
		}
		if got.TotalConnections != sum || got.TotalRooms != len(got.Rooms) {
			t.Fatalf("stats = %+v: the totals are not those of the rooms", got)
		}
		if maps.Equal(got.Rooms, rooms) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("stats = %+v, want rooms %v, after %v", got, rooms, patience)
		}
	}
}
