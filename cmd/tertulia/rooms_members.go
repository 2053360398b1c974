package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"tertulia/chat"
	"tertulia/client"
)

// RoomsMembersCmd lists members.
type RoomsMembersCmd struct {
	Room string `arg:"" help:"The room."`
	JSON bool   `help:"Write an object for each member, one a line."`
	ConnectFlags
}

func (RoomsMembersCmd) Help() string {
	return `Those who have joined, by their ids.

Examples:

    tertulia rooms members taller
    tertulia rooms members taller --json`
}

func (c *RoomsMembersCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		members, err := everything(func(after chat.UserID) ([]client.MemberInfo, bool, error) {
			return api.Members(ctx, id, after, roomsPage)
		}, func(m client.MemberInfo) chat.UserID { return m.UserID })
		if err != nil {
			return err
		}
		return c.write(io, members)
	})
}

func (c *RoomsMembersCmd) write(io IO, members []client.MemberInfo) error {
	table := tabwriter.NewWriter(io.Out, 0, 0, 3, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "USER\tNAME\tROLE")
	}
	for _, m := range members {
		if c.JSON {
			if err := writeObject(io.Out, m); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", neutralised(string(m.UserID)), neutralised(m.Username), m.Role)
	}
	return table.Flush()
}

// RoomsJoinCmd makes the user a member.
type RoomsJoinCmd struct {
	Room string `arg:"" help:"The room."`
	ConnectFlags
}

func (RoomsJoinCmd) Help() string {
	return `Works for public rooms, and for others with an invitation.

Examples:

    tertulia rooms join taller`
}

func (c *RoomsJoinCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		_, err := api.Join(ctx, id)
		return err
	})
}

// RoomsLeaveCmd ends the user's own membership.
type RoomsLeaveCmd struct {
	Room string `arg:"" help:"The room."`
	ConnectFlags
}

func (RoomsLeaveCmd) Help() string {
	return `The last owner may leave only as the last member.

Examples:

    tertulia rooms leave taller`
}

func (c *RoomsLeaveCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		return api.Leave(ctx, id)
	})
}

// RoomsInviteCmd invites a user.
type RoomsInviteCmd struct {
	Room string      `arg:"" help:"The room."`
	User chat.UserID `arg:"" help:"The user's id."`
	ConnectFlags
}

func (RoomsInviteCmd) Help() string {
	return `The user joins with tertulia rooms join.

Examples:

    tertulia rooms invite taller 2`
}

func (c *RoomsInviteCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		_, err := api.Invite(ctx, id, c.User)
		return err
	})
}

// RoomsRemoveCmd ends somebody's membership.
type RoomsRemoveCmd struct {
	Room string      `arg:"" help:"The room."`
	User chat.UserID `arg:"" help:"The user's id."`
	ConnectFlags
}

func (RoomsRemoveCmd) Help() string {
	return `Ends a membership or an invitation. The user may come back as anybody may.

Examples:

    tertulia rooms remove taller 2`
}

func (c *RoomsRemoveCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		return api.Remove(ctx, id, c.User)
	})
}
