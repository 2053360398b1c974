package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"tertulia/chat"
	"tertulia/client"
)

// RoomsCmd holds the commands about rooms and their members.
type RoomsCmd struct {
	Ls      RoomsLsCmd      `cmd:"" help:"List the rooms that you may see."`
	Create  RoomsCreateCmd  `cmd:"" help:"Make a room."`
	Rename  RoomsRenameCmd  `cmd:"" help:"Give a room another title."`
	Archive RoomsArchiveCmd `cmd:"" help:"Close a room for writing."`
	Members RoomsMembersCmd `cmd:"" help:"List the members of a room."`
	Join    RoomsJoinCmd    `cmd:"" help:"Become a member."`
	Leave   RoomsLeaveCmd   `cmd:"" help:"End your membership, or decline an invitation."`
	Invite  RoomsInviteCmd  `cmd:"" help:"Invite a user."`
	Remove  RoomsRemoveCmd  `cmd:"" help:"End somebody's membership."`
}

func (RoomsCmd) Help() string {
	return `Examples:

    tertulia rooms ls
    tertulia rooms create taller --title Taller --access private
    tertulia rooms invite taller 2`
}

// roomsPage is how many are asked for at once.
const roomsPage = 100

// everything reads all pages of a list; key is that of an item.
func everything[T any, K ~string](get func(after K) ([]T, bool, error), key func(T) K) (all []T, err error) {
	var after K
	for {
		page, more, err := get(after)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if !more || len(page) == 0 {
			return all, nil
		}
		after = key(page[len(page)-1])
	}
}

// ask runs f against the server's API, for a room if one is named.
func (f *ConnectFlags) ask(ctx context.Context, io IO, room string, do func(context.Context, *client.API, chat.RoomID) error) error {
	id := chat.RoomID(room)
	if room != "" {
		var err error
		if id, err = roomID(room); err != nil {
			return err
		}
	}
	api, limited, cancel, err := f.api(ctx, io)
	if err != nil {
		return err
	}
	defer cancel()
	return f.asked(limited, do(limited, api, id))
}

// RoomsLsCmd lists rooms.
type RoomsLsCmd struct {
	JSON bool `help:"Write an object for each room, one a line."`
	ConnectFlags
}

func (RoomsLsCmd) Help() string {
	return `Rooms that are open or public, by their ids.

Examples:

    tertulia rooms ls
    tertulia rooms ls --json`
}

func (c *RoomsLsCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, "", func(ctx context.Context, api *client.API, _ chat.RoomID) error {
		rooms, err := everything(func(after chat.RoomID) ([]client.FoundRoom, bool, error) {
			return api.Rooms(ctx, after, roomsPage)
		}, func(r client.FoundRoom) chat.RoomID { return r.Room.ID })
		if err != nil {
			return err
		}
		return c.write(io, rooms)
	})
}

func (c *RoomsLsCmd) write(io IO, rooms []client.FoundRoom) error {
	table := tabwriter.NewWriter(io.Out, 0, 0, 3, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "ROOM\tACCESS\tMEMBERS\tTITLE")
	}
	for _, r := range rooms {
		if c.JSON {
			if err := writeObject(io.Out, r); err != nil {
				return err
			}
			continue
		}
		title := neutralised(r.Room.Title)
		if r.Room.Archived {
			title += " (archived)"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", r.Room.ID, r.Room.Access, r.Members, title)
	}
	return table.Flush()
}

// RoomsCreateCmd makes a room.
type RoomsCreateCmd struct {
	Room   string `arg:"" optional:"" help:"Its id for ever; a random one if left out."`
	Title  string `help:"Its title."`
	Topic  string `help:"What it is about."`
	Access string `default:"public" enum:"public,private,open" help:"public: everybody may join; private: by invitation; open: everybody, without joining, for a service to make."`
	ConnectFlags
}

func (RoomsCreateCmd) Help() string {
	return `Writes the room's id. You own the room then.

Examples:

    tertulia rooms create taller --title Taller
    tertulia rooms create --access private --title Secreto`
}

func (c *RoomsCreateCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		made, err := api.CreateRoom(ctx, client.NewRoom{ID: id, Access: c.Access, Title: c.Title, Topic: c.Topic})
		if err == nil {
			fmt.Fprintln(io.Out, made.ID)
		}
		return err
	})
}

// RoomsRenameCmd gives a room another title.
type RoomsRenameCmd struct {
	Room  string `arg:"" help:"The room."`
	Title string `arg:"" help:"Its new title."`
	ConnectFlags
}

func (RoomsRenameCmd) Help() string {
	return `The id of a room never changes.

Examples:

    tertulia rooms rename taller "Taller de los jueves"`
}

func (c *RoomsRenameCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		_, err := api.UpdateRoom(ctx, id, client.RoomChanges{Title: &c.Title})
		return err
	})
}

// RoomsArchiveCmd closes a room for writing.
type RoomsArchiveCmd struct {
	Room string `arg:"" help:"The room."`
	Undo bool   `help:"Open it again."`
	ConnectFlags
}

func (RoomsArchiveCmd) Help() string {
	return `An archived room can be read and not written.

Examples:

    tertulia rooms archive taller
    tertulia rooms archive taller --undo`
}

func (c *RoomsArchiveCmd) Run(ctx context.Context, io IO) error {
	return c.ask(ctx, io, c.Room, func(ctx context.Context, api *client.API, id chat.RoomID) error {
		archived := !c.Undo
		_, err := api.UpdateRoom(ctx, id, client.RoomChanges{Archived: &archived})
		return err
	})
}
