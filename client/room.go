package client

import (
	"context"
	"time"

	"tertulia/chat"
)

// Room is one room of a client. It costs nothing to make, and all of its
// methods may be called from any goroutine.
type Room struct {
	client *Client
	id     chat.RoomID
}

// Room returns the room with this id. Whether there is such a room the server
// says when something is asked of it.
func (c *Client) Room(id chat.RoomID) *Room { return &Room{c, id} }

// ID returns the room's id.
func (r *Room) ID() chat.RoomID { return r.id }

// SubscribeOption changes what a room is subscribed with.
type SubscribeOption func(*subscribeOptions)

// Recent begins a room without a cursor with its last n events, at most 200.
func Recent(n int) SubscribeOption {
	return func(o *subscribeOptions) { o.history = max(0, min(n, maxPage)) }
}

// After begins after the event with this cursor, if nothing of the room was
// read yet.
func After(c chat.Cursor) SubscribeOption { return func(o *subscribeOptions) { o.after = c } }

// WithPresence says how much is told of who is here. The server's default is
// the number.
func WithPresence(d PresenceDetail) SubscribeOption {
	return func(o *subscribeOptions) { o.presence = d }
}

// WithReceipts asks for the marks of the others.
func WithReceipts() SubscribeOption { return func(o *subscribeOptions) { o.receipts = true } }

// Follow enters the room, for as long as the client lives or until
// [Room.Unsubscribe]. It returns at once; events say how the server answers. To
// a room that is followed already the options apply from the next connection on.
func (r *Room) Follow(opts ...SubscribeOption) {
	var o subscribeOptions
	for _, f := range opts {
		f(&o)
	}
	r.client.do(func(time.Time) { r.client.p.subscribe(r.id, o) })
}

// Subscribe is Follow, and waits until the server has answered. The error is
// the server's refusal ([*chat.Error]), the end of the client, or that of ctx; in
// the last case it goes on trying.
func (r *Room) Subscribe(ctx context.Context, opts ...SubscribeOption) error {
	r.Follow(opts...)
	c := r.client
	return c.await(ctx, func() (bool, error) {
		switch s := c.p.of(r.id); {
		case c.p.status.State == Closed:
			return true, c.p.status.Err
		case s.live:
			return true, nil
		default:
			return !s.wanted, s.err
		}
	})
}

// Unsubscribe leaves the room. Iterators over its events end.
func (r *Room) Unsubscribe() { r.client.do(func(time.Time) { r.client.p.unsubscribe(r.id) }) }

// Cursor returns the place after the last event that was taken. Its Epoch is
// empty before the first one is known.
func (r *Room) Cursor() chat.Cursor {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return r.client.p.of(r.id).taken
}

// Presence returns who is in the room, as far as it was told; it is empty if
// the room is not subscribed to or was subscribed to with [PresenceNone].
func (r *Room) Presence() Presence {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return r.client.p.of(r.id).presence
}

// Settings returns the room's settings and the user's own standing, as they
// were told last.
func (r *Room) Settings() (chat.Settings, Standing) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	s := r.client.p.of(r.id)
	return s.settings, s.my
}

// RefreshPresence asks the server who is here. The room must be subscribed to.
func (r *Room) RefreshPresence(ctx context.Context) (Presence, error) {
	q := &request{prefix: "n", encode: func(b []byte, id string) []byte {
		return append(appendCommand(b, "presence", id, r.id), '}')
	}}
	if err := r.client.ask(ctx, q); err != nil {
		return Presence{}, err
	}
	in, _ := q.in.(presenceFrame)
	return in.presence, nil
}

// Post puts a message into the outbox and returns its handle, already failed
// if the message breaks a limit ([*chat.Error]), the outbox is full
// ([ErrOutboxFull]) or the client has ended. It does not wait for the server;
// with a Store it waits until that has the message.
func (r *Room) Post(text string) *Outgoing { return r.PostAs(newNonce(), text) }

// PostAs is Post with a nonce of the caller's, 1 to 64 visible ASCII
// characters that no other message of this user in this room has.
func (r *Room) PostAs(nonce chat.Nonce, text string) *Outgoing {
	return r.client.post(&Outgoing{room: r.id, kind: kindPost, text: text, nonce: nonce})
}

// Send posts a message and waits until the server has stored it. If ctx ends
// before, the post is withdrawn; the error then includes [ErrUnknown] if it
// may be stored already, and a [*PostError] in its chain has the nonce.
func (r *Room) Send(ctx context.Context, text string) (Sent, error) {
	return r.client.send(ctx, &Outgoing{room: r.id, kind: kindPost, text: text, nonce: newNonce()})
}

// ChangeOption adds to an edit or a deletion.
type ChangeOption func(*Outgoing)

// IfChanged has the server refuse with version_conflict unless the message's
// Changed is this.
func IfChanged(changed uint64) ChangeOption { return func(o *Outgoing) { o.ifChanged = &changed } }

// ChangeAs gives an edit or a deletion a nonce of the caller's.
func ChangeAs(nonce chat.Nonce) ChangeOption { return func(o *Outgoing) { o.nonce = nonce } }

// Edit replaces the content of one's own message, and waits until that is
// stored. It goes through the outbox, like Send.
func (r *Room) Edit(ctx context.Context, messageID int64, text string, opts ...ChangeOption) (Sent, error) {
	return r.change(ctx, &Outgoing{room: r.id, kind: kindEdit, target: messageID, text: text, nonce: newNonce()}, opts)
}

// Delete takes a message away, and waits until that is stored. The reason may
// be empty.
func (r *Room) Delete(ctx context.Context, messageID int64, reason string, opts ...ChangeOption) (Sent, error) {
	return r.change(ctx, &Outgoing{room: r.id, kind: kindDelete, target: messageID, text: reason, nonce: newNonce()}, opts)
}

func (r *Room) change(ctx context.Context, o *Outgoing, opts []ChangeOption) (Sent, error) {
	for _, f := range opts {
		f(o)
	}
	return r.client.send(ctx, o)
}

// Typing tells the others that the user has begun or stopped to write. It is
// dropped if the client is not online in the room, and repeated at most every
// 3 s.
func (r *Room) Typing(on bool) {
	r.client.do(func(now time.Time) { r.client.p.setTyping(now, r.id, on) })
}

// MarkOption adds to a mark.
type MarkOption func(**bool)

// Private says whether others see how far the user has read, from now on.
func Private(on bool) MarkOption { return func(p **bool) { *p = &on } }

// MarkRead says that the user has read up to a seq, on all devices, and waits
// until that is stored. It returns the mark as it is then: it never goes back.
func (r *Room) MarkRead(ctx context.Context, upTo uint64, opts ...MarkOption) (chat.Mark, error) {
	var private *bool
	for _, f := range opts {
		f(&private)
	}
	return r.client.askMark(ctx, markRequest("read", r.id, upTo, private))
}

// MarkDelivered says that one of the user's devices has the events up to a
// seq.
func (r *Room) MarkDelivered(ctx context.Context, upTo uint64) (chat.Mark, error) {
	return r.client.askMark(ctx, markRequest("delivered", r.id, upTo, nil))
}
