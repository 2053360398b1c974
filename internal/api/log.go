package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/wire"
)

// Part is the input that says which part of a log is read.
type Part struct {
	After  string `query:"after" doc:"What comes after this place: a seq, or a cursor as frames give it."`
	Before string `query:"before" doc:"What comes before this place: a seq, or a cursor."`
	Around string `query:"around" doc:"What stands on both sides of this place, and at it: a seq, or a cursor."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200" doc:"How many at most."`
}

// logPart is a part of a log that was read, and where it ends on both sides.
type logPart struct {
	room.History
	// first and last are the seqs at its ends. An empty part stands between
	// two events: last is then first − 1.
	first, last uint64
	cursor      chat.Cursor // right after last
	gap         *gapJSON
}

// gapJSON says that what was asked for is not there (docs/protocol.md §6.4).
type gapJSON struct {
	Reason string `json:"reason" enum:"epoch,retention"`
	From   uint64 `json:"from" doc:"The first seq that is missing; above to if none is."`
	To     uint64 `json:"to" doc:"The last one."`
}

type logPageJSON[T any] struct {
	Items         []T      `json:"items" doc:"By rising seq."`
	HasMoreBefore bool     `json:"has_more_before" doc:"There are older ones."`
	HasMoreAfter  bool     `json:"has_more_after" doc:"There are newer ones."`
	Cursor        string   `json:"cursor" doc:"The place after the last item, to go on from: here, or by a subscription."`
	Log           logJSON  `json:"log" doc:"The log when this was read."`
	Gap           *gapJSON `json:"gap,omitempty" doc:"Why this does not begin right after the place that was asked for."`
}

// logPage is the output of what reads a log.
type logPage[T any] struct {
	Link string `header:"Link" doc:"rel=prev: the page with older ones; rel=next: with newer ones (RFC 8288)."`
	Body logPageJSON[T]
}

// pageOf makes a page of a part, with links to its neighbours.
func pageOf[T any](rec *record, p *logPart, form func(*chat.Event) (T, error)) (*logPage[T], error) {
	out := &logPage[T]{Body: logPageJSON[T]{
		Items: make([]T, len(p.Events)), HasMoreBefore: p.Earlier, HasMoreAfter: p.Later,
		Cursor: p.cursor.String(), Log: logOf(&p.Room), Gap: p.gap,
	}}
	for i := range p.Events {
		item, err := form(&p.Events[i])
		if err != nil {
			return nil, err
		}
		out.Body.Items[i] = item
	}
	var prev, next string
	if p.Earlier {
		prev = link(rec.r.URL, "prev", "before", strconv.FormatUint(p.first, 10))
	}
	if p.Later {
		next = link(rec.r.URL, "next", "after", strconv.FormatUint(p.last, 10))
	}
	out.Link = links(prev, next)
	return out, nil
}

// parsePlace reads a seq or a cursor; a seq has no epoch.
func parsePlace(s string) (chat.Cursor, error) {
	if chat.IsCanonicalInteger(s) {
		seq, _ := strconv.ParseUint(s, 10, 64) // it is one
		return chat.Cursor{Seq: seq}, nil
	}
	if !strings.Contains(s, ":") {
		return chat.Cursor{}, chat.Errorf(chat.CursorInvalid, "A place in a log is a seq, or a cursor as the server gave it.")
	}
	return chat.ParseCursor(s)
}

// span is a part as package room has it, and the place that it was made from.
func (in Part) span(only chat.Kind) (room.Range, chat.Cursor, error) {
	r := room.Range{Limit: in.Limit, Only: only}
	var at chat.Cursor
	given := 0
	for _, side := range []struct {
		value string
		into  **uint64
	}{{in.After, &r.After}, {in.Before, &r.Before}, {in.Around, &r.Around}} {
		if side.value == "" {
			continue
		}
		place, err := parsePlace(side.value)
		if err != nil {
			return room.Range{}, chat.Cursor{}, err
		}
		at = place
		*side.into = &at.Seq
		given++
	}
	if given > 1 {
		return room.Range{}, chat.Cursor{}, chat.Errorf(chat.InvalidParameter, "Give one of after, before and around.")
	}
	return r, at, nil
}

// readLog reads a part of a log. Where the log does not go on after the place
// that was asked for, the part says so in its gap: as it is with the frames, a
// cursor of another life of the log begins the log afresh.
func (a *API) readLog(ctx context.Context, id chat.RoomID, in Part, only chat.Kind) (*logPart, error) {
	r, at, err := in.span(only)
	if err != nil {
		return nil, err
	}
	by := recordOf(ctx).by
	p := &logPart{}
	if p.History, err = a.cfg.Rooms.History(ctx, by, id, r); err != nil {
		return nil, err
	}
	known, err := a.isPlace(ctx, id, &p.Room, at)
	switch {
	case err != nil:
		return nil, err
	case !known && r.After == nil:
		return nil, chat.Errorf(chat.CursorInvalid, "The cursor is not of this log as it is now; read it from its end.")
	case !known:
		at = chat.Cursor{}
		if p.History, err = a.cfg.Rooms.History(ctx, by, id, room.Range{After: &at.Seq, Limit: in.Limit, Only: only}); err != nil {
			return nil, err
		}
		p.gap = &gapJSON{Reason: wire.GapEpoch, From: 1, To: p.Room.Floor - 1}
	case r.After != nil && at.Seq+1 < p.Room.Floor:
		p.gap = &gapJSON{Reason: wire.GapRetention, From: at.Seq + 1, To: p.Room.Floor - 1}
	}
	p.bound(r, at)
	return p, nil
}

// isPlace reports whether a cursor is a place of the log as it is now: of its
// epoch, not beyond its head, and with the tag of the event there, if that is
// still kept. A seq without an epoch always is.
func (a *API) isPlace(ctx context.Context, id chat.RoomID, log *chat.Room, at chat.Cursor) (bool, error) {
	if at.Epoch == "" {
		return true, nil
	}
	if at.Epoch != log.Epoch || at.Seq > log.Head {
		return false, nil
	}
	if !at.HasTag || at.Seq < log.Floor || at.Seq == 0 {
		return true, nil
	}
	before := at.Seq - 1
	h, err := a.cfg.Rooms.History(ctx, recordOf(ctx).by, id, room.Range{After: &before, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("read the event at a cursor: %w", err)
	}
	return len(h.Events) == 0 || h.Events[0].Seq != at.Seq || h.Events[0].Tag == at.Tag, nil
}

// bound sets where the part ends; at is the place that r was made from.
func (p *logPart) bound(r room.Range, at chat.Cursor) {
	if n := len(p.Events); n > 0 {
		p.first, p.last = p.Events[0].Seq, p.Events[n-1].Seq
		p.cursor = p.Events[n-1].Cursor()
		return
	}
	switch {
	case r.After != nil:
		p.last = at.Seq
	case r.Before != nil || r.Around != nil:
		p.last = max(at.Seq, 1) - 1
	default:
		p.last = p.Room.Head
	}
	p.first = p.last + 1
	p.cursor = chat.Cursor{Epoch: p.Room.Epoch, Seq: p.last}
	if r.After != nil && at.HasTag {
		p.cursor = at
	}
}
