package api

import (
	"context"
	"net/http"
	"time"

	"tertulia/chat"
	"tertulia/internal/observe"
	"tertulia/internal/presence"
)

func (a *API) describeNode(to *routes) {
	register(to, operation{
		id: "get-stats", method: http.MethodGet, path: "/stats", tag: "server", needs: service,
		summary: "Count what is connected", about: "To all nodes, as far as this one has heard of them. For services; in open mode for everybody.",
	}, a.getStats)
	register(to, operation{
		id: "get-version", method: http.MethodGet, path: "/version", tag: "server", needs: anyone,
		summary: "See which program answers",
	}, a.getVersion)
}

// nodeStatsJSON is the prototype's statistics (docs/protocol.md §10.4) and
// more.
type nodeStatsJSON struct {
	TotalConnections int                      `json:"total_connections"`
	TotalRooms       int                      `json:"total_rooms" doc:"Rooms with a connection."`
	TotalUsers       int                      `json:"total_users" doc:"The sum over the rooms."`
	Rooms            map[string]roomStatsJSON `json:"rooms"`
	UptimeSeconds    int64                    `json:"uptime_seconds" doc:"Of this node."`
	Degraded         bool                     `json:"degraded,omitzero" doc:"True while this node does not hear the others; what it says of them may be out of date."`
}

type statsInput struct {
	Scope string `query:"scope" enum:"cluster,node" doc:"Whose connections: of all nodes, or of this one. cluster if absent."`
}

type nodeStats struct{ Body nodeStatsJSON }

func (a *API) getStats(ctx context.Context, in *statsInput) (*nodeStats, error) {
	if !a.cfg.StatsForAll && !recordOf(ctx).by.Service {
		return nil, chat.Errorf(chat.Forbidden, "The statistics are for the back end of the application.")
	}
	scope := scopeOf(in.Scope)
	now := a.cfg.Presence.Stats(scope)
	return &nodeStats{Body: nodeStatsJSON{
		TotalConnections: now.Connections, TotalRooms: len(now.Rooms), TotalUsers: now.Users, Rooms: roomStatsOf(now),
		UptimeSeconds: int64(time.Since(a.begun) / time.Second),
		Degraded:      scope == presence.Cluster && a.cfg.Presence.Degraded(),
	}}, nil
}

type version struct{ Body observe.Build }

func (a *API) getVersion(context.Context, *empty) (*version, error) {
	return &version{Body: a.cfg.Build}, nil
}
