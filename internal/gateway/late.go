package gateway

import (
	"context"
	"time"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/session"
	"tertulia/wire"
)

// A client of v1 that has brought no credential may bring it in its first
// frame, docs/protocol.md §12.3: one of authBytes at most, within authTime.
const (
	authBytes = 4 << 10
	authTime  = 5 * time.Second
)

var (
	errAuthFirst = chat.Errorf(chat.Unauthenticated, "Say who you are first: send auth with a token.")
	errOtherUser = chat.Errorf(chat.Forbidden, "The user_id in the URL is not the user of the token; leave it out.")
)

// late is a client that has yet to say who it is.
type late struct {
	arrival arrival
	timer   *time.Timer // sends it away
}

// awaitAuth lets the first frame say who the client is. It is called before
// the reader starts.
func (c *conn) awaitAuth(a arrival) {
	c.reader.SetMaxMessageBytes(authBytes)
	c.late = &late{arrival: a, timer: time.AfterFunc(authTime, func() {
		c.out.Close(c.gw.cfg.Services.Farewell(errAuthFirst, "remote", a.who.Remote))
	})}
}

// authenticate takes the first frame of a late client.
func (c *conn) authenticate(frame []byte) {
	l := c.late
	if !l.timer.Stop() {
		return // it is being sent away
	}
	a := l.arrival
	id, request, err := c.gw.verifyFirst(frame)
	if err == nil && a.claims != "" && a.claims != string(id.User.ID) {
		err = errOtherUser
	}
	if err != nil {
		c.out.Close(c.gw.cfg.Services.Farewell(err, "remote", a.who.Remote))
		return
	}
	c.late = nil
	a.Identity = id
	a.authID = &request
	if c.rename(id.User.ID) {
		c.reader.SetMaxMessageBytes(chat.MaxFrameBytes)
		c.welcome(a, nil)
	}
}

// rename gives the connection an outgoing side in the name of its user; the
// one so far has written nothing. It reports false if the connection has been
// sent away meanwhile.
func (c *conn) rename(user chat.UserID) bool {
	c.gw.mu.Lock()
	defer c.gw.mu.Unlock()
	if c.gw.draining.Load() {
		return false
	}
	c.out.Gone()
	c.out = c.gw.cfg.Services.Hub.Connect(c, user, dialectOf(true))
	return true
}

// verifyFirst returns whom a first frame stands for, and its request id.
func (g *Gateway) verifyFirst(frame []byte) (id session.Identity, request string, err error) {
	r, err := wire.DecodeRequest(frame)
	if err != nil || r.Type != wire.TypeAuth {
		return id, r.ID, errAuthFirst
	}
	ctx, cancel := context.WithTimeout(g.ctx, attachTimeout)
	defer cancel()
	id, err = g.verify(ctx, r.Token)
	return id, r.ID, err
}

func (g *Gateway) verify(ctx context.Context, token string) (session.Identity, error) {
	id, err := g.cfg.Tokens.Verify(ctx, token)
	return session.Identity(id), err
}

// helloV1 is an arrival as a session of v1 takes it.
func (g *Gateway) helloV1(a arrival) session.HelloV1 {
	h := session.HelloV1{Identity: a.Identity, Room: a.Room, After: a.After, History: a.History, Limit: g.limitOf(a)}
	if g.cfg.Tokens != nil {
		h.Verify = g.verify
	}
	if a.authID != nil {
		h.Authenticated, h.AuthID = true, *a.authID
	}
	return h
}

// limitOf returns the limits on a connection's commands, nil for none.
func (g *Gateway) limitOf(a arrival) session.Limit {
	if g.cfg.Limits == nil {
		return nil
	}
	user, bucket := a.User.ID, new(limit.Bucket)
	return func(typ string, room chat.RoomID) error {
		return g.cfg.Limits.Allow(limit.Use{Class: classOf(typ), User: user, Room: room, Conn: bucket})
	}
}

// classOf returns what a command counts as.
func classOf(typ string) limit.Class {
	switch typ {
	case wire.TypeMessage:
		return limit.Post
	case wire.TypeTyping:
		return limit.Typing
	case wire.TypeSubscribe, wire.TypeUnsubscribe, wire.TypeHello:
		return limit.Subscribe
	case wire.TypeHistory:
		return limit.History
	}
	return limit.Command
}
