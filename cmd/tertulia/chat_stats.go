package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"tertulia/client"
)

// maxStatsRooms is how many rooms are shown, the fullest first.
const maxStatsRooms = 20

func (s *conversation) stats(ctx context.Context, arg string) error {
	if arg != "" {
		return errArgument
	}
	s.ask(ctx, func(ctx context.Context) (string, error) {
		api, err := client.NewAPI(s.server, s.cmd.ConnectFlags.options(s.env)...)
		if err != nil {
			return "", err
		}
		stats, err := api.Stats(ctx)
		if err != nil {
			return "", fmt.Errorf("no statistics: %w", err)
		}
		return statsTable(stats), nil
	})
	return nil
}

// statsTable is the statistics for people.
func statsTable(s *client.Stats) string {
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
