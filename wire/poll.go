package wire

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tertulia/chat"
)

// Limits of a poll, docs/protocol.md §42.
const (
	// MaxPollEvents bounds the events of one answer; DefaultPollEvents is how
	// many a client gets that does not say.
	MaxPollEvents     = 200
	DefaultPollEvents = 100
	// MaxPollWait is how long a poll may wait for something to happen, and
	// does if the client does not say.
	MaxPollWait = 30 * time.Second
	// MaxPollBytes bounds the body of a poll: 32 rooms and a cursor.
	MaxPollBytes = 16 << 10
)

// Poll is what a client asks that has no connection, docs/protocol.md §42.
type Poll struct {
	Rooms   []string
	Cursor  string
	History int
	Limit   int
	Wait    time.Duration
}

// pollJSON is the body of a poll.
type pollJSON struct {
	Rooms   []string `json:"rooms"`
	Cursor  string   `json:"cursor"`
	History *int64   `json:"history"`
	Limit   *int64   `json:"limit"`
	WaitMS  *int64   `json:"wait_ms"`
}

// DecodePoll reads the body of a poll; an empty one asks for nothing special.
// The error is a *chat.Error.
func DecodePoll(body []byte) (Poll, error) {
	var in pollJSON
	if err := json.Unmarshal(body, &in, json.RejectUnknownMembers(true)); err != nil && len(body) > 0 {
		if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return Poll{}, chat.Errorf(chat.InvalidJSON, "The body is not valid JSON (byte %d).", syntax.ByteOffset+1)
		}
		return Poll{}, chat.Errorf(chat.InvalidEvent, "The body is an object with the members rooms (an array of strings), cursor (a string), wait_ms, limit and history (whole numbers).")
	}
	p := Poll{Rooms: in.Rooms, Cursor: in.Cursor}
	var waitMS int
	for _, n := range []struct {
		name             string
		given            *int64
		into             *int
		least, most, def int
	}{
		{"history", in.History, &p.History, 0, MaxHistory, 0},
		{"limit", in.Limit, &p.Limit, 1, MaxPollEvents, DefaultPollEvents},
		{"wait_ms", in.WaitMS, &waitMS, 0, int(MaxPollWait.Milliseconds()), int(MaxPollWait.Milliseconds())},
	} {
		*n.into = n.def
		if n.given == nil {
			continue
		}
		if *n.given < int64(n.least) || *n.given > int64(n.most) {
			return Poll{}, chat.Errorf(chat.InvalidEvent, "The member %s is a number from %d to %d.", n.name, n.least, n.most)
		}
		*n.into = int(*n.given)
	}
	p.Wait = time.Duration(waitMS) * time.Millisecond
	return p, nil
}

// Polled is the answer to a poll.
type Polled struct {
	// Events are the JSON of durable events, those of a room in its order.
	Events [][]byte
	// Cursors are the places after Events, of the rooms that are still read.
	Cursors chat.Cursors
	// CaughtUp says that there was nothing more when the answer was made.
	CaughtUp bool
	Gaps     []PollGap
	// Ended are the rooms that the client may not read, or not any more.
	Ended []PollEnd
	// RetryAfter is how long to wait before the next poll; 0 is not at all.
	RetryAfter time.Duration
}

// PollGap says that the log of a room did not go on at the client's place.
type PollGap struct {
	Room chat.RoomID
	Resume
}

// PollEnd is a room that is not read, and why.
type PollEnd struct {
	Room chat.RoomID
	Err  *chat.Error
}

// AppendPolled appends the JSON of p.
func AppendPolled(b []byte, p *Polled) []byte {
	b = append(b, `{"events":[`...)
	for i, event := range p.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, event...)
	}
	b = append(b, `],"cursor":"`...)
	b = p.Cursors.AppendText(b)
	b = append(b, `","caught_up":`...)
	b = strconv.AppendBool(b, p.CaughtUp)
	b = appendList(b, "gaps", p.Gaps, func(b []byte, g *PollGap) []byte {
		b = append(chat.AppendQuote(append(b, `{"room":`...), string(g.Room)), ',')
		return append(appendGap(b, g.Resume), '}')
	})
	b = appendList(b, "ended", p.Ended, func(b []byte, e *PollEnd) []byte {
		b = chat.AppendQuote(append(b, `{"room":`...), string(e.Room))
		b = chat.AppendQuote(append(b, `,"code":`...), string(e.Err.Code))
		b = chat.AppendQuote(append(b, `,"message":`...), e.Err.Message)
		return append(b, '}')
	})
	if p.RetryAfter > 0 {
		b = append(b, `,"retry_after_ms":`...)
		b = strconv.AppendInt(b, p.RetryAfter.Milliseconds(), 10)
	}
	return append(b, '}')
}

// appendList appends a member that is an array, or nothing if it is empty.
func appendList[T any](b []byte, name string, list []T, one func([]byte, *T) []byte) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":[`...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, &list[i])
	}
	return append(b, ']')
}
