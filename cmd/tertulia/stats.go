package main

import (
	"context"
	"fmt"
	"time"

	"tertulia/client"
)

// StatsCmd shows how many are connected.
type StatsCmd struct {
	Watch    bool          `help:"Go on, and show the numbers anew."`
	Interval time.Duration `default:"2s" help:"How long --watch waits before it asks again."`
	JSON     bool          `help:"Write an object; with --watch one a line."`
	ConnectFlags
}

func (StatsCmd) Help() string {
	return `The fullest 20 rooms, and the sums. --watch goes on until it is stopped; a server that does not answer in between is said on stderr.

Examples:

    tertulia stats
    tertulia stats --watch --interval 10s
    tertulia stats --json`
}

// Validate is called by the parser.
func (c *StatsCmd) Validate() error {
	if c.Interval < 100*time.Millisecond {
		return fmt.Errorf("--interval is 100ms or longer")
	}
	return c.ConnectFlags.Validate()
}

// clearScreen puts the cursor at home and clears what stands below it.
const clearScreen = "\x1b[H\x1b[J"

func (c *StatsCmd) Run(ctx context.Context, io IO) error {
	if err := c.once(ctx, io); err != nil || !c.Watch {
		return err
	}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.once(ctx, io); err != nil && ctx.Err() == nil {
			fmt.Fprintf(io.Err, "* %s\n", err)
		}
	}
}

// once asks and writes.
func (c *StatsCmd) once(ctx context.Context, io IO) error {
	api, limited, cancel, err := c.api(ctx, io)
	if err != nil {
		return err
	}
	defer cancel()
	stats, err := api.Stats(limited)
	if err != nil {
		return c.asked(limited, err)
	}
	return c.write(io, stats)
}

func (c *StatsCmd) write(io IO, stats *client.Stats) error {
	if c.JSON {
		return writeObject(io.Out, stats)
	}
	if c.Watch && io.colored(io.Out) {
		fmt.Fprint(io.Out, clearScreen)
	}
	_, err := fmt.Fprintln(io.Out, statsTable(stats))
	return err
}
