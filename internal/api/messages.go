package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
	"tertulia/internal/limit"
	"tertulia/internal/room"
	"tertulia/wire"
)

// message is a message in its current form: the data of its frame
// (docs/protocol.md §4.3) after the members that the frame has beside data.
type message struct{ jsontext.Value }

// Schema is asked by huma.
func (message) Schema(r huma.Registry) *huma.Schema {
	return shared(r, "Message", "shared.message_with_cursor")
}

func messageOf(e *chat.Event) (message, error) {
	var frame struct {
		Data jsontext.Value `json:"data"`
	}
	if err := json.Unmarshal(wire.AppendEvent(nil, e), &frame); err != nil {
		return message{}, fmt.Errorf("encode event %d of room %s: %w", e.Seq, e.Room, err)
	}
	b := fmt.Appendf(nil, `{"seq":%d,"cursor":"%s",`, e.Seq, e.Cursor())
	return message{append(b, frame.Data[1:]...)}, nil
}

// taggedMessage is the output of what answers with one message.
type taggedMessage struct {
	Status   int
	Location string `header:"Location" doc:"Where a new message is."`
	Replayed string `header:"Idempotent-Replayed" doc:"true if the same was posted before under this key."`
	Tagged
	Body message
}

func taggedMessageOf(status int, e *chat.Event) (*taggedMessage, error) {
	body, err := messageOf(e)
	return &taggedMessage{Status: status, Tagged: newTagged("%s.%d.%d", e.Epoch, e.Seq, e.Changed), Body: body}, err
}

