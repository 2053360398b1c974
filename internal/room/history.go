package room

import (
	"context"

	"tertulia/chat"
	"tertulia/internal/store"
)

// Range is a part of a log. At most one of After, Before, Around is set;
// with none it is the newest part.
type Range struct {
	After, Before, Around *uint64 // seqs; After and Before are exclusive
	Limit                 int     // 1 to MaxPage
	Only                  chat.Kind
}

// MaxPage bounds a page by events.
const MaxPage = 200

// pageBytes bounds the bodies of a page, beyond its first event.
const pageBytes = 1 << 20

// maxSeq is beyond every seq that a log will reach, and well within what the
// store can compare.
const maxSeq = 1 << 53

// History is a page of a log.
type History struct {
	Room   chat.Room
	Events []chat.Event // rising seq, in their current form
	// Earlier and Later say whether the log, as the range filters it, goes on.
	Earlier, Later bool
}

// History reads a part of a room's log. The right to read is checked after
// the page has been read, so that nobody gets what came after a removal.
// A page may hold fewer than Limit events and not be the last.
func (s *Service) History(ctx context.Context, by chat.Principal, id chat.RoomID, r Range) (History, error) {
	h, failed := s.page(ctx, id, r)
	if _, err := s.allow(ctx, by, ActRead, id); err != nil {
		return History{}, err
	}
	if failed != nil {
		return History{}, s.unreadable("the log of "+string(id), failed)
	}
	return h, nil
}

// page reads a part of a log, and looks a step further at both its ends.
func (s *Service) page(ctx context.Context, id chat.RoomID, r Range) (History, error) {
	h, first, last, err := s.cut(ctx, id, r)
	if err != nil {
		return History{}, err
	}
	if n := len(h.Events); n > 0 {
		first, last = h.Events[0].Seq, h.Events[n-1].Seq
	}
	one := store.Limit{Events: 1, Only: r.Only}
	if first > h.Room.Floor {
		earlier, err := s.reader.Before(ctx, id, first, one)
		if err != nil {
			return History{}, err
		}
		h.Earlier = len(earlier.Events) > 0
	}
	if last < h.Room.Head {
		later, err := s.reader.After(ctx, id, last, one)
		if err != nil {
			return History{}, err
		}
		h.Later = len(later.Events) > 0
	}
	return h, nil
}

// cut reads the events of r. Without events, first and last are between what
// comes before the range and what comes after it.
func (s *Service) cut(ctx context.Context, id chat.RoomID, r Range) (h History, first, last uint64, err error) {
	limit := store.Limit{Events: clampLimit(r.Limit, MaxPage), Bytes: pageBytes, Only: r.Only}
	var p store.Page
	switch {
	case r.After != nil:
		last = min(*r.After, maxSeq)
		first = last + 1
		p, err = s.reader.After(ctx, id, last, limit)
	case r.Before != nil:
		first = max(1, min(*r.Before, maxSeq)) // 0 would be the end of the log
		last = first - 1
		p, err = s.reader.Before(ctx, id, first, limit)
	case r.Around != nil:
		return s.cutAround(ctx, id, min(*r.Around, maxSeq), limit)
	default:
		p, err = s.reader.Before(ctx, id, 0, limit)
		first, last = p.Room.Head+1, p.Room.Head
	}
	return History{Room: p.Room, Events: p.Events}, first, last, err
}

// cutAround reads half of limit up to a seq, and the rest after it.
func (s *Service) cutAround(ctx context.Context, id chat.RoomID, seq uint64, limit store.Limit) (h History, first, last uint64, err error) {
	upTo, beyond := limit, limit
	upTo.Events = limit.Events/2 + 1
	p, err := s.reader.Before(ctx, id, seq+1, upTo)
	if err != nil {
		return History{}, 0, 0, err
	}
	h = History{Room: p.Room, Events: p.Events}
	if beyond.Events = limit.Events - len(p.Events); beyond.Events > 0 {
		if p, err = s.reader.After(ctx, id, seq, beyond); err != nil {
			return History{}, 0, 0, err
		}
		h.Room, h.Events = p.Room, append(h.Events, p.Events...)
	}
	return h, seq + 1, seq, nil
}

// Message returns one message in its current form, a deleted one too.
func (s *Service) Message(ctx context.Context, by chat.Principal, id chat.RoomID, message int64) (chat.Event, error) {
	e, err := s.find(ctx, by, ActRead, id, message)
	if err == nil {
		err = s.reader.settle(ctx, id)
	}
	if err != nil {
		return chat.Event{}, err
	}
	return e, nil
}
