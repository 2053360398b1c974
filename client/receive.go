package client

import (
	"fmt"
	"time"

	"tertulia/chat"
)

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
		p.take(now, in)
	}
}

// greeted takes what comes before the room is online: the greeting, or the
// error that explains the close that follows.
func (p *protocol) greeted(now time.Time, in inbound) {
	switch in := in.(type) {
	case connectedFrame:
		p.online(now)
		p.join(in)
	case errorFrame: // remembered above
	case badFrame:
		p.drop(violation("%v", in.err))
	default:
		p.drop(violation("the first frame is not connected"))
	}
}

// join decides where the stream goes on. Without a cursor it begins with the
// history; with one it continues, or a gap says why not.
func (p *protocol) join(in connectedFrame) {
	had := p.cursor
	resumed := in.resumed && in.gap == nil && in.cursor.Epoch == had.Epoch && in.cursor.Seq >= had.Seq
	if had.Epoch == "" && len(in.history) == 0 {
		p.cursor = in.cursor
	}
	p.emit(Connected{Active: in.active, ActiveCount: in.activeCount, Head: in.head, Resumed: resumed})
	if resumed || !p.resumes {
		return
	}
	floor := uint64(0) // history up to here was handed over before
	if had.Epoch != "" {
		floor = p.gap(had, in)
	}
	p.replay(in.history, in.cursor, floor)
}

// gap says what is missing after the cursor had, and returns the seq up to
// which the history is old.
func (p *protocol) gap(had chat.Cursor, in connectedFrame) (floor uint64) {
	g := Gap{Reason: GapRetention, From: had.Seq + 1, Epoch: in.cursor.Epoch}
	if in.gap != nil {
		g = *in.gap
	}
	if in.cursor.Epoch != had.Epoch || in.cursor.Seq < had.Seq {
		g.Reason = GapEpoch // a log that goes back is another log
	}
	if g.Reason != GapEpoch {
		floor = had.Seq
	}
	// Whatever the server named, missing is also all below the history.
	below := in.cursor.Seq
	for _, h := range in.history {
		if s := h.message.Seq; h.err == nil && s > floor {
			below = s - 1
			break
		}
	}
	if in.gap == nil && g.Reason == GapEpoch {
		g.From = 1
	}
	g.To = max(g.To, below)
	p.cursor = chat.Cursor{Epoch: in.cursor.Epoch, Seq: below}
	if below == in.cursor.Seq {
		p.cursor = in.cursor
	}
	if g.Reason == GapEpoch || g.From <= g.To {
		p.emit(g)
	}
	return floor
}

// replay hands over the history above floor; whoever has taken the last of it
// stands at head.
func (p *protocol) replay(history []historyItem, head chat.Cursor, floor uint64) {
	for i, h := range history {
		m := h.message
		last := i == len(history)-1
		switch {
		case h.err != nil:
			p.emit(Malformed{Err: fmt.Errorf("history: %w", h.err)})
		case m.Seq > floor || m.Seq == 0:
			if m.Seq != 0 {
				floor = m.Seq
				p.cursor = chat.Cursor{Epoch: head.Epoch, Seq: m.Seq}
			}
			if last {
				p.cursor = head
			}
			m.History, m.Cursor = true, p.cursor
			p.settleOwn(m)
			p.emit(m)
		}
	}
	p.cursor = head
}

// take takes a frame while online.
func (p *protocol) take(now time.Time, in inbound) {
	switch in := in.(type) {
	case messageFrame:
		p.takeMessage(in)
	case sentFrame:
		p.acknowledged(in.sent)
	case errorFrame:
		p.answeredWithError(now, in)
	case presenceFrame:
		if in.joined {
			p.emit(Joined{in.user})
		} else {
			p.emit(Left{in.user})
		}
	case typingFrame:
		p.emit(Typing{User: in.user, On: in.on, ExpiresIn: in.expiresIn})
	case pongFrame:
		p.ponged(now, in.id)
	case otherFrame:
		if p.advance(in.place) {
			p.emit(Other{Type: in.typ, Seq: in.seq, Frame: in.frame})
		}
	case badFrame:
		if p.advance(in.place) {
			p.emit(Malformed{Seq: in.seq, Err: in.err})
		}
	case connectedFrame:
		p.emit(Malformed{Err: violation("a second connected frame")})
	}
}

func (p *protocol) takeMessage(in messageFrame) {
	m := in.message
	m.Seq = in.seq
	p.settleOwn(m)
	if p.advance(in.place) {
		m.Cursor = p.cursor
		p.emit(m)
	}
}

// advance moves the cursor to a durable event and reports whether the event
// is new. What was jumped over is said first. Passing events are always new.
func (p *protocol) advance(at place) bool {
	if at.seq == 0 {
		return true
	}
	switch {
	case p.cursor == chat.Cursor{}: // a server that told no cursor; begin here
		p.cursor = chat.Cursor{Epoch: at.epoch, Seq: at.seq - 1}
	case at.epoch != "" && at.epoch != p.cursor.Epoch:
		p.cursor = chat.Cursor{Epoch: at.epoch, Seq: at.seq - 1}
		p.emit(Gap{Reason: GapEpoch, From: 1, To: at.seq - 1, Epoch: at.epoch})
	}
	switch last := p.cursor.Seq; {
	case at.seq <= last:
		return false
	case at.seq > last+1:
		p.cursor = chat.Cursor{Epoch: p.cursor.Epoch, Seq: at.seq - 1}
		p.emit(Gap{Reason: GapHole, From: last + 1, To: at.seq - 1, Epoch: p.cursor.Epoch})
	}
	p.cursor = chat.Cursor{Epoch: p.cursor.Epoch, Seq: at.seq, Tag: at.tag, HasTag: at.hasTag}
	return true
}
