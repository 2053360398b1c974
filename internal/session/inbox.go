package session

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/inbox"
	"tertulia/internal/store"
	"tertulia/wire"
)

// listing is a client's subscription to its user's inbox.
type listing struct {
	sub   *hub.Sub
	inbox *inbox.Inbox
}

// openInbox subscribes to the user's own rooms. Notices are delivered by the
// hub from the instant of the snapshot on.
func (v *V1) openInbox(ctx context.Context, re string) error {
	switch {
	case v.srv.Inbox == nil:
		return chat.Errorf(chat.RoomNotFound, "This server has no inbox.")
	case v.listing != nil:
		v.replies.send(func(b []byte) []byte { return wire.AppendOK(b, re, wire.Inbox) })
		return nil
	}
	sub, err := v.srv.Hub.AttachUser(v.conn)
	if err != nil {
		return err
	}
	in, err := v.srv.Inbox.Open(ctx, v.by)
	if err != nil {
		sub.Detach()
		return err
	}
	v.listing = &listing{sub, in}
	rooms, version := in.Snapshot()
	v.list(re, rooms)
	sub.Start(version)
	return nil
}

// closeInbox ends the subscription to the inbox, and reports whether there was
// one.
func (v *V1) closeInbox() bool {
	l := v.listing
	if l == nil {
		return false
	}
	v.listing = nil
	l.sub.Detach()
	l.inbox.Close()
	return true
}

// list sends the rooms of an inbox, in as many frames as it takes. It waits for
// a client that does not read them.
func (v *V1) list(re string, rooms []store.Standing) {
	for more := true; more && v.conn.Wait(); {
		var page []wire.Listed
		for bytes := 0; len(rooms) > 0; rooms = rooms[1:] {
			if bytes += listedBytes(&rooms[0].Room); bytes > historyBytes {
				break
			}
			page = append(page, wire.Listed{Room: rooms[0].Room, Member: rooms[0].Member})
		}
		more = len(rooms) > 0
		v.replies.send(func(b []byte) []byte { return wire.AppendInbox(b, re, page, more) })
	}
}

// listedBytes bounds what a room takes in an inbox frame: names and numbers,
// and its texts, of which a byte becomes six at most.
func listedBytes(r *chat.Room) int {
	const fixed = 512
	return fixed + 6*(len(r.ID)+len(r.Title)+len(r.Topic))
}
