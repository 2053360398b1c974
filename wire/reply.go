package wire

import (
	"strconv"

	"tertulia/chat"
)

// Connected is the first frame of a session, docs/protocol.md §4.2.
type Connected struct {
	Room chat.RoomID
	// Epoch and Head describe the room's log at the instant of joining:
	// everything after Head follows as events.
	Epoch  string
	Head   uint64
	Cursor chat.Cursor
	// Active are the users in the room, capped; ActiveCount is their number.
	Active      []chat.User
	ActiveCount int
	// History holds message frames as AppendEvent made them, oldest first.
	History []HistoryItem
	// Resume says how a cursor that the client brought was taken, nil if it
	// brought none.
	Resume *Resume
}

// HistoryItem is one message of the history on connect.
type HistoryItem struct {
	Seq   uint64
	Frame []byte // JSON by AppendEvent
}

// Resume is the answer to a client's cursor. Reason is empty if the log
// continues there; otherwise it is one of the Gap constants, and From and To
// are the seqs that the client will not get.
type Resume struct {
	Reason   string
	From, To uint64
}

// The reasons why a cursor cannot be continued, docs/protocol.md §6.4.
const (
	GapEpoch      = "epoch"
	GapRetention  = "retention"
	GapPermission = "permission" // v1 only
)

// AppendConnected appends the JSON of c.
func AppendConnected(b []byte, c *Connected) []byte {
	b = append(b, `{"type":"connected","room":`...)
	b = chat.AppendQuote(b, string(c.Room))
	b = append(b, `,"epoch":"`...)
	b = append(b, c.Epoch...)
	b = append(b, `","data":{"room_id":`...)
	b = appendID(b, string(c.Room))
	b = append(b, `,"active_users":[`...)
	for i, u := range c.Active {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendUser(b, u)
		b = append(b, '}')
	}
	b = append(b, `],"active_count":`...)
	b = strconv.AppendInt(b, int64(c.ActiveCount), 10)
	b = append(b, `,"head":`...)
	b = strconv.AppendUint(b, c.Head, 10)
	b = append(b, `,"cursor":"`...)
	b = append(b, c.Cursor.String()...)
	b = append(b, `","history":[`...)
	for i, item := range c.History {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendHistoryItem(b, item)
	}
	b = append(b, ']')
	b = appendResume(b, c.Resume)
	return append(b, "}}"...)
}

// appendHistoryItem appends a message's data with its seq as first member.
func appendHistoryItem(b []byte, item HistoryItem) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, item.Seq, 10)
	b = append(b, ',')
	return append(b, messageData(item.Frame)[1:]...)
}

func appendResume(b []byte, r *Resume) []byte {
	switch {
	case r == nil:
		return b
	case r.Reason == "":
		return append(b, `,"resumed":true`...)
	}
	b = append(b, `,"resumed":false,"gap":{`...)
	b = appendGap(b, *r)
	return append(b, '}')
}

func appendGap(b []byte, r Resume) []byte {
	b = append(b, `"reason":"`...)
	b = append(b, r.Reason...)
	b = append(b, `","from":`...)
	b = strconv.AppendUint(b, r.From, 10)
	b = append(b, `,"to":`...)
	return strconv.AppendUint(b, r.To, 10)
}

// AppendReplay appends a message of the past as a frame of its own, marked as
// a replay. It has no top-level seq, because it moves no cursor
// (docs/protocol.md §4.2, ?history=events).
func AppendReplay(b []byte, room chat.RoomID, item HistoryItem) []byte {
	b = append(b, `{"type":"message","room":`...)
	b = chat.AppendQuote(b, string(room))
	b = append(b, `,"data":{"replay":true,"seq":`...)
	b = strconv.AppendUint(b, item.Seq, 10)
	b = append(b, ',')
	b = append(b, messageData(item.Frame)[1:]...)
	return append(b, '}')
}

// AppendMessageSent appends the acknowledgement of a post: e is stored. The
// prototype shows its fields at the top level and in data; both are given
// (docs/protocol.md §4.4).
func AppendMessageSent(b []byte, re string, e *chat.Event, duplicate bool) []byte {
	b = append(b, `{"type":"message_sent",`...)
	b = appendRe(b, re)
	b = appendSentFields(b, e)
	b = append(b, `,"room":`...)
	b = chat.AppendQuote(b, string(e.Room))
	b = append(b, `,"data":{`...)
	b = appendSentFields(b, e)
	if isClientNonce(e.Nonce) {
		b = append(b, `,"nonce":`...)
		b = chat.AppendQuote(b, string(e.Nonce))
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	if duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	return append(b, "}}"...)
}

func appendSentFields(b []byte, e *chat.Event) []byte {
	b = append(b, `"message_id":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, e.At)
	return append(b, '"')
}

// AppendPong appends the answer to a ping; echo is [Command.Echo].
func AppendPong(b []byte, re string, echo []byte) []byte {
	b = append(b, `{"type":"pong",`...)
	b = appendRe(b, re)
	b = append(b, `"data":{`...)
	b = append(b, echo...)
	return append(b, "}}"...)
}

// AppendError appends a refusal. nonce names the post that was refused, if it
// had one (docs/protocol.md §4.8).
func AppendError(b []byte, re string, nonce chat.Nonce, e *chat.Error) []byte {
	return appendError(b, re, "", nonce, e)
}

func appendError(b []byte, re string, room chat.RoomID, nonce chat.Nonce, e *chat.Error) []byte {
	b = append(b, `{"type":"error",`...)
	b = appendRe(b, re)
	if room != "" {
		b = append(b, `"room":`...)
		b = chat.AppendQuote(b, string(room))
		b = append(b, ',')
	}
	b = appendErrorFields(b, e)
	b = append(b, `,"data":{`...)
	b = appendErrorFields(b, e)
	b = append(b, `,"num":`...)
	b = strconv.AppendInt(b, int64(e.Code.Num()), 10)
	b = append(b, `,"retryable":`...)
	b = strconv.AppendBool(b, e.Code.Retryable())
	if e.RetryAfter > 0 {
		b = append(b, `,"retry_after_ms":`...)
		b = strconv.AppendInt(b, e.RetryAfter.Milliseconds(), 10)
	}
	if nonce != "" {
		b = append(b, `,"nonce":`...)
		b = chat.AppendQuote(b, string(nonce))
	}
	return append(b, "}}"...)
}

func appendErrorFields(b []byte, e *chat.Error) []byte {
	b = append(b, `"message":`...)
	b = chat.AppendQuote(b, e.Message)
	b = append(b, `,"code":"`...)
	b = append(b, e.Code...)
	return append(b, '"')
}

// appendRe appends the member re and a comma, or nothing.
func appendRe(b []byte, re string) []byte {
	if re == "" {
		return b
	}
	b = append(b, `"re":`...)
	b = chat.AppendQuote(b, re)
	return append(b, ',')
}
