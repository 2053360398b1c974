package session

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/room"
	"tertulia/wire"
)

// outcome returns what fills place when a post, an edit or a deletion is
// stored or refused. It is called by the journal.
func (v *V1) outcome(r *wire.Request, place uint64, stored func(b []byte, p *room.Posted) []byte) func(room.Posted, error) {
	// The request is not kept, for the sake of its content.
	id, nonce, in := r.ID, r.Nonce, r.Room
	return func(p room.Posted, err error) {
		if err != nil {
			told := asError(err)
			v.replies.fill(place, func(b []byte) []byte { return wire.AppendRefusal(b, id, in, nonce, told) })
			v.count(told)
			return
		}
		v.replies.fill(place, func(b []byte) []byte { return stored(b, &p) })
	}
}

func (v *V1) post(r *wire.Request) {
	v.logReceived(r.Room, v.by.User.ID, &r.Command)
	id := r.ID
	done := v.outcome(r, v.replies.reserve(), func(b []byte, p *room.Posted) []byte {
		return wire.AppendMessageSent(b, id, &p.Event, p.Duplicate)
	})
	v.srv.Rooms.Post(room.Post{Room: r.Room, By: v.by, Nonce: r.Nonce, Content: r.Content, Conn: v.conn.ID()}, done)
}

// changed is what is told of an edit or a deletion that is stored.
func changed(id string) func([]byte, *room.Posted) []byte {
	return func(b []byte, p *room.Posted) []byte { return wire.AppendChanged(b, id, &p.Event, p.Duplicate) }
}

func (v *V1) edit(ctx context.Context, r *wire.Request) {
	done := v.outcome(r, v.replies.reserve(), changed(r.ID))
	v.srv.Rooms.Edit(ctx, room.Edit{Room: r.Room, By: v.by, Nonce: r.Nonce, Message: r.Message, Content: r.Content, IfChanged: r.IfChanged}, done)
}

func (v *V1) delete(ctx context.Context, r *wire.Request) {
	done := v.outcome(r, v.replies.reserve(), changed(r.ID))
	v.srv.Rooms.Delete(ctx, room.Delete{Room: r.Room, By: v.by, Nonce: r.Nonce, Message: r.Message, Reason: r.Reason, IfChanged: r.IfChanged}, done)
}

// mark moves the user's own mark. Marks of a moment are stored together, which
// takes a moment; the commands behind do not wait for it.
func (v *V1) mark(r *wire.Request) {
	m := room.Mark{Delivered: r.UpTo}
	if r.Type == wire.TypeRead {
		m = room.Mark{Read: r.UpTo, Private: r.Private}
	}
	id, in := r.ID, r.Room
	place := v.replies.reserve()
	v.work.Go(func() {
		ctx, cancel := context.WithTimeout(v.ctx, commandTime)
		defer cancel()
		mark, err := v.srv.Rooms.Mark(ctx, v.by, in, m)
		switch {
		case err != nil:
			told := asError(err)
			v.replies.fill(place, func(b []byte) []byte { return wire.AppendRefusal(b, id, in, "", told) })
			v.count(told)
		case id == "":
			v.replies.fill(place, nil)
		default:
			v.replies.fill(place, func(b []byte) []byte { return wire.AppendMarked(b, id, in, mark) })
		}
	})
}

func (v *V1) setTyping(r *wire.Request) {
	t := v.typingIn(r.Room)
	if t == nil {
		v.refuse(r, r.Room, errNotSubscribed)
		return
	}
	if err := t.set(r.IsTyping); err != nil {
		v.refuse(r, r.Room, err)
		return
	}
	if r.ID != "" {
		v.replies.later(func(b []byte) []byte { return wire.AppendOK(b, r.ID, r.Room) })
	}
}

// typingIn returns the client's typing in a room, nil if it is not subscribed.
func (v *V1) typingIn(room chat.RoomID) *typing {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.subs[room]
	if s == nil {
		return nil
	}
	if s.typing == nil {
		s.typing = &typing{rooms: v.srv.Rooms, by: v.by, room: room}
	}
	return s.typing
}

// history answers with a page of a room's log.
func (v *V1) history(ctx context.Context, r *wire.Request) {
	got, err := v.srv.Rooms.History(ctx, v.by, r.Room, room.Range{After: r.After, Before: r.Before, Around: r.Around, Limit: r.Limit, Only: r.Only})
	if err != nil {
		v.refuse(r, r.Room, err)
		return
	}
	h := wire.History{Re: r.ID, Room: got.Room, Earlier: got.Earlier, Later: got.Later}
	h.Room.ID = r.Room
	frames := make([][]byte, len(got.Events))
	for i := range got.Events {
		frames[i] = wire.AppendEvent(nil, &got.Events[i])
	}
	first, last := within(frames, nearest(got.Events, r), historyBytes)
	for i := first; i < last; i++ {
		h.Events = append(h.Events, wire.HistoryItem{Seq: got.Events[i].Seq, Frame: frames[i]})
	}
	h.Earlier = h.Earlier || first > 0
	h.Later = h.Later || last < len(frames)
	v.replies.later(func(b []byte) []byte { return wire.AppendHistory(b, &h) })
}

// nearest returns the index of the event that was asked for most.
func nearest(events []chat.Event, r *wire.Request) int {
	switch {
	case r.After != nil:
		return 0
	case r.Around != nil:
		for i := range events {
			if events[i].Seq >= *r.Around {
				return i
			}
		}
	}
	return max(0, len(events)-1)
}

// within returns the bounds of the longest run around one frame that has at
// most so many bytes. The one is in it in any case.
func within(frames [][]byte, one, bytes int) (first, last int) {
	if len(frames) == 0 {
		return 0, 0
	}
	first, last = one, one+1
	bytes -= len(frames[one])
	for grown := true; grown; {
		grown = false
		if first > 0 && len(frames[first-1]) <= bytes {
			first--
			bytes -= len(frames[first])
			grown = true
		}
		if last < len(frames) && len(frames[last]) <= bytes {
			bytes -= len(frames[last])
			last++
			grown = true
		}
	}
	return first, last
}
