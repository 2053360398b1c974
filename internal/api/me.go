package api

import (
	"context"
	"net/http"

	"tertulia/chat"
	"tertulia/internal/store"
)

func (a *API) describeMe(to *routes) {
	register(to, operation{
		id: "get-me", method: http.MethodGet, path: "/me", tag: "me", needs: user,
		summary: "See as whom one is asking",
	}, a.getMe)
	register(to, operation{
		id: "list-my-rooms", method: http.MethodGet, path: "/me/rooms", tag: "me", needs: user,
		summary: "List one's own rooms", about: "Those that one has joined, is invited to, or has read in; by their ids.",
		codes: []chat.Code{chat.StoreUnavailable},
	}, a.listMyRooms)
	register(to, operation{
		id: "get-my-unread", method: http.MethodGet, path: "/me/unread", tag: "me", needs: user,
		summary: "Count what is unread",
		about:   "total is of the rooms of this page, which is 2,000 of one's own; items are those of them with something unread.",
		codes:   []chat.Code{chat.StoreUnavailable},
	}, a.getMyUnread)
}

type meJSON struct {
	UserID   string `json:"user_id,omitempty" doc:"Absent if a service asks in its own name."`
	Username string `json:"username,omitempty"`
	Service  bool   `json:"service" doc:"The back end of an application is asking."`
}

type me struct{ Body meJSON }

func (a *API) getMe(ctx context.Context, _ *empty) (*me, error) {
	by := recordOf(ctx).by
	return &me{Body: meJSON{UserID: string(by.User.ID), Username: by.User.Name, Service: by.Service}}, nil
}

// myRoomJSON is a room of one's own, and where one stands in it.
type myRoomJSON struct {
	Room    roomJSON   `json:"room"`
	Members int        `json:"members" doc:"How many have joined."`
	Log     logJSON    `json:"log"`
	Member  memberJSON `json:"member"`
	Mark    markJSON   `json:"mark"`
	Unread  uint64     `json:"unread" doc:"How many messages come after the mark."`
}

func myRoomOf(s store.Standing) myRoomJSON {
	return myRoomJSON{
		Room: roomOf(&s.Room), Members: s.Room.Members, Log: logOf(&s.Room),
		Member: memberOf(s.Member), Mark: markOf(s.Member.Mark), Unread: unread(&s),
	}
}

// unread counts the messages after a mark. Who is only invited reads nothing.
func unread(s *store.Standing) uint64 {
	if s.Member.State == chat.StateInvited {
		return 0
	}
	return s.Member.Mark.Unread(s.Room.Msgs)
}

func roomOfStanding(s store.Standing) string { return string(s.Room.ID) }

func (a *API) listMyRooms(ctx context.Context, in *Paged) (*list[myRoomJSON], error) {
	rec := recordOf(ctx)
	standings, err := a.cfg.Rooms.Standings(ctx, rec.by, chat.RoomID(in.After), in.Limit+1)
	if err != nil {
		return nil, err
	}
	return listOf(rec, *in, standings, roomOfStanding, myRoomOf), nil
}

const (
	// unreadRooms are the rooms that one answer counts.
	unreadRooms = 2000
	unreadPage  = 200
)

type unreadInput struct {
	After string `query:"after" doc:"Go on after this room, which is the member next of the page before."`
}

type roomUnreadJSON struct {
	Room   string `json:"room"`
	Unread uint64 `json:"unread"`
	Read   uint64 `json:"read" doc:"The seq up to which one has read."`
	Head   uint64 `json:"head" doc:"The highest seq of the log."`
}

type unreadJSON struct {
	Total uint64           `json:"total"`
	Items []roomUnreadJSON `json:"items"`
	Next  string           `json:"next,omitempty" doc:"What to give as after to go on; absent if these are all."`
}

type unreadOutput struct {
	Link string `header:"Link" doc:"rel=next: the next page (RFC 8288)."`
	Body unreadJSON
}

func (a *API) getMyUnread(ctx context.Context, in *unreadInput) (*unreadOutput, error) {
	rec := recordOf(ctx)
	out := &unreadOutput{Body: unreadJSON{Items: []roomUnreadJSON{}}}
	after := chat.RoomID(in.After)
	for seen := 0; ; seen += unreadPage {
		standings, err := a.cfg.Rooms.Standings(ctx, rec.by, after, unreadPage)
		if err != nil {
			return nil, err
		}
		if seen >= unreadRooms && len(standings) > 0 {
			out.Body.Next = string(after)
			out.Link = link(rec.r.URL, "next", "after", out.Body.Next)
			return out, nil
		}
		out.Body.add(standings)
		if len(standings) < unreadPage {
			return out, nil
		}
		after = standings[unreadPage-1].Room.ID
	}
}

func (u *unreadJSON) add(standings []store.Standing) {
	for i := range standings {
		s := &standings[i]
		if n := unread(s); n > 0 {
			u.Total += n
			u.Items = append(u.Items, roomUnreadJSON{Room: string(s.Room.ID), Unread: n, Read: s.Member.Mark.Read, Head: s.Room.Head})
		}
	}
}
