package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/presence"
	"tertulia/internal/store"
	"tertulia/wire"
)

// Hello is who connects, where to, and from which place in the log.
type Hello struct {
	Identity
	Room chat.RoomID
	// After is the cursor of a client that comes back, nil otherwise.
	After *chat.Cursor
	// History is how many messages of the past it wants, at most MaxHistory.
	History int
	// Replay gives the history as frames of its own instead of inside
	// connected.
	Replay bool
	Limit  Limit
}

// Session is the conversation of one client of the seed profile.
type Session struct {
	dialogue

	// Fixed after construction.
	by    chat.Principal
	room  chat.RoomID
	sub   *hub.Sub
	visit *presence.Visit

	typing *typing // owned by the reader; nil until the client has typed
}

// Open attaches conn to a room and tells the client so. On an error nothing
// is attached; [Farewell] turns it into the last frames of the connection.
func (srv *Services) Open(ctx context.Context, conn *hub.Conn, hello Hello) (*Session, error) {
	if hello.User.ID == "" {
		return nil, errServiceAlone
	}
	sub, at, err := srv.Hub.Attach(ctx, conn, hello.Room, hub.AttachOptions{
		After:       hello.After,
		Recent:      hello.History,
		RecentBytes: historyBytes,
	})
	if err != nil {
		return nil, err
	}
	// After Attach, so that a removal in between is not missed.
	if err := srv.Rooms.EnterAt(ctx, hello.Principal, hello.Room, at.Epoch, at.Since); err != nil {
		sub.Detach()
		return nil, err
	}
	s := &Session{by: hello.Principal, room: hello.Room, sub: sub}
	s.init(srv, conn, hello.Limit)
	s.life.begin(hello.Identity, srv.Watch, s.dismiss)
	here, visit := srv.Presence.Join(hello.Room, hello.User)
	s.visit = visit
	s.greet(hello, at, here)
	sub.Start(here.Version)
	return s, nil
}

// greet queues connected, and the replay if one was asked for. They are
// queued before Start, so they are written before any event.
func (s *Session) greet(hello Hello, at hub.Attached, here presence.Snapshot) {
	c := wire.Connected{
		Room:        hello.Room,
		Epoch:       at.Epoch,
		Head:        at.Head,
		Cursor:      at.Cursor,
		Active:      here.Users,
		ActiveCount: here.Count,
	}
	if !slices.ContainsFunc(here.Users, func(u chat.User) bool { return u.ID == s.by.User.ID }) {
		c.Active = append(c.Active, s.by.User) // beyond the list of a large room
	}
	if hello.After != nil {
		c.Resume = &wire.Resume{Reason: gapReasons[at.Gap], From: at.From, To: at.To}
	}
	history := make([]wire.HistoryItem, len(at.Recent))
	for i, r := range at.Recent {
		history[i] = wire.HistoryItem{Seq: r.Seq, Frame: r.Frame}
	}
	if !hello.Replay {
		c.History = history
	}
	s.replies.send(func(b []byte) []byte { return wire.AppendConnected(b, &c) })
	if !hello.Replay {
		return
	}
	for _, item := range history {
		s.replies.send(func(b []byte) []byte { return wire.AppendReplay(b, hello.Room, item) })
	}
}

var gapReasons = [...]string{
	hub.GapNone:      "",
	hub.GapEpoch:     wire.GapEpoch,
	hub.GapRetention: wire.GapRetention,
}

// End is called once, when nothing more is read. clean says that the client
// closed the connection with a close frame.
func (s *Session) End(clean bool) {
	s.life.end()
	s.srv.Rooms.Seen(s.by.User)
	if s.typing != nil {
		s.typing.stop()
	}
	s.sub.Detach()
	s.visit.Leave(clean)
}

// Farewell returns the last frames for a client that cannot be served because
// of err: the error, and a close code that says whether to come back. It logs
// what the client is not told.
func (srv *Services) Farewell(err error, attrs ...any) []byte {
	told := asError(err)
	if told.Code == chat.Internal || told.Code == chat.StoreUnavailable {
		srv.Log.Warn("refuse a connection", append(attrs, "code", told.Code, "error", err)...)
	} else {
		srv.Log.Debug("refuse a connection", append(attrs, "code", told.Code)...)
	}
	code := closeCode(told.Code)
	if r, ok := errors.AsType[*Refusal](err); ok {
		code = r.Code
	}
	b := srv.Framing.Text(nil, wire.AppendError(nil, "", "", told))
	return srv.Framing.Close(b, code, string(told.Code))
}

// Refusal is an error with a close code of its own, for [Services.Farewell].
type Refusal struct {
	Code wire.CloseCode
	Err  error
}

func (r *Refusal) Error() string { return r.Err.Error() }

func (r *Refusal) Unwrap() error { return r.Err }

// asError is what a client is told about err.
func asError(err error) *chat.Error {
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBroken) || errors.Is(err, context.DeadlineExceeded) {
		return &chat.Error{
			Code:       chat.StoreUnavailable,
			Message:    "The server cannot reach its store; try again in a moment.",
			RetryAfter: time.Second,
		}
	}
	return chat.AsError(err)
}

func closeCode(c chat.Code) wire.CloseCode {
	switch c {
	case chat.RoomNotFound:
		return wire.CloseRoomNotFound
	case chat.StoreUnavailable:
		return wire.CloseStoreUnavailable
	case chat.ShuttingDown:
		return wire.CloseDrain
	case chat.Internal:
		return wire.CloseInternal
	case chat.TooManyConnections:
		return wire.CloseTooManyConnections
	case chat.Forbidden, chat.Banned:
		return wire.CloseRemoved
	case chat.Unauthenticated:
		return wire.CloseUnauthenticated
	case chat.TokenExpired:
		return wire.CloseExpired
	}
	return wire.CloseBadRequest
}

// Bye makes the close frame for the hub's reasons.
func (f *Framing) Bye(r hub.Reason) []byte {
	switch r {
	case hub.Slow:
		return f.Close(nil, wire.CloseSlow, "too slow; resume from your cursor")
	case hub.Rewritten:
		return f.Close(nil, wire.CloseMoved, "the log was rewritten; connect again")
	case hub.Unreadable:
		return f.Close(nil, wire.CloseStoreUnavailable, "the store cannot be read; resume later")
	case hub.Removed:
		return f.Close(nil, wire.CloseRemoved, "removed from the room")
	}
	panic(fmt.Sprintf("session: no close frame for reason %d", r))
}
