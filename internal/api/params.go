package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"tertulia/chat"
)

// optional is a parameter that may be left out.
type optional[T any] struct {
	Value T
	IsSet bool
}

// Schema, Receiver and OnParamSet are asked by huma.
func (o optional[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeOf(o.Value))
}
func (o *optional[T]) Receiver() reflect.Value      { return reflect.ValueOf(o).Elem().Field(0) }
func (o *optional[T]) OnParamSet(isSet bool, _ any) { o.IsSet = isSet }

// InRoom is a part of the input of what concerns one room.
type InRoom struct {
	Room string `path:"room" doc:"The room's id, percent-encoded."`
}

func (in *InRoom) room() (chat.RoomID, error) { return chat.ParseAnyRoomID(in.Room) }

// OfUser is a part of the input of what concerns one user.
type OfUser struct {
	User string `path:"user" doc:"The user's id, percent-encoded."`
}

func (in *OfUser) user() (chat.UserID, error) {
	u, err := parseUser(in.User, "")
	return u.ID, err
}

// userJSON names a user in a body.
type userJSON struct {
	UserID   string `json:"user_id" doc:"At most 64 bytes."`
	Username string `json:"username,omitempty" doc:"The display name, at most 128 bytes; if absent, the one that the server knows."`
}

func (u userJSON) parse() (chat.User, error) { return parseUser(u.UserID, u.Username) }

// parseUser checks an id and a name that may be empty: the server then uses
// the one that it knows.
func parseUser(id, name string) (chat.User, error) {
	with := name
	if name == "" {
		with = "-"
	}
	if _, err := chat.ParseUser(id, with); err != nil {
		return chat.User{}, chat.Errorf(chat.InvalidParameter, "A user id has 1 to %d bytes of UTF-8 and a username at most %d, without control characters; neither is blank.",
			chat.MaxUserIDBytes, chat.MaxUserNameBytes)
	}
	return chat.User{ID: chat.UserID(id), Name: name}, nil
}

// Paged is a part of the input of lists in the order of ids.
type Paged struct {
	After string `query:"after" doc:"Go on after this id, which is the member next of the page before."`
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"How many at most."`
}

// listJSON is a page of a list in the order of ids.
type listJSON[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"What to give as after for the next page; absent from the last one."`
}

// list is the output of a paged list.
type list[T any] struct {
	Link string `header:"Link" doc:"rel=next: the next page (RFC 8288)."`
	Body listJSON[T]
}

// listOf makes a page of what was asked for with one more than the limit, so
// that the last page is known to be the last.
func listOf[S, T any](rec *record, in Paged, found []S, id func(S) string, form func(S) T) *list[T] {
	var out list[T]
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = id(found[in.Limit-1])
		out.Link = link(rec.r.URL, "next", "after", out.Body.Next)
	}
	out.Body.Items = make([]T, len(found))
	for i := range found {
		out.Body.Items[i] = form(found[i])
	}
	return &out
}
