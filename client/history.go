package client

import (
	"context"
	"errors"
	"iter"

	"tertulia/chat"
)

// maxPage is how many events the server gives at once (docs/protocol.md §20).
const maxPage = 200

// HistoryQuery says which part of a log to read. The zero value is the newest
// events, backwards.
type HistoryQuery struct {
	before, after, around uint64
	forward, messages     bool
	limit                 int // of one page; 0 is the server's default
}

// HistoryOption changes a [HistoryQuery].
type HistoryOption func(*HistoryQuery)

// BeforeSeq reads backwards from the event before seq.
func BeforeSeq(seq uint64) HistoryOption { return func(q *HistoryQuery) { q.before = seq } }

// AfterSeq reads forwards from the event after seq; 0 is the beginning.
func AfterSeq(seq uint64) HistoryOption {
	return func(q *HistoryQuery) { q.after, q.forward = seq, true }
}

// Page is a part of a log, by rising seq, messages in their current form.
type Page struct {
	Epoch string
	// Head is the log's highest seq at that instant.
	Head   uint64
	Events []Event
	// Earlier and Later say whether the log goes on beyond the page.
	Earlier, Later bool

	places []chat.Cursor // of Events
}

// History hands over the room's messages, in their current form: from the
// newest backwards, or as the options say. It pages as far as the program goes
// on, and waits while there is no connection. The room need not be subscribed to.
func (r *Room) History(ctx context.Context, opts ...HistoryOption) iter.Seq2[Message, error] {
	q := HistoryQuery{messages: true, limit: maxPage}
	for _, f := range opts {
		f(&q)
	}
	return func(yield func(Message, error) bool) {
		for {
			page, err := r.client.history(ctx, r.id, q)
			if err != nil {
				yield(Message{}, err)
				return
			}
			if !page.messages(q.forward, yield) {
				return
			}
			if !q.turn(page) {
				return
			}
		}
	}
}

// messages hands over a page's messages in the direction of reading.
func (p *Page) messages(forward bool, yield func(Message, error) bool) bool {
	for i := range p.Events {
		if !forward {
			i = len(p.Events) - 1 - i
		}
		if m, ok := p.Events[i].(Message); ok && !yield(m, nil) {
			return false
		}
	}
	return true
}

// turn makes q ask for the page that follows p, and reports whether there is
// one.
func (q *HistoryQuery) turn(p *Page) bool {
	n := len(p.places)
	switch {
	case n == 0:
		return false
	case q.forward:
		q.after = p.places[n-1].Seq
		return p.Later
	}
	q.before = p.places[0].Seq
	return p.Earlier
}

// Around returns the page of events around a seq, itself included. The limit
// is from 1 to 200.
func (r *Room) Around(ctx context.Context, seq uint64, limit int) (*Page, error) {
	return r.client.history(ctx, r.id, HistoryQuery{around: seq, limit: limit})
}

// history reads one page.
func (c *Client) history(ctx context.Context, room chat.RoomID, q HistoryQuery) (*Page, error) {
	r := &request{prefix: "h", encode: func(b []byte, id string) []byte { return appendHistory(b, id, room, q) }}
	if err := c.ask(ctx, r); err != nil {
		return nil, err
	}
	in, ok := r.in.(historyFrame)
	if !ok {
		return nil, errors.New("the server answered history with something else")
	}
	return &in.page, nil
}
