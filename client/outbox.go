package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// post puts o at the end of the outbox, or fails it at once.
func (p *protocol) post(now time.Time, o *Outgoing) {
	switch err := checkPost(o); {
	case err != nil:
		o.finish(Sent{}, err)
	case p.status.State == Closed:
		o.finish(Sent{}, fmt.Errorf("post: %w", p.status.Err))
	case len(p.outbox) >= p.maxOutbox:
		o.finish(Sent{}, ErrOutboxFull)
	default:
		if p.postTimeout > 0 {
			o.expiresAt = now.Add(p.postTimeout)
		}
		p.outbox = append(p.outbox, o)
	}
}

// checkPost refuses what the server would refuse, so that it need not travel.
func checkPost(o *Outgoing) error {
	switch {
	case !utf8.ValidString(o.text):
		return chat.Errorf(chat.InvalidEvent, "The message is not valid UTF-8.")
	case strings.ContainsRune(o.text, 0):
		return chat.Errorf(chat.InvalidEvent, "The message holds the character U+0000.")
	case strings.TrimSpace(o.text) == "":
		return chat.Errorf(chat.EmptyContent, "The message is empty.")
	case len(o.text) > chat.MaxContentBytes:
		return chat.Errorf(chat.TooLarge, "The message is longer than %d bytes.", chat.MaxContentBytes)
	case len(appendSeedPost(nil, o.text, o.nonce)) > chat.MaxFrameBytes:
		return chat.Errorf(chat.TooLarge, "The message is longer than %d bytes when written as JSON.", chat.MaxFrameBytes)
	}
	_, err := chat.ParseNonce(string(o.nonce))
	return err
}

// appendPosts appends the posts whose turn it is, in the order of posting.
func (p *protocol) appendPosts(out []outFrame, now time.Time) []outFrame {
	if now.Before(p.pausedUntil) {
		return out
	}
	inFlight := 0
	for _, o := range p.outbox {
		if inFlight++; inFlight > p.pipeline {
			break
		}
		if !o.inFlight {
			o.inFlight = true
			out = append(out, outFrame{websocket.Text, appendSeedPost(nil, o.text, o.nonce)})
		}
	}
	return out
}

// acknowledged settles the post that the server has stored. Servers that do
// not repeat the nonce answer in the order of the commands.
func (p *protocol) acknowledged(sent Sent) {
	o := p.byNonce(sent.Nonce)
	if sent.Nonce == "" {
		o = p.oldestInFlight()
	}
	if o != nil {
		sent.Nonce = o.nonce
		p.settle(o, sent, nil)
	}
}

// settleOwn takes our own copy of a message as its acknowledgement, if that
// was lost: events are sent after the commit.
func (p *protocol) settleOwn(m Message) {
	if m.From.ID != p.user || m.Nonce == "" {
		return
	}
	if o := p.byNonce(m.Nonce); o != nil && o.mayBeStored() {
		p.settle(o, Sent{ID: m.ID, Seq: m.Seq, At: m.At, Nonce: m.Nonce, Duplicate: true}, nil)
	}
}

// answeredWithError gives a refusal to what it answers: a post, a ping, or
// nobody in particular.
func (p *protocol) answeredWithError(now time.Time, in errorFrame) {
	if in.re != "" && p.pingFailed(in.re, in.err) {
		return
	}
	o := p.byNonce(in.nonce)
	switch {
	case o == nil || !o.inFlight:
		p.emit(ServerError{in.err})
	case in.retryable:
		o.inFlight = false
		o.unknown = o.unknown || !deniesStoring(in.err.Code)
		p.pausedUntil = now.Add(in.err.RetryAfter + backoff(o.refusals, p.random))
		o.refusals++
	default:
		o.inFlight = false // answered; an earlier try may still have stored it
		p.fail(o, in.err)
	}
}

// deniesStoring reports whether a retryable refusal with this code says that
// the post was not stored. With the others its outcome is unknown
// (docs/protocol.md §7).
func deniesStoring(c chat.Code) bool {
	return c == chat.RateLimited || c == chat.ShuttingDown
}

// unsend makes the posts that a lost connection left unanswered ready to be
// sent again, and fails the pings.
func (p *protocol) unsend() {
	for _, o := range p.outbox {
		o.unknown = o.mayBeStored()
		o.inFlight = false
	}
	p.failPings(ErrOffline)
}

// withdraw takes o out of the outbox; why says what for. It reports whether
// the post was pending.
func (p *protocol) withdraw(o *Outgoing, why error) bool {
	if !slices.Contains(p.outbox, o) {
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
	i := slices.Index(p.outbox, o)
	p.outbox = slices.Delete(p.outbox, i, i+1)
	o.inFlight = false
	o.finish(sent, err)
}

func (p *protocol) failAll(why error) {
	for len(p.outbox) > 0 {
		p.fail(p.outbox[0], why)
	}
	p.failPings(why)
}

// expire fails the posts that waited too long. They expire in the order of
// posting.
func (p *protocol) expire(now time.Time) {
	for len(p.outbox) > 0 {
		o := p.outbox[0]
		if o.expiresAt.IsZero() || now.Before(o.expiresAt) {
			return
		}
		p.fail(o, ErrExpired)
	}
}

func (p *protocol) outboxDeadlines(now time.Time, at func(time.Time)) {
	if len(p.outbox) == 0 {
		return
	}
	if t := p.outbox[0].expiresAt; !t.IsZero() {
		at(t)
	}
	if p.status.State == Online && now.Before(p.pausedUntil) {
		at(p.pausedUntil)
	}
}

func (p *protocol) byNonce(n chat.Nonce) *Outgoing {
	if n == "" {
		return nil
	}
	for _, o := range p.outbox {
		if o.nonce == n {
			return o
		}
	}
	return nil
}

func (p *protocol) oldestInFlight() *Outgoing {
	for _, o := range p.outbox {
		if o.inFlight {
			return o
		}
	}
	return nil
}

// setTyping remembers the newest typing state, to be sent if the room is
// online; it is worth nothing later.
func (p *protocol) setTyping(now time.Time, on bool) {
	if p.status.State != Online {
		return
	}
	t := &p.typing
	t.on = on
	t.due = on != t.sentOn || on && now.Sub(t.sentAt) >= typingRepeat
}

func (p *protocol) appendTyping(out []outFrame, now time.Time) []outFrame {
	t := &p.typing
	if !t.due {
		return out
	}
	t.due, t.sentOn, t.sentAt = false, t.on, now
	return append(out, outFrame{websocket.Text, appendSeedTyping(nil, t.on)})
}
