package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tertulia/chat"
)

// RoomInfo is a room as its owners have made it.
type RoomInfo struct {
	ID        chat.RoomID `json:"id"`
	Access    string      `json:"access"`
	Title     string      `json:"title"`
	Topic     string      `json:"topic"`
	Archived  bool        `json:"archived"`
	CreatedAt time.Time   `json:"created_at,omitzero"`
	Version   uint64      `json:"version"`
}

// FoundRoom is a room of the directory.
type FoundRoom struct {
	Room    RoomInfo `json:"room"`
	Members int      `json:"members"`
}

// Rooms returns a page of the rooms that the user may see, by their ids, those
// after an id, and whether there are more.
func (a *API) Rooms(ctx context.Context, after chat.RoomID, limit int) ([]FoundRoom, bool, error) {
	var page struct {
		Items []FoundRoom `json:"items"`
	}
	q := pageQuery(string(after), limit)
	more, err := a.page(ctx, "/api/v1/rooms", q, &page)
	return page.Items, more, err
}

// NewRoom is what a room is made with. Access is public or private.
type NewRoom struct {
	ID     chat.RoomID `json:"id,omitzero"`
	Access string      `json:"access"`
	Title  string      `json:"title,omitzero"`
	Topic  string      `json:"topic,omitzero"`
}

// CreateRoom makes a room, which the user owns then.
func (a *API) CreateRoom(ctx context.Context, r NewRoom) (*RoomInfo, error) {
	made := new(RoomInfo)
	return made, a.call(ctx, http.MethodPost, "/api/v1/rooms", nil, r, made)
}

// RoomChanges is what shall be other; nil stays.
type RoomChanges struct {
	Title    *string `json:"title,omitzero"`
	Topic    *string `json:"topic,omitzero"`
	Archived *bool   `json:"archived,omitzero"`
}

// UpdateRoom changes a room.
func (a *API) UpdateRoom(ctx context.Context, room chat.RoomID, c RoomChanges) (*RoomInfo, error) {
	now := new(RoomInfo)
	return now, a.call(ctx, http.MethodPatch, roomPath(room), nil, c, now)
}

// MemberInfo is a user's standing in a room.
type MemberInfo struct {
	UserID   chat.UserID `json:"user_id"`
	Username string      `json:"username"`
	State    string      `json:"state"`
	Role     string      `json:"role"`
	JoinedAt time.Time   `json:"joined_at,omitzero"`
}

// Members returns a page of a room's members, by their ids, those after an id,
// and whether there are more.
func (a *API) Members(ctx context.Context, room chat.RoomID, after chat.UserID, limit int) ([]MemberInfo, bool, error) {
	var page struct {
		Items []MemberInfo `json:"items"`
	}
	more, err := a.page(ctx, roomPath(room)+"/members", pageQuery(string(after), limit), &page)
	return page.Items, more, err
}

// Join makes the user a member of a room.
func (a *API) Join(ctx context.Context, room chat.RoomID) (*MemberInfo, error) {
	m := new(MemberInfo)
	return m, a.call(ctx, http.MethodPost, roomPath(room)+"/join", nil, nil, m)
}

// Leave ends the user's own membership.
func (a *API) Leave(ctx context.Context, room chat.RoomID) error {
	return a.call(ctx, http.MethodPost, roomPath(room)+"/leave", nil, nil, nil)
}

// Invite lets somebody join a room.
func (a *API) Invite(ctx context.Context, room chat.RoomID, user chat.UserID) (*MemberInfo, error) {
	m := new(MemberInfo)
	body := struct {
		State string `json:"state"`
	}{"invited"}
	return m, a.call(ctx, http.MethodPut, memberPath(room, user), nil, body, m)
}

// Remove ends somebody's membership.
func (a *API) Remove(ctx context.Context, room chat.RoomID, user chat.UserID) error {
	return a.call(ctx, http.MethodDelete, memberPath(room, user), nil, nil, nil)
}

func roomPath(room chat.RoomID) string { return "/api/v1/rooms/" + url.PathEscape(string(room)) }

func memberPath(room chat.RoomID, user chat.UserID) string {
	return roomPath(room) + "/members/" + url.PathEscape(string(user))
}

func pageQuery(after string, limit int) url.Values {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		q.Set("after", after)
	}
	return q
}

// page reads a list; more is what the header Link says.
func (a *API) page(ctx context.Context, path string, q url.Values, into any) (more bool, err error) {
	header, err := a.exchange(ctx, http.MethodGet, path, q, nil, into)
	for _, l := range header.Values("Link") {
		more = more || strings.Contains(l, `rel="next"`)
	}
	return more, err
}
