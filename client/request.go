package client

import (
	"context"
	"slices"
	"time"

	"tertulia/chat"
)

// request is a command whose answer somebody waits for. All of them may be
// repeated: one that a cut left unanswered is sent again, until its caller
// gives up.
type request struct {
	prefix string // of the id
	encode func(b []byte, id string) []byte
	// once fails the request at a cut, instead of sending it again.
	once bool

	// Owned by the protocol.
	written   bool
	sentAt    time.Time
	notBefore time.Time
	refusals  int

	done chan struct{} // closed when the fields below are set
	in   inbound
	rtt  time.Duration
	err  error
}

// ask puts a request into the line.
func (p *protocol) ask(r *request) {
	switch {
	case p.status.State == Closed:
		r.finish(nil, p.status.Err)
	case r.once && p.status.State != Online:
		r.finish(nil, ErrOffline)
	default:
		p.requests = append(p.requests, r)
	}
}

func (p *protocol) appendRequests(out []outFrame, now time.Time) []outFrame {
	for _, r := range p.requests {
		if r.written || now.Before(r.notBefore) {
			continue
		}
		if len(p.waiting) >= maxInFlight {
			break
		}
		id := p.nextID(r.prefix)
		r.written, r.sentAt = true, now
		p.waiting[id] = r
		out = append(out, textFrame(r.encode(nil, id)))
	}
	return out
}

// answered takes the answer.
func (r *request) answered(p *protocol, now time.Time, re string, in inbound) {
	delete(p.waiting, re)
	if e, ok := in.(errorFrame); ok {
		if e.retryable && !r.once {
			r.written, r.notBefore = false, now.Add(e.err.RetryAfter+p.backoff.wait(r.refusals))
			r.refusals++
			return
		}
		p.endRequest(r, nil, e.err)
		return
	}
	r.rtt = now.Sub(r.sentAt)
	p.endRequest(r, in, nil)
}

// endRequest ends r if it is still waited for.
func (p *protocol) endRequest(r *request, in inbound, err error) {
	if i := slices.Index(p.requests, r); i >= 0 {
		p.requests = slices.Delete(p.requests, i, i+1)
		r.finish(in, err)
	}
}

func (r *request) finish(in inbound, err error) {
	r.in, r.err = in, err
	close(r.done)
}

// unask makes the requests that a lost connection left unanswered ready to be
// sent again.
func (p *protocol) unask() {
	for _, r := range slices.Clone(p.requests) {
		if r.once {
			p.endRequest(r, nil, ErrOffline)
		}
		r.written = false
	}
}

func (p *protocol) requestDeadlines(now time.Time, at func(time.Time)) {
	if p.status.State != Online {
		return
	}
	for _, r := range p.requests {
		if !r.written && now.Before(r.notBefore) {
			at(r.notBefore)
		}
	}
	for _, s := range p.rooms {
		if s.wanted && !s.live && !s.asked && now.Before(s.retryAt) {
			at(s.retryAt)
		}
	}
}

// ask sends a command and waits for its answer.
func (c *Client) ask(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	c.do(func(time.Time) { c.p.ask(r) })
	select {
	case <-r.done:
	case <-ctx.Done():
		c.do(func(time.Time) { c.p.endRequest(r, nil, context.Cause(ctx)) })
		<-r.done
	}
	return r.err
}

// markRequest is read or delivered.
func markRequest(typ string, room chat.RoomID, upTo uint64, private *bool) *request {
	return &request{prefix: "k", encode: func(b []byte, id string) []byte {
		b = appendNumber(appendCommand(b, typ, id, room), "up_to", upTo)
		if private != nil {
			b = appendBool(b, "private", *private)
		}
		return append(b, '}')
	}}
}

// askMark moves a mark.
func (c *Client) askMark(ctx context.Context, r *request) (chat.Mark, error) {
	if err := c.ask(ctx, r); err != nil {
		return chat.Mark{}, err
	}
	ok, _ := r.in.(okFrame)
	return ok.mark, nil
}
