package client

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"tertulia/chat"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// Timing of a connection. A dead network is noticed after idleBeforePing +
// pongWait, and at most writeTimeout (socket.go) later if a write is stuck
// then: 32 s, below the 35 s that the package promises.
const (
	idleBeforePing = 12 * time.Second
	pongWait       = 10 * time.Second
	// greetingWait is from the end of the handshake to hello.
	greetingWait = 10 * time.Second
	// typingRepeat is how soon the same typing signal is worth sending again;
	// it lives for 8 s (docs/protocol.md §4.6).
	typingRepeat = 3 * time.Second
)

// protocol is the client's side of the conversation, without I/O and without
// a clock: it is told what happened and when, and then asked what to do
// (work) and what to hand over (events). The client's lock guards it.
type protocol struct {
	// Fixed after construction.
	opt     *options
	backoff backoff
	kept    Kept // what the Store had at the beginning

	// The state machine.
	status    ConnectionState // the last change
	failures  int             // attempts that failed since the last stable connection
	attempts  int             // all of them; it chooses the server
	onlineAt  time.Time
	dialDue   bool      // the next work is to connect
	linkUp    bool      // the handshake is done and the socket not lost
	greetBy   time.Time // while linkUp and not online
	dropDue   bool      // the next work is to cut the connection
	cause     error     // why it is being cut or was found broken
	refusal   *chat.Error
	lastError error         // what the last failed attempt ended with, nil once online
	hint      time.Duration // what reconnect asked to wait
	expiries  int           // refusals of an expired credential in a row

	// Liveness, while linkUp.
	heardAt time.Time
	pingAt  time.Time // when the unanswered WebSocket ping was sent, or zero
	pongDue []byte    // payload to send back, nil is none

	// Receiving.
	session Session
	rooms   map[chat.RoomID]*subscription
	events  []loose

	// Sending. outbox holds the pending posts in the order of posting; waiting
	// what was written and not answered, by its id.
	outbox       []*Outgoing
	requests     []*request
	unsubscribes []chat.RoomID
	typists      []*subscription
	waiting      map[string]answerer
	perRoom      map[chat.RoomID]int // scratch of appendPosts
	ids          map[string]uint64   // ids given out, by prefix
	renewal      renewal
	dirty        bool       // what the Store has is old
	left         []KeptPost // the outbox at the end
}

// answerer is what waits for the answer to a command.
type answerer interface {
	answered(p *protocol, now time.Time, re string, in inbound)
}

// loose is an event without a place in a log. Readers hand it over when they
// have taken the room's events up to seq at.
type loose struct {
	room  chat.RoomID // empty: it is about the connection
	event Event
	at    uint64
	life  int
}

func newProtocol(opt *options, kept Kept) *protocol {
	return &protocol{
		opt:     opt,
		backoff: backoff{opt.backoffBase, opt.backoffCap, opt.random},
		kept:    kept,
		rooms:   map[chat.RoomID]*subscription{},
		waiting: map[string]answerer{},
		perRoom: map[chat.RoomID]int{},
		ids:     map[string]uint64{},
	}
}

// nextID returns an id for a command.
func (p *protocol) nextID(prefix string) string {
	p.ids[prefix]++
	return prefix + strconv.FormatUint(p.ids[prefix], 10)
}

// outFrame is a frame to write.
type outFrame struct {
	op      websocket.Opcode
	payload []byte
	secret  bool // not for the trace
}

func textFrame(b []byte) outFrame { return outFrame{op: websocket.Text, payload: b} }

// work is what the protocol wants done now, in this order.
type work struct {
	// dial asks for the connection with this number, from 0. Its end is
	// reported to lost, also if it never came about.
	dial   bool
	number int
	// renew asks for a token, to be reported to tokenCame.
	renew bool
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
	if w.dial, p.dialDue = p.dialDue, false; w.dial {
		w.number = p.attempts
		p.attempts++
	}
	w.drop, p.dropDue = p.dropDue, false
	w.renew = p.renewalDue(now)
	if p.linkUp && p.cause == nil {
		w.frames = p.frames(now)
	}
	return w
}

// frames returns what is to be written on a sound connection.
func (p *protocol) frames(now time.Time) []outFrame {
	var out []outFrame
	if p.pongDue != nil {
		out = append(out, outFrame{op: websocket.Pong, payload: p.pongDue})
		p.pongDue = nil
	}
	if p.status.State != Online {
		return out
	}
	if p.pingDue(now) {
		out = append(out, outFrame{op: websocket.Ping})
		p.pingAt = now
	}
	out = p.appendRenewal(out)
	out = p.appendSubscribes(out, now)
	out = p.appendPosts(out, now)
	out = p.appendRequests(out, now)
	return p.appendTypings(out, now)
}

// connect makes an attempt.
func (p *protocol) connect() {
	p.dialDue = true
	p.change(ConnectionState{State: Connecting, Attempt: p.failures + 1})
}

// hurry makes the next attempt now instead of at RetryAt.
func (p *protocol) hurry() {
	if p.status.State == Waiting || p.status.State == Offline && !p.linkUp {
		p.connect()
	}
}