func (a *API) describeMessages(to *routes) {
	register(to, operation{
		id: "list-messages", method: http.MethodGet, path: "/rooms/{room}/messages", tag: "messages", needs: read,
		summary: "Read messages", about: "In their current form, by rising seq: the newest ones, or those at the place that is asked for.",
		codes: []chat.Code{chat.Banned, chat.CursorInvalid, chat.MessageNotFound, chat.StoreUnavailable},
	}, a.listMessages)
	register(to, operation{
		id: "post-message", method: http.MethodPost, path: "/rooms/{room}/messages", tag: "messages", needs: post,
		status: http.StatusCreated, also: []int{http.StatusOK},
		summary: "Post a message",
		about:   "201: it is on stable storage. 200: it was before, under the same Idempotency-Key. After 503, or no answer, the same key makes it safe to send it again.",
		codes:   []chat.Code{chat.Banned, chat.EmptyContent, chat.IdempotencyConflict, chat.RoomReadOnly, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.postMessage)
	register(to, operation{
		id: "get-message", method: http.MethodGet, path: "/rooms/{room}/messages/{id}", tag: "messages", needs: read, also: []int{http.StatusNotModified},
		summary: "Get a message in its current form", about: "A deleted one too: what is left of it.",
		codes: []chat.Code{chat.Banned, chat.MessageNotFound, chat.StoreUnavailable},
	}, a.getMessage)
	register(to, operation{
		id: "edit-message", method: http.MethodPatch, path: "/rooms/{room}/messages/{id}", tag: "messages", needs: post,
		summary: "Change what one's own message says",
		codes:   []chat.Code{chat.Banned, chat.EmptyContent, chat.MessageNotFound, chat.VersionConflict, chat.IdempotencyConflict, chat.RoomReadOnly, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.editMessage)
	register(to, operation{
		id: "delete-message", method: http.MethodDelete, path: "/rooms/{room}/messages/{id}", tag: "messages", needs: post,
		summary: "Take a message away", about: "One's own, or as a moderator anybody's. Its place in the log stays.",
		codes: []chat.Code{chat.Banned, chat.MessageNotFound, chat.VersionConflict, chat.IdempotencyConflict, chat.RoomReadOnly, chat.StoreUnavailable, chat.ShuttingDown},
	}, a.deleteMessage)
}

type listMessagesInput struct {
	InRoom
	Part
	AroundID optional[int64] `query:"around_id" minimum:"1" doc:"Messages on both sides of the one with this id."`
}

func (a *API) listMessages(ctx context.Context, in *listMessagesInput) (*logPage[message], error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	if in.AroundID.IsSet {
		e, err := a.cfg.Rooms.Message(ctx, recordOf(ctx).by, id, in.AroundID.Value)
		if err != nil {
			return nil, err
		}
		in.Around = fmt.Sprint(e.Seq)
	}
	p, err := a.readLog(ctx, id, in.Part, chat.KindMessage)
	if err != nil {
		return nil, err
	}
	return pageOf(recordOf(ctx), p, messageOf)
}

type contentJSON struct {
	Content string `json:"content" doc:"Any text without U+0000 that is not all white space, at most 16,384 bytes."`
}

type postMessageInput struct {
	InRoom
	Retried
	Body contentJSON
}

func (a *API) postMessage(ctx context.Context, in *postMessageInput) (*taggedMessage, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	nonce, err := in.nonce()
	if err != nil {
		return nil, err
	}
	by := recordOf(ctx).by
	if err := a.allow(by, limit.Use{Class: limit.Post, User: by.User.ID, Room: id}); err != nil {
		return nil, err
	}
	post := room.Post{Room: id, By: by, Nonce: nonce, Content: in.Body.Content, Source: room.FromREST}
	posted, err := outcome(ctx, func(done func(room.Posted, error)) { a.cfg.Rooms.Post(post, done) })
	if err != nil {
		return nil, err
	}
	out, err := taggedMessageOf(http.StatusCreated, &posted.Event)
	if err != nil {
		return nil, err
	}
	out.Location = fmt.Sprintf("%s/messages/%d", roomPath(id), posted.Event.ID)
	if posted.Duplicate {
		out.Status, out.Replayed = http.StatusOK, "true"
	}
	return out, nil
}

// outcome waits for what becomes of a post. A client that goes away before
// does not undo it.
func outcome(ctx context.Context, start func(done func(room.Posted, error))) (room.Posted, error) {
	type result struct {
		posted room.Posted
		err    error
	}
	came := make(chan result, 1)
	start(func(p room.Posted, err error) { came <- result{p, err} })
	select {
	case r := <-came:
		return r.posted, r.err
	case <-ctx.Done():
		return room.Posted{}, ctx.Err()
	}
}

// InMessages is a part of the input of what concerns one message.
type InMessages struct {
	InRoom
	ID int64 `path:"id" minimum:"1" doc:"The message's id."`
}

type getMessageInput struct {
	InMessages
	Conditional
}

func (a *API) getMessage(ctx context.Context, in *getMessageInput) (*taggedMessage, error) {
	out, err := a.currentMessage(ctx, &in.InMessages)
	if err != nil {
		return nil, err
	}
	if in.unchanged(out.ETag) {
		out.Status = http.StatusNotModified
	}
	return out, nil
}

func (a *API) currentMessage(ctx context.Context, in *InMessages) (*taggedMessage, error) {
	id, err := in.room()
	if err != nil {
		return nil, err
	}
	e, err := a.cfg.Rooms.Message(ctx, recordOf(ctx).by, id, in.ID)
	if err != nil {
		return nil, err
	}
	return taggedMessageOf(http.StatusOK, &e)
}

// ChangingMessage is a part of the input of what changes one message.
type ChangingMessage struct {
	InMessages
	Unless
	Retried
}

// wish is what editing and deleting have in common.
type wish struct {
	room      chat.RoomID
	nonce     chat.Nonce
	ifChanged *uint64
}

// parse reads the input. If it names a state of the message, that is compared
// with the present one, which must then still be there in the store's own
// transaction.
func (a *API) parseWish(ctx context.Context, in *ChangingMessage) (w wish, err error) {
	if w.room, err = in.room(); err != nil {
		return wish{}, err
	}
	if w.nonce, err = in.nonce(); err != nil {
		return wish{}, err
	}
	if in.IfMatch == "" {
		return w, nil
	}
	e, err := a.cfg.Rooms.Message(ctx, recordOf(ctx).by, w.room, in.ID)
	if err != nil {
		return wish{}, err
	}
	now, err := taggedMessageOf(0, &e)
	if err != nil {
		return wish{}, err
	}
	w.ifChanged = &e.Changed
	return w, in.check(now.ETag)
}

type editMessageInput struct {
	ChangingMessage
	Body contentJSON
}

func (a *API) editMessage(ctx context.Context, in *editMessageInput) (*taggedMessage, error) {
	w, err := a.parseWish(ctx, &in.ChangingMessage)
	if err != nil {
		return nil, err
	}
	edit := room.Edit{Room: w.room, By: recordOf(ctx).by, Nonce: w.nonce, Message: in.ID, Content: in.Body.Content, IfChanged: w.ifChanged}
	if _, err = outcome(ctx, func(done func(room.Posted, error)) { a.cfg.Rooms.Edit(ctx, edit, done) }); err != nil {
		return nil, err
	}
	return a.currentMessage(ctx, &in.InMessages)
}

type deleteMessageInput struct {
	ChangingMessage
	Reason string `query:"reason" doc:"Shown to all; at most 512 bytes."`
}

func (a *API) deleteMessage(ctx context.Context, in *deleteMessageInput) (*empty, error) {
	w, err := a.parseWish(ctx, &in.ChangingMessage)
	if err != nil {
		return nil, err
	}
	del := room.Delete{Room: w.room, By: recordOf(ctx).by, Nonce: w.nonce, Message: in.ID, Reason: in.Reason, IfChanged: w.ifChanged}
	_, err = outcome(ctx, func(done func(room.Posted, error)) { a.cfg.Rooms.Delete(ctx, del, done) })
	return nil, err
}
