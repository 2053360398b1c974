package api

import (
	"context"
	"net/http"

	"tertulia/chat"
)

func (a *API) describePresence(to *routes) {
	register(to, operation{
		id: "get-room-presence", method: http.MethodGet, path: "/rooms/{room}/presence", tag: "presence", needs: read,
		summary: "See who is in a room now", about: "The first 200 by name, in the order of their coming; count is of all.",
		codes: []chat.Code{chat.Banned, chat.StoreUnavailable},
	}, a.roomPresence)
	register(to, operation{
		id: "post-typing", method: http.MethodPost, path: "/rooms/{room}/typing", tag: "presence", needs: post,
		summary: "Tell the others that one types, or has stopped", about: "It expires after 8 s; repeat it while it goes on.",
		codes: []chat.Code{chat.Banned, chat.RoomReadOnly, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.postTyping)
	register(to, operation{
		id: "get-user-presence", method: http.MethodGet, path: "/users/{user}/presence", tag: "presence", needs: user,
		summary: "See whether a user is connected", about: "Of those with whom one shares a room.",
		codes: []chat.Code{chat.UserNotFound, chat.StoreUnavailable},
	}, a.userPresence)
}

// presentJSON is a user who is here.
type presentJSON struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
}

type roomPresenceJSON struct {
	Users []presentJSON `json:"users"`
	Count int           `json:"count"`
	// Degraded is absent while all is well.
	Degraded bool `json:"degraded,omitzero" doc:"True while the node that answers does not hear the others; who is here by them may be out of date."`
}

type roomPresence struct{ Body roomPresenceJSON }

func (a *API) roomPresence(ctx context.Context, in *InRoom) (*roomPresence, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	if _, err := a.cfg.Rooms.Enter(ctx, recordOf(ctx).by, id); err != nil {
		return nil, err
	}
	now := a.cfg.Presence.Snapshot(id)
	out := &roomPresence{Body: roomPresenceJSON{Users: make([]presentJSON, len(now.Users)), Count: now.Count, Degraded: now.Degraded}}
	for i, u := range now.Users {
		out.Body.Users[i] = presentJSON{UserID: string(u.ID), Username: u.Name}
	}
	return out, nil
}

type typingJSON struct {
	IsTyping bool `json:"is_typing"`
}

type postTypingInput struct {
	InRoom
	Body typingJSON
}

func (a *API) postTyping(ctx context.Context, in *postTypingInput) (*empty, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Rooms.Typing(ctx, recordOf(ctx).by, id, in.Body.IsTyping)
}

type userPresenceJSON struct {
	Online     bool   `json:"online"`
	LastSeenAt string `json:"last_seen_at,omitempty" format:"date-time" doc:"When the user was connected last; absent if never."`
}

type userPresence struct{ Body userPresenceJSON }

func (a *API) userPresence(ctx context.Context, in *OfUser) (*userPresence, error) {
	id, err := in.user()
	if err != nil {
		return nil, err
	}
	account, err := a.cfg.Rooms.Account(ctx, recordOf(ctx).by, id)
	if err != nil {
		return nil, err
	}
	return &userPresence{Body: userPresenceJSON{Online: a.cfg.Presence.IsHere(id), LastSeenAt: instant(account.SeenAt)}}, nil
}
