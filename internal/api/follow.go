package api

import (
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tertulia/chat"
)

// followCodes are the refusals of what is followed, beside those of every
// route.
var followCodes = []chat.Code{
	chat.MissingParameter, chat.InvalidRoom, chat.ReservedRoom, chat.RoomNotFound, chat.Banned, chat.TooManyRooms, chat.CursorInvalid,
	chat.TooManyConnections, chat.StoreUnavailable, chat.ShuttingDown,
}

// describeFollowing describes what package gateway serves (docs/protocol.md
// Part 4): huma knows no answer that goes on, or that waits. Refusals are
// answered here.
func (a *API) describeFollowing(to *routes, mux humago.Mux) {
	if a.cfg.Stream == nil {
		return
	}
	a.serveDescribed(to, mux, operation{
		id: "follow-rooms", method: http.MethodGet, path: "/stream", tag: "messages", needs: read,
		summary: "Follow rooms as server-sent events",
		about:   "The frames of protocol v1, one a block, with the cursor of all rooms as id. The answer does not end by itself.",
		codes:   followCodes,
	}, &huma.Operation{
		Parameters: streamParams(),
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, a.cfg.Stream)
	schemas := to.OpenAPI().Components.Schemas
	a.serveDescribed(to, mux, operation{
		id: "poll-rooms", method: http.MethodPost, path: "/poll", tag: "messages", needs: read,
		summary: "Wait for events of rooms",
		about:   "Durable events after a cursor: at once if there are some, else as soon as there are, or when the wait is over.",
		codes:   append([]chat.Code{chat.InvalidJSON, chat.InvalidEvent, chat.TooLarge}, followCodes...),
	}, &huma.Operation{
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(reflect.TypeFor[pollJSON](), true, "")}}},
		Responses: map[string]*huma.Response{"200": {
			Description: "What has happened.",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(reflect.TypeFor[polledJSON](), true, "")}},
		}},
	}, a.cfg.Poll)
}

// serveDescribed adds a route that is no huma's. what is its input and success;
// the rest of the description is made as register makes it.
func (a *API) serveDescribed(to *routes, mux humago.Mux, op operation, what *huma.Operation, serve func(http.ResponseWriter, *http.Request) error) {
	what.OperationID, what.Method, what.Path = op.id, op.method, op.path
	what.Summary, what.Description, what.Tags = op.summary, op.about, []string{op.tag}
	what.DefaultStatus = http.StatusOK
	what.Extensions = map[string]any{"x-action": string(op.needs)}
	maps.Copy(what.Responses, problemsOf(to, slices.Compact(slices.Sorted(slices.Values(codesOf(op, false))))))
	to.OpenAPI().AddOperation(what)
	mux.HandleFunc(op.method+" "+prefix+op.path, func(w http.ResponseWriter, r *http.Request) {
		out := w.(*response)
		if err := serve(out.ResponseWriter, r); err != nil {
			writeProblem(out, r, err)
			return
		}
		out.status, out.sent = http.StatusOK, true
	})
}

func streamParams() []*huma.Param {
	text := &huma.Schema{Type: huma.TypeString}
	list := &huma.Schema{Type: huma.TypeArray, Items: text}
	most := float64(200)
	none := float64(0)
	var params []*huma.Param
	for _, p := range []struct {
		in, name, about string
		schema          *huma.Schema
	}{
		{"query", "room", "A room to follow; may be repeated. At most 32 rooms.", list},
		{"query", "rooms", "The same as a list with commas.", text},
		{"query", "cursor", "Where the client has stopped, in all rooms or in the only one.", text},
		{"query", "after", "Where the client has stopped in the only room.", text},
		{"query", "history", "How many of the newest events to get of rooms that cannot be continued.", &huma.Schema{Type: huma.TypeInteger, Minimum: &none, Maximum: &most}},
		{"query", "presence", "What to be told of who is here.", &huma.Schema{Type: huma.TypeString, Enum: []any{"none", "count", "list"}}},
		{"header", "Last-Event-ID", "The last id of a stream that was cut off; it comes before cursor.", text},
	} {
		params = append(params, &huma.Param{In: p.in, Name: p.name, Description: p.about, Schema: p.schema})
	}
	return params
}

// pollJSON describes the body of a poll, which package wire reads.
type pollJSON struct {
	Rooms   []string `json:"rooms,omitempty" maxItems:"32" doc:"The rooms to follow; those of the cursor if absent."`
	Cursor  string   `json:"cursor,omitempty" doc:"Where the client has stopped, in all rooms or in the only one."`
	WaitMS  int      `json:"wait_ms,omitempty" minimum:"0" maximum:"30000" default:"30000" doc:"How long to wait if nothing is there."`
	Limit   int      `json:"limit,omitempty" minimum:"1" maximum:"200" default:"100" doc:"How many events at most."`
	History int      `json:"history,omitempty" minimum:"0" maximum:"200" default:"0" doc:"How many of the newest events to get of rooms that cannot be continued."`
}

// polledJSON describes the answer to a poll, which package wire writes.
type polledJSON struct {
	Events       []event       `json:"events" doc:"Durable events; those of a room by rising seq."`
	Cursor       string        `json:"cursor" doc:"Where the next poll begins."`
	CaughtUp     bool          `json:"caught_up" doc:"There was nothing more."`
	Gaps         []roomGapJSON `json:"gaps,omitempty" doc:"Rooms that could not be continued."`
	Ended        []roomEndJSON `json:"ended,omitempty" doc:"Rooms that the client may not read, or not any more."`
	RetryAfterMS int           `json:"retry_after_ms,omitempty" doc:"How long to wait before the next poll."`
}

type roomGapJSON struct {
	Room   string `json:"room"`
	Reason string `json:"reason" enum:"epoch,retention"`
	From   uint64 `json:"from" doc:"The first seq that is missing; above to if none is."`
	To     uint64 `json:"to" doc:"The last one."`
}

type roomEndJSON struct {
	Room    string    `json:"room"`
	Code    chat.Code `json:"code"`
	Message string    `json:"message"`
}
