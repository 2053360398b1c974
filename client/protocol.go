package client

import (
	"errors"
	"fmt"
	"time"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// Timing of a connection. A dead network is noticed after idleBeforePing +
// pongWait, and at most writeTimeout (socket.go) later if a write is stuck
// then: 32 s, below the 35 s that the package promises.
const (
	idleBeforePing = 12 * time.Second
	pongWait       = 10 * time.Second
	// greetingWait is from the end of the handshake to the first frame.
	greetingWait = 10 * time.Second
	// typingRepeat is how soon the same typing signal is worth sending again;
	// it lives for 8 s (docs/protocol.md §4.6).
	typingRepeat = 3 * time.Second
)

// protocol is the client's side of one room's conversation, without I/O and
// without a clock: it is told what happened and when, and then asked what to
// do (work) and what to hand over (events). The room's lock guards it. What is
// particular to a profile of the wire is in seed.go.
type protocol struct {
	// Fixed after construction.
	user        chat.UserID
	maxOutbox   int           // posts
	pipeline    int           // posts in flight
	postTimeout time.Duration // negative is none
	resumes     bool          // false: every connection is a fresh one
	random      func(time.Duration) time.Duration

	// The state machine.
	status    StateChanged // the last change
	failures  int          // attempts that failed since the last stable connection
	onlineAt  time.Time
	dialDue   bool      // the next work is to connect
	linkUp    bool      // the handshake is done and the socket not lost
	greetBy   time.Time // while linkUp and not online
	dropDue   bool      // the next work is to cut the connection
	cause     error     // why it is being cut or was found broken
	refusal   *chat.Error
	lastError error // what the last failed attempt ended with, nil once online

	// Liveness, while linkUp.
	heardAt time.Time
	pingAt  time.Time // when the unanswered WebSocket ping was sent, or zero
	pongDue []byte    // payload to send back, nil is none
	stalled bool      // the reader waits for the consumer: silence means nothing

	// Receiving: cursor is the last event taken, zero before the first
	// connection and with servers that cannot resume.
	cursor chat.Cursor
	events []item

	// Sending. outbox holds the pending posts in the order of posting.
	outbox      []*Outgoing
	pausedUntil time.Time // a retryable refusal asked to wait
	pings       []*pinging
	lastPing    uint64
	typing      typingSignal
}

// item is an event with the cursor of whoever has taken it.
type item struct {
	event  Event
	cursor chat.Cursor
}

// typingSignal is the newest typing state; older ones are not worth sending.
type typingSignal struct {
	due    bool
	on     bool
	sentOn bool
	sentAt time.Time
}

func newProtocol(o Options, random func(time.Duration) time.Duration) *protocol {
	return &protocol{
		user:        o.User.ID,
		maxOutbox:   o.Outbox,
		pipeline:    o.Pipeline,
		postTimeout: o.PostTimeout,
		resumes:     !o.SendOnly,
		random:      random,
		cursor:      o.Cursor,
	}
}

// outFrame is a frame to write.
type outFrame struct {
	op      websocket.Opcode
	payload []byte
}

// work is what the protocol wants done now, in this order.
type work struct {
	// dial asks for a connection that continues after the cursor. Its end is
	// reported to lost, also if it never came about.
	dial   bool
	cursor chat.Cursor
	// frames are to be written to the connection.
	frames []outFrame
	// drop asks to cut the connection without ceremony; lost follows.
	drop bool
	// closed asks to end everything.
	closed bool
}

// work returns what to do at now; it is handed out once.
func (p *protocol) work(now time.Time) work {
	w := work{closed: p.status.State == Closed}
	if w.closed {
		return w
	}
	w.dial, p.dialDue = p.dialDue, false
	if p.resumes {
		w.cursor = p.cursor
	}
	w.drop, p.dropDue = p.dropDue, false
	if p.linkUp && p.cause == nil {
		w.frames = p.frames(now)
	}
	return w
}

// frames returns what is to be written on a sound connection.
func (p *protocol) frames(now time.Time) []outFrame {
	var out []outFrame
	if p.pongDue != nil {
		out = append(out, outFrame{websocket.Pong, p.pongDue})
		p.pongDue = nil
	}
	if p.status.State != Online {
		return out
	}
	if p.pingDue(now) {
		out = append(out, outFrame{websocket.Ping, nil})
		p.pingAt = now
	}
	out = p.appendPosts(out, now)
	out = p.appendPings(out, now)
	return p.appendTyping(out, now)
}

// start makes the first attempt.
func (p *protocol) start(now time.Time) {
	if p.status.State == Idle {
		p.connect()
	}
}

func (p *protocol) connect() {
	p.dialDue = true
	p.change(StateChanged{State: Connecting, Attempt: p.failures + 1})
}

// hurry makes the next attempt now instead of at RetryAt.
func (p *protocol) hurry() {
	if p.status.State == Waiting {
		p.connect()
	}
}

// opened reports the end of a successful handshake. It returns false if the
// connection is no longer wanted.
func (p *protocol) opened(now time.Time) bool {
	if p.status.State != Connecting {
		return false
	}
	p.linkUp = true
	p.heardAt = now
	p.greetBy = now.Add(greetingWait)
	return true
}

// heard reports that bytes came: the peer lives. A WebSocket ping or pong
// counts as well as a frame.
func (p *protocol) heard(now time.Time) {
	p.heardAt = now
	p.pingAt = time.Time{}
}

// pinged reports a WebSocket ping; only the newest needs an answer (RFC 6455
// §5.5.3).
func (p *protocol) pinged(payload []byte) {
	p.pongDue = append([]byte{}, payload...)
}

// stall reports that the reader waits for the consumer, or goes on.
func (p *protocol) stall(on bool, now time.Time) {
	p.stalled = on
	if !on {
		p.heard(now)
	}
}

// broken reports that a write failed. The connection is not cut yet: a close
// frame that says why may still be there to be read.
func (p *protocol) broken(err error) {
	if p.cause == nil {
		p.cause = err
	}
}

// drop has the connection cut because of err.
func (p *protocol) drop(err error) {
	if p.cause == nil {
		p.cause, p.dropDue = err, true
	}
}

var (
	errNoGreeting = errors.New("the server did not greet in time")
	errSilent     = errors.New("the server does not answer any more")
)

// tick lets time pass.
func (p *protocol) tick(now time.Time) {
	switch {
	case p.status.State == Waiting && !now.Before(p.status.RetryAt):
		p.connect()
	case p.stalled || !p.linkUp:
	case p.status.State == Connecting && !now.Before(p.greetBy):
		p.drop(errNoGreeting)
	case p.status.State == Online && !p.pingAt.IsZero() && !now.Before(p.pingAt.Add(pongWait)):
		p.drop(errSilent)
	}
	p.expire(now)
}

func (p *protocol) pingDue(now time.Time) bool {
	return !p.stalled && p.pingAt.IsZero() && !now.Before(p.heardAt.Add(idleBeforePing))
}

// deadline returns when tick and work want to be called next, zero for never.
func (p *protocol) deadline(now time.Time) time.Time {
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if p.status.State == Waiting {
		at(p.status.RetryAt)
	}
	if p.linkUp && p.cause == nil && !p.stalled {
		switch {
		case p.status.State == Connecting:
			at(p.greetBy)
		case !p.pingAt.IsZero():
			at(p.pingAt.Add(pongWait))
		default:
			at(p.heardAt.Add(idleBeforePing))
		}
	}
	p.outboxDeadlines(now, at)
	return next
}

// lost reports the end of a connection, or of the attempt to make one.
func (p *protocol) lost(now time.Time, err error) {
	closed, isClose := errors.AsType[*CloseError](err)
	if p.cause != nil && !isClose {
		err = p.cause
	}
	opened := p.linkUp
	p.linkUp, p.stalled, p.dropDue, p.cause = false, false, false, nil
	p.pingAt, p.pongDue = time.Time{}, nil
	if p.status.State == Closed {
		return
	}
	if p.status.State == Online && now.Sub(p.onlineAt) >= stableAfter {
		p.failures = 0
	}
	p.unsend()
	p.lastError = err

	step := StateChanged{Reason: err.Error(), Err: err}
	switch {
	case isClose:
		step.Code, step.Reason = closed.Code, closed.Reason
	case opened:
		step.Code = codeAbnormal
	}
	if refused := p.refused(err); refused != nil {
		p.end(step, refused)
		return
	}
	wait := backoff(p.failures, p.random)
	if h, ok := errors.AsType[*HandshakeError](err); ok {
		wait += min(h.RetryAfter, maxRetryAfter)
	}
	if isClose {
		wait += min(retryHint(closed.Reason), maxRetryAfter)
	}
	p.failures++
	p.refusal = nil
	step.State, step.Attempt, step.RetryAt = Waiting, p.failures, now.Add(wait)
	p.change(step)
}

// codeAbnormal stands for a connection that broke without a close frame
// (RFC 6455 §7.1.5).
const codeAbnormal = 1006

// refused returns the error that ends the room, nil if it may come back.
func (p *protocol) refused(err error) *RefusedError {
	var r *RefusedError
	if c, ok := errors.AsType[*CloseError](err); ok && !resumable(c.Code) {
		r = &RefusedError{Code: c.Code, Reason: c.Reason}
	} else if h, ok := errors.AsType[*HandshakeError](err); ok && h.final() {
		r = &RefusedError{Status: h.Status, Reason: h.Reason}
	}
	if r != nil && p.refusal != nil {
		r.Err = p.refusal
	}
	return r
}

// close ends the room by our own will.
func (p *protocol) close() {
	if p.status.State != Closed {
		p.end(StateChanged{Reason: ErrClosed.Error()}, ErrClosed)
	}
}

func (p *protocol) end(step StateChanged, err error) {
	step.State, step.Attempt, step.Err = Closed, p.status.Attempt, err
	p.lastError = err
	p.dialDue = false
	p.failAll(err)
	p.change(step)
}

// change steps the state machine and says so.
func (p *protocol) change(step StateChanged) {
	step.Previous = p.status.State
	p.status = step
	p.emit(step)
}

func (p *protocol) emit(e Event) { p.events = append(p.events, item{e, p.cursor}) }

// online is entered by the server's greeting.
func (p *protocol) online(now time.Time) {
	p.onlineAt = now
	p.lastError = nil
	p.refusal = nil
	p.typing = typingSignal{}
	p.change(StateChanged{State: Online, Attempt: p.failures + 1})
}

// violation is a breach of the protocol by the server.
func violation(format string, args ...any) error {
	return fmt.Errorf("protocol violation: "+format, args...)
}
