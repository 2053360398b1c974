package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
	"tertulia/internal/store"
	"tertulia/wire"
)

// event is an event of a log as its frame has it.
type event struct{ jsontext.Value }

// Schema is asked by huma.
func (event) Schema(r huma.Registry) *huma.Schema { return shared(r, "Event", "events") }

func eventOf(e *chat.Event) (event, error) { return event{wire.AppendEvent(nil, e)}, nil }

func (a *API) describeEvents(to *routes) {
	register(to, operation{
		id: "list-events", method: http.MethodGet, path: "/rooms/{room}/events", tag: "messages", needs: read,
		summary: "Read the log of a room",
		about:   "The frames of its durable events by rising seq. With types a page may hold fewer than limit events, or none, while there are more.",
		codes:   []chat.Code{chat.Banned, chat.CursorInvalid, chat.StoreUnavailable},
	}, a.listEvents)
}

type listEventsInput struct {
	InRoom
	Part
	Types []string `query:"types" enum:"message,message_edited,message_deleted,messages_erased,room_created,room_updated,member_invited,member_added,member_removed,member_banned,member_unbanned,member_role" doc:"Only events of these types, separated by commas."`
}

func (a *API) listEvents(ctx context.Context, in *listEventsInput) (*logPage[event], error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	var kinds []chat.Kind
	for _, word := range in.Types {
		kind, _ := store.ParseKind(word) // the schema has the words
		kinds = append(kinds, kind)
	}
	var only chat.Kind
	if len(kinds) == 1 {
		only = kinds[0]
	}
	p, err := a.readLog(ctx, id, in.Part, only)
	if err != nil {
		return nil, err
	}
	if len(kinds) > 1 {
		p.Events = slices.DeleteFunc(p.Events, func(e chat.Event) bool { return !slices.Contains(kinds, e.Kind) })
	}
	return pageOf(recordOf(ctx), p, eventOf)
}
