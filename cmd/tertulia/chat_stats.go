package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
)

// serverStats is the body of GET /ws/stats (docs/protocol.md §10.4).
type serverStats struct {
	Connections int                  `json:"total_connections"`
	RoomCount   int                  `json:"total_rooms"`
	Rooms       map[string]roomStats `json:"rooms"`
}

type roomStats struct {
	Connections int `json:"connections"`
	Users       int `json:"users"`
}

const (
	// maxStatsBytes is room for the statistics of about 100,000 rooms.
	maxStatsBytes = 8 << 20
	// maxStatsRooms is how many rooms are shown, the fullest first.
	maxStatsRooms = 20
)

func (s *conversation) stats(ctx context.Context, arg string) error {
	if arg != "" {
		return errArgument
	}
	s.ask(ctx, func(ctx context.Context) (string, error) {
		stats, err := fetchStats(ctx, s.httpURL("/ws/stats"))
		if err != nil {
			return "", fmt.Errorf("no statistics: %w", err)
		}
		return stats.table(), nil
	})
	return nil
}

// fetchStats asks the server itself, past any proxy.
func fetchStats(ctx context.Context, url string) (*serverStats, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered with HTTP status %d", res.StatusCode)
	}
	stats := new(serverStats)
	if err := json.UnmarshalRead(io.LimitReader(res.Body, maxStatsBytes), stats); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return stats, nil
}

// table is the statistics for people.
func (s *serverStats) table() string {
	fullest := slices.SortedFunc(maps.Keys(s.Rooms), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Rooms[b].Connections, s.Rooms[a].Connections), strings.Compare(a, b))
	})
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ROOM\tCONNECTIONS\tUSERS")
	for _, room := range fullest[:min(len(fullest), maxStatsRooms)] {
		fmt.Fprintf(table, "%s\t%d\t%d\n", neutralised(room), s.Rooms[room].Connections, s.Rooms[room].Users)
	}
	table.Flush() // into memory; never fails
	if more := len(fullest) - maxStatsRooms; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	fmt.Fprintf(&b, "%s in %s", count(s.Connections, "connection", "connections"), count(s.RoomCount, "room", "rooms"))
	return b.String()
}