// goOffline cuts the connection and tries nothing more.
func (p *protocol) goOffline() {
	if p.status.State == Closed || p.status.State == Offline {
		return
	}
	p.dialDue = false
	p.change(ConnectionState{State: Offline, Reason: "the program went offline"})
	if p.linkUp {
		p.drop(ErrOffline)
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
	case !p.linkUp:
	case p.status.State == Connecting && !now.Before(p.greetBy):
		p.drop(errNoGreeting)
	case p.status.State == Online && !p.pingAt.IsZero() && !now.Before(p.pingAt.Add(pongWait)):
		p.drop(errSilent)
	}
	p.expire(now)
}

func (p *protocol) pingDue(now time.Time) bool {
	return p.pingAt.IsZero() && !now.Before(p.heardAt.Add(idleBeforePing))
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
	if p.linkUp && p.cause == nil {
		switch {
		case p.status.State == Connecting:
			at(p.greetBy)
		case !p.pingAt.IsZero():
			at(p.pingAt.Add(pongWait))
		default:
			at(p.heardAt.Add(idleBeforePing))
		}
	}
	if p.status.State == Online && !p.renewal.at.IsZero() {
		at(p.renewal.at)
	}
	p.outboxDeadlines(now, at)
	p.requestDeadlines(now, at)
	return next
}

// lost reports the end of a connection, or of the attempt to make one.
func (p *protocol) lost(now time.Time, err error) {
	closed, isClose := errors.AsType[*CloseError](err)
	if p.cause != nil && !isClose {
		err = p.cause
	}
	opened := p.linkUp
	wasOnline := p.status.State == Online
	p.unlink()
	if p.status.State == Closed || p.status.State == Offline {
		return
	}
	if wasOnline && now.Sub(p.onlineAt) >= stableAfter {
		p.failures = 0
	}
	p.lastError = err

	step := ConnectionState{Reason: err.Error(), Err: err}
	switch {
	case isClose:
		step.Code, step.Reason = closed.Code, closed.Reason
	case opened:
		step.Code = codeAbnormal
	}
	if refused := p.refusedBy(err); refused != nil {
		p.end(step, refused)
		return
	}
	p.refusal = nil
	wait := p.backoff.wait(p.failures) + p.asked(err)
	p.failures++
	p.hint = 0
	step.State, step.Attempt, step.RetryAt = Waiting, p.failures, now.Add(wait)
	p.change(step)
}

// unlink forgets what belonged to the connection.
func (p *protocol) unlink() {
	p.linkUp, p.dropDue, p.cause = false, false, nil
	p.pingAt, p.pongDue = time.Time{}, nil
	clear(p.waiting)
	p.unsubscribes, p.typists = nil, nil
	p.renewal = renewal{}
	for _, s := range p.rooms {
		s.live, s.asked, s.caughtUp = false, false, false
		s.typing = typingSignal{}
	}
	p.unsend()
	p.unask()
}

// asked returns how long the server asked to stay away.
func (p *protocol) asked(err error) time.Duration {
	wait := p.hint
	if h, ok := errors.AsType[*HandshakeError](err); ok {
		wait = max(wait, h.RetryAfter)
	}
	if c, ok := errors.AsType[*CloseError](err); ok {
		wait = max(wait, retryHint(c.Reason))
	}
	return min(wait, maxRetryAfter)
}

// codeAbnormal stands for a connection that broke without a close frame
// (RFC 6455 §7.1.5).
const codeAbnormal = 1006

// maxExpiries is how often in a row the server may find the credential
// expired: the second time the token source does not help.
const maxExpiries = 2

// refusedBy returns the error that ends the client, nil if it may come back.
func (p *protocol) refusedBy(err error) *RefusedError {
	var r *RefusedError
	if c, ok := errors.AsType[*CloseError](err); ok {
		if c.Code == int(wire.CloseExpired) {
			p.expiries++
		}
		if !resumable(c.Code) || p.expiries >= maxExpiries {
			r = &RefusedError{Code: c.Code, Reason: c.Reason}
		}
	} else if h, ok := errors.AsType[*HandshakeError](err); ok && h.final() {
		r = &RefusedError{Status: h.Status, Reason: h.Reason}
	}
	if r != nil && p.refusal != nil {
		r.Err = p.refusal
	}
	return r
}

// close ends the client by our own will.
func (p *protocol) close() {
	if p.status.State != Closed {
		p.end(ConnectionState{Reason: ErrClosed.Error()}, ErrClosed)
	}
}

// end ends everything. What is not acknowledged stays in the Store.
func (p *protocol) end(step ConnectionState, err error) {
	step.State, step.Attempt, step.Err = Closed, p.status.Attempt, err
	p.lastError = err
	p.dialDue = false
	p.left = p.keptPosts()
	for len(p.outbox) > 0 {
		p.fail(p.outbox[0], err)
	}
	for len(p.requests) > 0 {
		p.endRequest(p.requests[0], nil, err)
	}
	p.change(step)
}

// change steps the state machine and says so.
func (p *protocol) change(step ConnectionState) {
	step.Previous = p.status.State
	p.status = step
	p.emit("", step)
}

// emit has an event handed over by every reader that is concerned.
func (p *protocol) emit(room chat.RoomID, e Event) {
	l := loose{room: room, event: e}
	if s := p.rooms[room]; s != nil {
		l.at, l.life = s.cursor.Seq, s.tail.life
	}
	p.events = append(p.events, l)
}

// violation is a breach of the protocol by the server.
func violation(format string, args ...any) error {
	return fmt.Errorf("protocol violation: "+format, args...)
}
