package main

import (
	"context"
	"fmt"

	"tertulia/chat"
	"tertulia/client"
)

// TailCmd follows a room.
type TailCmd struct {
	Room  string `arg:"" help:"Room to follow."`
	JSON  bool   `help:"Write an object for each event, one a line."`
	After string `placeholder:"CURSOR" help:"Begin after the event with this cursor, instead of with what comes now."`
	State string `placeholder:"FILE" help:"Keep in this file how far was read, and go on there next time."`
	ConnectFlags
}

func (TailCmd) Help() string {
	return `Writes what happens in the room's log, each event once and in order, until it is stopped. Lost connections are made again, and nothing is missed or repeated. With --state this holds across runs too; after a crash of this command the events of the last moment may come again.

What is missing because the server no longer keeps it is said: on stderr, or with --json as an object of type gap.

Examples:

    tertulia tail 1
    tertulia tail 1 --json --state bot.json
    tertulia tail 1 --json --after k3v9x0ab:12:1a2b3c4d`
}

func (c *TailCmd) Run(ctx context.Context, io IO) error {
	room, err := roomID(c.Room)
	if err != nil {
		return err
	}
	var after chat.Cursor
	if c.After != "" {
		if after, err = chat.ParseCursor(c.After); err != nil {
			return errorWithHint(exitUsage, "cursors stand in the output of tertulia tail --json", "%s", sentence(err))
		}
	}
	var opts []client.Option
	if c.State != "" {
		opts = append(opts, client.WithStore(client.NewFileStore(c.State)))
	}
	conn, err := c.dial(ctx, io, opts...)
	if err != nil {
		return err
	}
	defer conn.Close()
	return c.follow(ctx, io, conn.Room(room), after)
}

func (c *TailCmd) follow(ctx context.Context, io IO, room *client.Room, after chat.Cursor) error {
	at := clock(io.Out)
	for e, err := range room.Events(ctx, client.From(after)) {
		if err == nil {
			err = c.write(io, e, at)
		}
		if err != nil {
			return refusal(err)
		}
	}
	return ctx.Err()
}

// write writes an event out; what is no event of the log is said on stderr.
func (c *TailCmd) write(io IO, e client.Event, at timeText) error {
	notice := lineWriter{to: io.Err}
	switch e := e.(type) {
	case client.ConnectionState:
		if e.State == client.Waiting {
			notice.line("* connection lost: " + sentence(e.Err))
		}
		return nil
	case client.Gap:
		if !c.JSON {
			notice.line("* " + describeGap(e))
			return nil
		}
	}
	if c.JSON {
		if out, ok := jsonOf(e); ok {
			return writeObject(io.Out, out)
		}
		return nil
	}
	if text := textOf(e, at); text != "" {
		_, err := fmt.Fprintln(io.Out, text)
		return err
	}
	return nil
}
