package api

import (
	"context"
	"net/http"

	"tertulia/chat"
	"tertulia/internal/room"
)

// markJSON is how far a user has come in a room.
type markJSON struct {
	Read      uint64 `json:"read" doc:"The seq up to which the user has read."`
	Delivered uint64 `json:"delivered" doc:"The seq up to which the user has received; never below read."`
	Private   bool   `json:"private,omitzero" doc:"The mark is not shown to others."`
}

func markOf(m chat.Mark) markJSON {
	return markJSON{Read: m.Read, Delivered: m.Delivered, Private: m.Private}
}

// userMarkJSON is one user's mark.
type userMarkJSON struct {
	UserID   string   `json:"user_id"`
	Username string   `json:"username"`
	Mark     markJSON `json:"mark"`
}

func userMarkOf(m chat.Member) userMarkJSON {
	return userMarkJSON{UserID: string(m.User.ID), Username: m.User.Name, Mark: markOf(m.Mark)}
}

func (a *API) describeMarks(to *routes) {
	register(to, operation{
		id: "list-marks", method: http.MethodGet, path: "/rooms/{room}/read", tag: "marks", needs: read,
		summary: "List who has read how far", about: "By user ids; one's own mark, and those of others that are not private.",
		codes: []chat.Code{chat.Banned, chat.StoreUnavailable},
	}, a.listMarks)
	register(to, operation{
		id: "put-mark", method: http.MethodPut, path: "/rooms/{room}/read", tag: "marks", needs: mark,
		summary: "Move one's own mark", about: "A mark never goes back, and not beyond the head; the answer is the mark as it is then, stored.",
		codes: []chat.Code{chat.Banned, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.putMark)
}

type listMarksInput struct {
	InRoom
	Paged
}

func (a *API) listMarks(ctx context.Context, in *listMarksInput) (*list[userMarkJSON], error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	rec := recordOf(ctx)
	marks, err := a.cfg.Rooms.Marks(ctx, rec.by, id, chat.UserID(in.After), in.Limit+1)
	if err != nil {
		return nil, err
	}
	return listOf(rec, in.Paged, marks, userOf, userMarkOf), nil
}

type newMarkJSON struct {
	UpTo      uint64 `json:"up_to,omitzero" doc:"The seq up to which everything is read."`
	Delivered uint64 `json:"delivered,omitzero" doc:"The seq up to which everything has arrived."`
	Private   *bool  `json:"private,omitempty" doc:"Whether the mark is hidden from others from now on."`
}

type putMarkInput struct {
	InRoom
	Body newMarkJSON
}

type oneMark struct{ Body markJSON }

func (a *API) putMark(ctx context.Context, in *putMarkInput) (*oneMark, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	m, err := a.cfg.Rooms.Mark(ctx, recordOf(ctx).by, id, room.Mark{Read: in.Body.UpTo, Delivered: in.Body.Delivered, Private: in.Body.Private})
	if err != nil {
		return nil, err
	}
	return &oneMark{Body: markOf(m)}, nil
}
