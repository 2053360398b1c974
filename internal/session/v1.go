package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"tertulia/chat"
	"tertulia/internal/hub"
	"tertulia/internal/presence"
	"tertulia/wire"
)

// Limits of a v1 session, docs/protocol.md §20.
const (
	// MaxSubscriptions bounds the rooms of one connection.
	MaxSubscriptions = 1000
	// commandTime bounds what one command may wait for the store.
	commandTime = 10 * time.Second
)

// features are the words of hello, docs/protocol.md §14.1.
var features = []string{"edit", "delete", "history", "presence", "receipts", "typing"}

// features are what this server serves.
func (srv *Services) features() []string {
	if srv.Inbox == nil {
		return features
	}
	return append(slices.Clone(features), string(wire.Inbox))
}

// HelloV1 is who connects with the profile v1, and where to.
type HelloV1 struct {
	Identity
	// Room is the room of the URL, empty for none. After and History are as
	// for a subscription to it.
	Room    chat.RoomID
	After   *chat.Cursor
	History int
	Limit   Limit
	// Verify returns whom a token stands for; nil in open mode.
	Verify func(ctx context.Context, token string) (Identity, error)
	// Authenticated says that the client has just brought its credential by
	// auth, with the request id AuthID.
	Authenticated bool
	AuthID        string
}

// V1 is the conversation of one client of the profile v1: many rooms on one
// connection.
type V1 struct {
	dialogue

	// Fixed after construction.
	by     chat.Principal
	home   chat.RoomID // for commands that name no room; may be empty
	verify func(ctx context.Context, token string) (Identity, error)
	name   string
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	work   sync.WaitGroup // marks being stored, subscriptions being left

	// Owned by the reader.
	listing *listing  // nil unless the client has opened its inbox
	came    time.Time // when the client came into rooms last

	mu   sync.Mutex
	subs map[chat.RoomID]*subscription
	over bool // End has been called
}

// subscription is one room that the client is in.
type subscription struct {
	sub    *hub.Sub
	visit  *presence.Visit
	typing *typing // guarded by V1.mu; nil until the client has typed
}

// OpenV1 begins a conversation: hello, and the room of the URL if there is
// one. On an error nothing is attached; [Services.Farewell] turns it into the
// last frames of the connection.
func (srv *Services) OpenV1(ctx context.Context, conn *hub.Conn, hello HelloV1) (*V1, error) {
	if hello.User.ID == "" {
		return nil, errServiceAlone
	}
	v := &V1{by: hello.Principal, home: hello.Room, verify: hello.Verify, name: newName(), subs: make(map[chat.RoomID]*subscription)}
	v.init(srv, conn, hello.Limit)
	v.ctx, v.cancel = context.WithCancel(context.Background())
	conn.SetOwner(v)
	v.life.begin(hello.Identity, srv.Watch, v.dismiss)
	if hello.Authenticated {
		v.replies.send(func(b []byte) []byte { return wire.AppendAuthenticated(b, hello.AuthID, hello.ExpiresAt) })
	}
	v.hello("")
	if hello.Room != "" {
		s := wire.Subscription{Room: hello.Room, After: hello.After, History: hello.History, Presence: wire.PresenceList}
		if err := v.subscribeTo(ctx, s, ""); err != nil {
			v.End(true)
			return nil, err
		}
	}
	return v, nil
}

var errServiceAlone = chat.Errorf(chat.Forbidden, "A connection is a user's: name the one that the service acts for.")

// newName makes the name of a session for the logs of both sides.
func newName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (v *V1) hello(re string) {
	h := wire.Hello{
		Re:        re,
		Server:    v.srv.Server,
		Session:   v.name,
		User:      v.by.User,
		Features:  v.srv.features(),
		Heartbeat: v.srv.Heartbeat,
		ExpiresAt: v.life.identity().ExpiresAt,
		Rooms:     MaxSubscriptions,
	}
	v.replies.later(func(b []byte) []byte { return wire.AppendHello(b, &h) })
}

// End implements [Conversation].
func (v *V1) End(clean bool) {
	v.life.end()
	v.srv.Rooms.Seen(v.by.User)
	v.cancel()
	v.mu.Lock()
	v.over = true
	left := v.subs
	v.subs = nil
	v.mu.Unlock()
	for _, s := range left {
		v.leave(s, clean)
	}
	v.closeInbox()
	v.work.Wait()
}

// leave ends a subscription that is no longer in subs.
func (v *V1) leave(s *subscription, clean bool) {
	s.sub.Detach()
	v.mu.Lock()
	typing := s.typing
	v.mu.Unlock()
	if typing != nil {
		typing.stop()
	}
	s.visit.Leave(clean)
}

