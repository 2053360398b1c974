package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tertulia/client"
)

// HistoryCmd shows what was said in a room.
type HistoryCmd struct {
	Room   string  `arg:"" help:"Room to read."`
	Before *uint64 `placeholder:"SEQ" help:"The messages before this place in the log."`
	After  *uint64 `placeholder:"SEQ" help:"The messages after this place; 0 is the beginning."`
	Around *uint64 `placeholder:"SEQ" help:"The messages around this place."`
	Limit  int     `default:"50" help:"At most so many messages."`
	JSON   bool    `help:"Write an object for each message, one a line."`
	ConnectFlags
}

func (HistoryCmd) Help() string {
	return `Writes messages oldest first, as they are now: with their latest content. Without a place these are the newest. The place of a message is its seq, which --json shows.

Examples:

    tertulia history 1
    tertulia history 1 --after 0 --limit 1000 --json
    tertulia history 1 --around 120 --limit 20`
}

// maxHistoryLimit bounds what is held in memory to turn it round.
const maxHistoryLimit = 10_000

// Validate is called by the parser.
func (c *HistoryCmd) Validate() error {
	given := 0
	for _, place := range []*uint64{c.Before, c.After, c.Around} {
		if place != nil {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("--before, --after and --around exclude each other")
	case c.Limit < 1 || c.Limit > maxHistoryLimit:
		return fmt.Errorf("--limit is from 1 to %d", maxHistoryLimit)
	case c.Around != nil && (c.Limit > maxHistory || *c.Around == 0):
		return fmt.Errorf("--around is 1 or more, and --limit at most %d with it", maxHistory)
	case c.Before != nil && *c.Before == 0:
		return errors.New("nothing is before 0")
	}
	return c.ConnectFlags.Validate()
}

func (c *HistoryCmd) Run(ctx context.Context, io IO) error {
	id, err := roomID(c.Room)
	if err != nil {
		return err
	}
	conn, err := c.dial(ctx, io)
	if err != nil {
		return err
	}
	defer conn.Close()
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	messages, err := c.read(limited, conn.Room(id))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return c.unreachable("")
	case err != nil:
		return refusal(err)
	}
	return c.write(io, messages)
}

// read returns the messages, oldest first.
func (c *HistoryCmd) read(ctx context.Context, room *client.Room) (messages []client.Message, err error) {
	if c.Around != nil {
		page, err := room.Around(ctx, *c.Around, c.Limit)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			if m, ok := e.(client.Message); ok {
				messages = append(messages, m)
			}
		}
		return messages, nil
	}
	var opts []client.HistoryOption
	switch {
	case c.After != nil:
		opts = append(opts, client.AfterSeq(*c.After))
	case c.Before != nil:
		opts = append(opts, client.BeforeSeq(*c.Before))
	}
	for m, err := range room.History(ctx, opts...) {
		if err != nil {
			return nil, err
		}
		if messages = append(messages, m); len(messages) == c.Limit {
			break
		}
	}
	if c.After == nil {
		slices.Reverse(messages)
	}
	return messages, nil
}

func (c *HistoryCmd) write(io IO, messages []client.Message) error {
	at := clock(io.Out)
	for _, m := range messages {
		var err error
		if c.JSON {
			out, _ := jsonOf(m)
			err = writeObject(io.Out, out)
		} else {
			_, err = fmt.Fprintln(io.Out, textOf(m, at))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
