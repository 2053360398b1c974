package api

import (
	"context"
	"net/http"

	"tertulia/chat"
)

func (a *API) describeMembership(to *routes) {
	register(to, operation{
		id: "join-room", method: http.MethodPost, path: "/rooms/{room}/join", tag: "members", needs: join,
		summary: "Become a member", about: "Of a public room, or of any that one is invited to. Who has joined stays so.",
		codes: []chat.Code{chat.Banned, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.joinRoom)
	register(to, operation{
		id: "leave-room", method: http.MethodPost, path: "/rooms/{room}/leave", tag: "members", needs: leave,
		summary: "End one's own membership", about: "Or decline an invitation. The last owner may leave only as the last member.",
		codes: []chat.Code{chat.Banned, chat.MemberNotFound, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.leaveRoom)
}

func (a *API) joinRoom(ctx context.Context, in *InRoom) (*oneMember, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	m, err := a.cfg.Rooms.Join(ctx, recordOf(ctx).by, id)
	if err != nil {
		return nil, err
	}
	return &oneMember{Body: memberOf(m)}, nil
}

func (a *API) leaveRoom(ctx context.Context, in *InRoom) (*empty, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Rooms.Leave(ctx, recordOf(ctx).by, id)
}