// Ended is the [hub.Dialect]'s function of that name for v1: the user has been
// removed from the room of sub.
func Ended(dst []byte, sub *hub.Sub, text func(dst, json []byte) []byte) []byte {
	sub.Conn().Owner().(*V1).removed(sub)
	return text(dst, wire.AppendUnsubscribed(nil, "", sub.Room(), wire.UnsubscribedRemoved))
}

// Trimmed is the [hub.Dialect]'s function Gap for v1: events that sub had yet
// to be given are no longer kept.
func Trimmed(dst []byte, sub *hub.Sub, from, to uint64, text func(dst, json []byte) []byte) []byte {
	return text(dst, wire.AppendGap(nil, sub.Room(), wire.Resume{Reason: wire.GapRetention, From: from, To: to}))
}

// removed lets go of a subscription that the hub has ended. It is called by a
// loop and does not wait.
func (v *V1) removed(sub *hub.Sub) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.subs[sub.Room()]
	if v.over || s == nil || s.sub != sub {
		return
	}
	delete(v.subs, sub.Room())
	v.work.Go(func() { v.leave(s, true) })
}

// isIn reports whether the client is subscribed to a room.
func (v *V1) isIn(room chat.RoomID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.subs[room] != nil
}

// Receive implements [Conversation].
func (v *V1) Receive(frame []byte) {
	if v.faults.isOver() || !v.conn.Wait() {
		return
	}
	r, err := wire.DecodeRequest(frame)
	if err == nil && r.Room == "" {
		r.Room, err = v.roomOf(&r)
	}
	if err == nil {
		err = v.allow(r.Type, r.Room)
	}
	if err != nil {
		v.refuse(&r, r.Room, err)
		return
	}
	v.execute(&r)
}

// roomOf returns the room of a command that names none.
func (v *V1) roomOf(r *wire.Request) (chat.RoomID, error) {
	switch r.Type {
	case wire.TypeHello, wire.TypeAuth, wire.TypeSubscribe, wire.TypeUnsubscribe, wire.TypePing:
		return "", nil
	}
	if v.home == "" {
		return "", chat.Errorf(chat.InvalidEvent, "The command needs a member room.")
	}
	return v.home, nil
}

func (v *V1) execute(r *wire.Request) {
	switch r.Type {
	case wire.TypeHello:
		v.hello(r.ID)
		v.subscribeAll(r)
	case wire.TypeAuth:
		v.timed(r, v.authenticate)
	case wire.TypeSubscribe:
		v.subscribeAll(r)
	case wire.TypeUnsubscribe:
		v.unsubscribe(r)
	case wire.TypeMessage:
		v.post(r)
	case wire.TypeEdit:
		v.timed(r, v.edit)
	case wire.TypeDelete:
		v.timed(r, v.delete)
	case wire.TypeTyping:
		v.setTyping(r)
	case wire.TypeRead, wire.TypeDelivered:
		v.mark(r)
	case wire.TypeHistory:
		v.timed(r, v.history)
	case wire.TypePresence:
		v.presence(r)
	case wire.TypePing:
		v.replies.later(func(b []byte) []byte { return wire.AppendPong(b, r.ID, r.Echo) })
	}
}

// timed executes a command that waits for the store.
func (v *V1) timed(r *wire.Request, do func(context.Context, *wire.Request)) {
	ctx, cancel := context.WithTimeout(v.ctx, commandTime)
	defer cancel()
	do(ctx, r)
}

// refuse answers a command that was not done.
func (v *V1) refuse(r *wire.Request, room chat.RoomID, err error) {
	told := asError(err)
	v.replies.later(func(b []byte) []byte { return wire.AppendRefusal(b, r.ID, room, r.Nonce, told) })
	v.count(told)
}

// authenticate puts a new credential of the same user in the place of the old
// one.
func (v *V1) authenticate(ctx context.Context, r *wire.Request) {
	if v.verify == nil {
		v.refuse(r, "", chat.Errorf(chat.Forbidden, "This server takes no tokens; the user is the one of the URL."))
		return
	}
	id, err := v.verify(ctx, r.Token)
	if err == nil && id.User.ID != v.by.User.ID {
		err = chat.Errorf(chat.Forbidden, "The token is another user's; open a connection of its own for that one.")
	}
	if err != nil {
		v.refuse(r, "", err)
		return
	}
	v.life.renew(id)
	v.replies.later(func(b []byte) []byte { return wire.AppendAuthenticated(b, r.ID, id.ExpiresAt) })
}
