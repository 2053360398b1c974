package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tertulia/chat"
)

// post puts o at the end of the outbox, or fails it at once.
func (p *protocol) post(now time.Time, o *Outgoing) {
	switch err := checkPost(o); {
	case err != nil:
		o.finish(Sent{}, err)
	case p.status.State == Closed:
		o.finish(Sent{}, fmt.Errorf("post: %w", p.status.Err))
	case len(p.outbox) >= p.opt.outbox:
		o.finish(Sent{}, ErrOutboxFull)
	default:
		if o.expiresAt.IsZero() && p.opt.postAge > 0 {
			o.expiresAt = now.Add(p.opt.postAge)
		}
		o.kept = p.opt.store == nil
		p.outbox = append(p.outbox, o)
		p.dirty = true
	}
}

// checkPost refuses what the server would refuse, so that it need not travel.
func checkPost(o *Outgoing) error {
	switch {
	case !utf8.ValidString(o.text):
		return chat.Errorf(chat.InvalidEvent, "The message is not valid UTF-8.")
	case strings.ContainsRune(o.text, 0):
		return chat.Errorf(chat.InvalidEvent, "The message holds the character U+0000.")
	case o.kind == kindDelete && len(o.text) > chat.MaxReasonBytes:
		return chat.Errorf(chat.TooLarge, "The reason is longer than %d bytes.", chat.MaxReasonBytes)
	case o.kind != kindDelete && strings.TrimSpace(o.text) == "":
		return chat.Errorf(chat.EmptyContent, "The message is empty.")
	case len(o.text) > chat.MaxContentBytes:
		return chat.Errorf(chat.TooLarge, "The message is longer than %d bytes.", chat.MaxContentBytes)
	case len(appendOutgoing(nil, o, "m1234567890")) > chat.MaxFrameBytes:
		return chat.Errorf(chat.TooLarge, "The message is longer than %d bytes when written as JSON.", chat.MaxFrameBytes)
	}
	if _, err := chat.ParseAnyRoomID(string(o.room)); err != nil {
		return err
	}
	_, err := chat.ParseNonce(string(o.nonce))
	return err
}

// maxInFlight bounds the commands that wait for their answers; the server reads
// no further from 64 on (docs/protocol.md §9).
const maxInFlight = 48

// appendPosts appends the posts whose turn it is, those of one room in the
// order of posting.
func (p *protocol) appendPosts(out []outFrame, now time.Time) []outFrame {
	clear(p.perRoom)
	for _, o := range p.outbox {
		if len(p.waiting) >= maxInFlight {
			break
		}
		n := p.perRoom[o.room]
		switch {
		case n >= p.opt.pipeline:
			continue
		case !o.kept || now.Before(o.notBefore): // those behind it wait too
			p.perRoom[o.room] = p.opt.pipeline
			continue
		}
		p.perRoom[o.room] = n + 1
		if !o.inFlight {
			o.inFlight = true
			id := p.nextID(o.kind.command()[:1])
			p.waiting[id] = o
			out = append(out, textFrame(appendOutgoing(nil, o, id)))
		}
	}
	return out
}

// answered takes the server's answer to a post.
func (o *Outgoing) answered(p *protocol, now time.Time, re string, in inbound) {
	delete(p.waiting, re)
	switch in := in.(type) {
	case sentFrame:
		p.acknowledged(o, in.sent)
	case okFrame:
		if in.sent.ID == 0 {
			in.sent.ID = o.target
		}
		p.acknowledged(o, in.sent)
	case errorFrame:
		p.refused(now, o, in)
	}
}

func (p *protocol) acknowledged(o *Outgoing, sent Sent) {
	sent.Nonce = o.nonce
	p.settle(o, sent, nil)
}

func (p *protocol) refused(now time.Time, o *Outgoing, in errorFrame) {
	o.inFlight = false
	if !in.retryable { // answered; an earlier try may still have stored it
		p.fail(o, in.err)
		return
	}
	o.unknown = o.unknown || !deniesStoring(in.err.Code)
	o.notBefore = now.Add(in.err.RetryAfter + p.backoff.wait(o.refusals))
	o.refusals++
}

// settleOwn takes our own copy of a message as its acknowledgement, if that
// was lost: events are sent after the commit.
func (p *protocol) settleOwn(e Event) {
	m, ok := e.(Message)
	if !ok || m.From.ID != p.session.User.ID || m.Nonce == "" {
		return
	}
	for _, o := range p.outbox {
		if o.nonce == m.Nonce && o.room == m.Room && o.kind == kindPost && o.mayBeStored() {
			p.settle(o, Sent{ID: m.ID, Seq: m.Seq, At: m.At, Nonce: m.Nonce, Duplicate: true}, nil)
			return
		}
	}
}

// deniesStoring reports whether a retryable refusal with this code says that
// the post was not stored. With the others its outcome is unknown
// (docs/protocol.md §7).
func deniesStoring(c chat.Code) bool {
	return c == chat.RateLimited || c == chat.ShuttingDown || c == chat.TokenExpired
}

// unsend makes the posts that a lost connection left unanswered ready to be
// sent again.
func (p *protocol) unsend() {
	for _, o := range p.outbox {
		o.unknown = o.mayBeStored()
		o.inFlight = false
	}
}

// withdraw takes o out of the outbox; why says what for. It reports whether
// the post was pending.
func (p *protocol) withdraw(o *Outgoing, why error) bool {
	if o.settled {
		return false
	}
	p.fail(o, why)
	return true
}

// fail settles o without an acknowledgement.
func (p *protocol) fail(o *Outgoing, why error) {
	if o.mayBeStored() {
		why = errors.Join(ErrUnknown, why)
	}
	p.settle(o, Sent{}, why)
}

func (p *protocol) settle(o *Outgoing, sent Sent, err error) {
	if o.settled {
		return
	}
	if i := slices.Index(p.outbox, o); i >= 0 {
		p.outbox = slices.Delete(p.outbox, i, i+1)
	}
	o.inFlight = false
	o.unknown = err != nil && o.unknown
	p.dirty = true
	o.finish(sent, err)
}

// expire fails the posts that waited too long.
func (p *protocol) expire(now time.Time) {
	for _, o := range slices.Clone(p.outbox) {
		if !o.expiresAt.IsZero() && !now.Before(o.expiresAt) {
			p.fail(o, ErrExpired)
		}
	}
}

func (p *protocol) outboxDeadlines(now time.Time, at func(time.Time)) {
	for _, o := range p.outbox {
		if !o.expiresAt.IsZero() {
			at(o.expiresAt)
		}
		if p.status.State == Online && now.Before(o.notBefore) {
			at(o.notBefore)
		}
	}
}
