package api

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/internal/presence"
)

// statsJSON is the body of GET /ws/stats, exactly the prototype's keys
// (docs/protocol.md §10.4).
type statsJSON struct {
	TotalConnections int                      `json:"total_connections"`
	TotalRooms       int                      `json:"total_rooms"`
	Rooms            map[string]roomStatsJSON `json:"rooms"`
}

type roomStatsJSON struct {
	Connections int `json:"connections"`
	Users       int `json:"users"`
}

// Stats serves GET /ws/stats from what the tracker knows of all nodes, or of
// this one with ?scope=node.
func Stats(here *presence.Tracker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := here.Stats(scopeOf(r.URL.Query().Get("scope")))
		writeJSON(w, http.StatusOK, statsJSON{TotalConnections: now.Connections, TotalRooms: len(now.Rooms), Rooms: roomStatsOf(now)})
	})
}

// scopeOf reads the parameter scope; what is no scope is the default.
func scopeOf(name string) presence.Scope {
	if name == "node" {
		return presence.Node
	}
	return presence.Cluster
}

func roomStatsOf(now presence.Stats) map[string]roomStatsJSON {
	rooms := make(map[string]roomStatsJSON, len(now.Rooms))
	for id, room := range now.Rooms {
		rooms[string(id)] = roomStatsJSON{Connections: room.Connections, Users: room.Users}
	}
	return rooms
}

// writeJSON answers with v as indented JSON, which a person at a terminal can
// read. What cannot be written any more is nobody's fault here.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		http.Error(w, "The answer could not be encoded.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}
