package client

import (
	"time"

	"tertulia/chat"
)

// inboxRoom is the list of the user's own rooms (docs/protocol.md §18).
const inboxRoom chat.RoomID = "inbox"

// received takes a frame from the server.
func (p *protocol) received(now time.Time, in inbound) {
	p.heard(now)
	p.refusal = nil // only the last frame before a close explains it
	if e, ok := in.(errorFrame); ok {
		p.refusal = e.err
	}
	switch p.status.State {
	case Connecting:
		p.greeted(now, in)
	case Online:
		if bad, ok := in.(badFrame); ok {
			p.drop(violation("%v", bad.err))
			return
		}
		p.take(now, in)
	}
}

// greeted takes what comes before the client is online: the greeting, or the
// error that explains the close that follows.
func (p *protocol) greeted(now time.Time, in inbound) {
	switch in := in.(type) {
	case helloFrame:
		p.session = in.session
		p.onlineAt = now
		p.lastError = nil
		p.expiries = 0
		p.planRenewal(now)
		p.change(ConnectionState{State: Online, Attempt: p.failures + 1})
	case errorFrame: // remembered above
	case badFrame:
		p.drop(violation("%v", in.err))
	default:
		p.drop(violation("the first frame is not hello"))
	}
}

// take takes a frame while online: an answer first goes to who waits for it.
func (p *protocol) take(now time.Time, in inbound) {
	switch in := in.(type) {
	case durableFrame:
		p.takeDurable(in)
	case passingFrame:
		p.emit(in.room, in.event)
	case presenceDiffFrame:
		p.takePresenceDiff(in)
	case caughtUpFrame:
		p.takeCaughtUp(in)
	case gapFrame:
		p.takeGap(in.gap)
	case skipFrame:
		p.takeSkip(in)
	case reconnectFrame:
		p.hint = in.after
	case unsubscribedFrame:
		p.takeUnsubscribed(in)
	case inboxFrame:
		for _, r := range in.rooms {
			p.emit(r.Room, r)
		}
		p.answer(now, in.answerFrame, in)
	case presenceFrame:
		p.takePresence(in)
		p.answer(now, in.answerFrame, in)
	case errorFrame:
		p.takeError(now, in)
	case subscribedFrame:
		p.answer(now, in.answerFrame, in)
	case historyFrame:
		p.answer(now, in.answerFrame, in)
	case sentFrame:
		p.answer(now, in.answerFrame, in)
	case okFrame:
		p.answer(now, in.answerFrame, in)
	case pongFrame:
		p.answer(now, in.answerFrame, in)
	}
}

// answer gives an answer to who waits for it, and reports whether anybody did.
func (p *protocol) answer(now time.Time, to answerFrame, in inbound) bool {
	a := p.waiting[to.re]
	if a == nil || to.re == "" {
		return false
	}
	a.answered(p, now, to.re, in)
	return true
}

// takeError gives a refusal to what it answers: a command, or nobody in
// particular.
func (p *protocol) takeError(now time.Time, in errorFrame) {
	if !p.answer(now, in.answerFrame, in) {
		p.emit(in.room, ServerError{Room: in.room, Err: in.err})
	}
}
