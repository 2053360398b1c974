package session

import (
	"context"
	"log/slog"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/wire"
)

// Conversation is a session of either profile, as its connection sees it.
// Receive and End are called from the connection's reader only.
type Conversation interface {
	// Receive takes one message from the client. It returns when the next may
	// be read. Nothing of frame is kept.
	Receive(frame []byte)
	// End is called once, when nothing more is read. clean says that the
	// client closed the connection with a close frame.
	End(clean bool)
}

// Limit returns why a command of a type, about a room, may not be done now; nil
// if it may. It is called from a connection's reader only. A nil Limit sets no
// limits.
type Limit func(typ string, room chat.RoomID) error

// dialogue is what sessions of both profiles have.
type dialogue struct {
	// Fixed after init.
	srv   *Services
	conn  *hub.Conn
	limit Limit

	replies replies
	faults  faults
	life    life
}

func (d *dialogue) init(srv *Services, conn *hub.Conn, limit Limit) {
	d.srv, d.conn, d.limit = srv, conn, limit
	d.replies.init(conn, srv.Framing.Text)
}

// allow returns why a command may not be done now, or nil.
func (d *dialogue) allow(typ string, room chat.RoomID) error {
	if d.limit == nil {
		return nil
	}
	return d.limit(typ, room)
}

func (d *dialogue) logReceived(room chat.RoomID, user chat.UserID, cmd *wire.Command) {
	if d.srv.Log.Enabled(context.Background(), slog.LevelDebug) {
		d.srv.Log.Debug("message received", "conn_id", d.conn.ID(), "room_id", room, "user_id", user, "nonce", cmd.Nonce, "bytes", len(cmd.Content))
	}
}

// dismiss ends the connection because of told, which the client is given with
// the end, so that no event comes between. It may be called from any goroutine.
func (d *dialogue) dismiss(told *chat.Error) {
	last := d.replies.text(nil, wire.AppendError(nil, "", "", told))
	d.conn.Close(d.srv.Framing.Close(last, closeCode(told.Code), string(told.Code)))
}
