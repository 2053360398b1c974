package wire

import (
	"bytes"
	"strconv"
	"time"

	"tertulia/chat"
)

// Hello is the first frame of a v1 session, docs/protocol.md §14.1.
type Hello struct {
	Re        string
	Server    string // name and version
	Session   string
	User      chat.User
	Features  []string
	Heartbeat time.Duration
	// ExpiresAt is when the credential ends, zero if it does not.
	ExpiresAt time.Time
	// Rooms is how many subscriptions the connection may have.
	Rooms int
}

// AppendHello appends the JSON of h.
func AppendHello(b []byte, h *Hello) []byte {
	b = appendHead(b, "hello", h.Re, "")
	b = append(b, `"server":`...)
	b = chat.AppendQuote(b, h.Server)
	b = append(b, `,"session":`...)
	b = chat.AppendQuote(b, h.Session)
	b = append(b, ',')
	b = appendMember(b, h.User)
	b = appendLimits(append(b, ','), h.Rooms)
	b = append(b, `,"features":[`...)
	for i, f := range h.Features {
		if i > 0 {
			b = append(b, ',')
		}
		b = chat.AppendQuote(b, f)
	}
	b = append(b, `],"heartbeat_ms":`...)
	b = strconv.AppendInt(b, h.Heartbeat.Milliseconds(), 10)
	b = appendExpiry(b, ',', h.ExpiresAt)
	return append(b, "}}"...)
}

func appendLimits(b []byte, rooms int) []byte {
	b = append(b, `"limits":{`...)
	for _, limit := range []struct {
		name string
		n    int
	}{
		{"frame_bytes", chat.MaxFrameBytes}, {"content_bytes", chat.MaxContentBytes}, {"rooms", rooms}, {"rooms_per_command", MaxRooms},
		{"history", MaxHistory},
	} {
		b = append(b, '"')
		b = append(b, limit.name...)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, int64(limit.n), 10)
		b = append(b, ',')
	}
	b[len(b)-1] = '}'
	return b
}

// appendExpiry appends expires_at behind a separator, or nothing for zero.
func appendExpiry(b []byte, separator byte, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	if separator != 0 {
		b = append(b, separator)
	}
	b = append(b, `"expires_at":"`...)
	b = appendTime(b, at)
	return append(b, '"')
}

// Subscribed is the answer to a subscription, docs/protocol.md §14.2.
type Subscribed struct {
	Re string
	// Room holds the room's settings; Epoch, Head and Cursor are those of the
	// instant of joining, which may be later.
	Room   chat.Room
	Epoch  string
	Head   uint64
	Cursor chat.Cursor
	// History holds frames as AppendEvent made them, oldest first.
	History []HistoryItem
	// Resume says how a cursor that the client brought was taken, nil if it
	// brought none.
	Resume *Resume
	// My is the client's own standing, and what it has not read of Room.
	My       chat.Member
	Presence *Presence // nil if it was not asked for
	Receipts []chat.Member
}

// Presence is who is in a room.
type Presence struct {
	Version uint64
	Count   int
	Users   []chat.User // nil if only the number was asked for
	// Degraded says that who is here by other nodes may be out of date.
	Degraded bool
}

// AppendSubscribed appends the JSON of s.
func AppendSubscribed(b []byte, s *Subscribed) []byte {
	b = append(b, `{"type":"subscribed",`...)
	b = appendRe(b, s.Re)
	b = appendLog(b, s.Room.ID, s.Epoch)
	b = append(b, `"head":`...)
	b = strconv.AppendUint(b, s.Head, 10)
	b = append(b, `,"cursor":"`...)
	b = append(b, s.Cursor.String()...)
	b = append(b, '"')
	b = appendResume(b, s.Resume)
	b = append(b, `,"settings":`...)
	b = chat.AppendSettings(b, &s.Room)
	b = append(b, `,"my":`...)
	b = chat.AppendStanding(b, &s.Room, &s.My)
	if s.Presence != nil {
		b = append(b, `,"presence":{`...)
		b = appendPresence(b, s.Presence)
		b = append(b, '}')
	}
	b = append(b, `,"receipts":[`...)
	for i := range s.Receipts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMark(b, &s.Receipts[i])
	}
	b = append(b, `],"history":[`...)
	for i, item := range s.History {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, jsonOf(item.Frame)...)
	}
	return append(b, "]}}"...)
}

// appendLog appends the members that name a room and its log, and leaves data
// open.
func appendLog(b []byte, room chat.RoomID, epoch string) []byte {
	b = append(b, `"room":`...)
	b = chat.AppendQuote(b, string(room))
	b = append(b, `,"epoch":"`...)
	b = append(b, epoch...)
	return append(b, `","data":{`...)
}

// appendMark appends how far somebody has come.
func appendMark(b []byte, m *chat.Member) []byte {
	b = appendMember(append(b, '{'), m.User)
	b = append(b, `,"read":`...)
	b = strconv.AppendUint(b, m.Mark.Read, 10)
	b = append(b, `,"delivered":`...)
	b = strconv.AppendUint(b, m.Mark.Delivered, 10)
	return append(b, '}')
}

func appendPresence(b []byte, p *Presence) []byte {
	b = append(b, `"version":`...)
	b = strconv.AppendUint(b, p.Version, 10)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, int64(p.Count), 10)
	if p.Degraded {
		b = append(b, `,"degraded":true`...)
	}
	if p.Users == nil {
		return b
	}
	b = append(b, `,"users":[`...)
	for i, u := range p.Users {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNamed(b, u)
	}
	return append(b, ']')
}

// AppendPresence appends the answer to presence, docs/protocol.md §14.6.
func AppendPresence(b []byte, re string, room chat.RoomID, p *Presence) []byte {
	b = appendHead(b, "presence", re, room)
	b = appendPresence(b, p)
	return append(b, "}}"...)
}

// AppendCaughtUp appends the mark that all events up to seq have been sent,
// docs/protocol.md §14.3.
func AppendCaughtUp(b []byte, room chat.RoomID, seq uint64) []byte {
	b = appendHead(b, "caught_up", "", room)
	b = append(b, `"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	return append(b, "}}"...)
}

// AppendGap appends the mark that the events of r are not sent,
// docs/protocol.md §14.3.
func AppendGap(b []byte, room chat.RoomID, r Resume) []byte {
	b = appendHead(b, "gap", "", room)
	b = appendGap(b, r)
	return append(b, "}}"...)
}

// AppendSkip appends the mark that no event up to seq is sent, on purpose,
// docs/protocol.md §14.3.
func AppendSkip(b []byte, room chat.RoomID, seq uint64) []byte {
	b = appendHead(b, "skip", "", room)
	b = append(b, `"to":`...)
	b = strconv.AppendUint(b, seq, 10)
	return append(b, "}}"...)
}

// The reasons why a subscription has ended, docs/protocol.md §14.4.
const (
	UnsubscribedAsked   = "asked"
	UnsubscribedRemoved = "removed" // or banned: the event before it says which
)

// AppendUnsubscribed appends the end of a subscription.
func AppendUnsubscribed(b []byte, re string, room chat.RoomID, reason string) []byte {
	b = appendHead(b, "unsubscribed", re, room)
	b = append(b, `"reason":"`...)
	b = append(b, reason...)
	return append(b, `"}}`...)
}

// History is the answer to history, docs/protocol.md §14.5.
type History struct {
	Re   string
	Room chat.Room
	// Events holds frames as AppendEvent made them, oldest first.
	Events         []HistoryItem
	Earlier, Later bool
}

// AppendHistory appends the JSON of h.
func AppendHistory(b []byte, h *History) []byte {
	b = append(b, `{"type":"history",`...)
	b = appendRe(b, h.Re)
	b = appendLog(b, h.Room.ID, h.Room.Epoch)
	b = append(b, `"head":`...)
	b = strconv.AppendUint(b, h.Room.Head, 10)
	b = append(b, `,"earlier":`...)
	b = strconv.AppendBool(b, h.Earlier)
	b = append(b, `,"later":`...)
	b = strconv.AppendBool(b, h.Later)
	b = append(b, `,"events":[`...)
	for i, item := range h.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, jsonOf(item.Frame)...)
	}
	return append(b, "]}}"...)
}

// AppendOK appends the answer to a command that needs no other,
// docs/protocol.md §14.7. room may be empty.
func AppendOK(b []byte, re string, room chat.RoomID) []byte {
	return append(appendHead(b, "ok", re, room), "}}"...)
}

// AppendChanged appends the answer to an edit or a deletion: e is stored.
func AppendChanged(b []byte, re string, e *chat.Event, duplicate bool) []byte {
	b = appendHead(b, "ok", re, e.Room)
	b = append(b, `"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"message_id":`...)
	b = strconv.AppendInt(b, e.TargetID, 10)
	if isClientNonce(e.Nonce) {
		b = append(b, `,"nonce":`...)
		b = chat.AppendQuote(b, string(e.Nonce))
	}
	if duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	return append(b, "}}"...)
}

// AppendMarked appends the answer to read or delivered: the mark as it is
// stored.
func AppendMarked(b []byte, re string, room chat.RoomID, m chat.Mark) []byte {
	b = appendHead(b, "ok", re, room)
	b = chat.AppendMark(b, m)
	return append(b, "}}"...)
}

// AppendAuthenticated appends the answer to auth. expiresAt is zero for a
// credential that does not end.
func AppendAuthenticated(b []byte, re string, expiresAt time.Time) []byte {
	b = appendHead(b, "ok", re, "")
	b = appendExpiry(b, 0, expiresAt)
	return append(b, "}}"...)
}

// AppendReconnect appends the request to come back after a while, to this
// server or the one that takes over, docs/protocol.md §14.8.
func AppendReconnect(b []byte, after time.Duration, reason string) []byte {
	b = appendHead(b, "reconnect", "", "")
	b = append(b, `"after_ms":`...)
	b = strconv.AppendInt(b, after.Milliseconds(), 10)
	b = append(b, `,"reason":"`...)
	b = append(b, reason...)
	return append(b, `"}}`...)
}

// AppendStreamEnd is [AppendReconnect] for a stream of server-sent events,
// where no close code follows: the code is in the frame, docs/protocol.md §41.4.
func AppendStreamEnd(b []byte, after time.Duration, code CloseCode, reason string) []byte {
	b = appendHead(b, "reconnect", "", "")
	b = append(b, `"after_ms":`...)
	b = strconv.AppendInt(b, after.Milliseconds(), 10)
	b = append(b, `,"reason":`...)
	b = chat.AppendQuote(b, reason)
	b = append(b, `,"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	return append(b, "}}"...)
}

// AppendRefusal is [AppendError] for v1: room is what the refused command was
// about, empty if it was about none.
func AppendRefusal(b []byte, re string, room chat.RoomID, nonce chat.Nonce, e *chat.Error) []byte {
	return appendError(b, re, room, nonce, e)
}

// Listed is one room of an inbox.
type Listed struct {
	Room   chat.Room
	Member chat.Member
}

// AppendInbox appends the rooms of a user, docs/protocol.md §18. more says
// that another such frame follows.
func AppendInbox(b []byte, re string, rooms []Listed, more bool) []byte {
	b = appendHead(b, "inbox", re, "")
	b = append(b, `"rooms":[`...)
	for i := range rooms {
		if i > 0 {
			b = append(b, ',')
		}
		b = chat.AppendListed(b, &rooms[i].Room, &rooms[i].Member)
	}
	b = append(b, `],"more":`...)
	b = strconv.AppendBool(b, more)
	return append(b, "}}"...)
}

// AppendNotice appends the JSON of what the reader of an inbox is told of one
// room, docs/protocol.md §18; nothing for other kinds.
func AppendNotice(b []byte, e *chat.Event) []byte {
	switch e.Kind {
	case chat.KindUnread:
		b = appendHead(b, "unread", "", e.Room)
	case chat.KindRoomChanged:
		b = appendHead(b, "room_changed", "", "")
	default:
		return b
	}
	b = append(b, e.Body[1:]...) // an object with members
	return append(b, '}')
}

var typeMember = []byte(`{"type":`)

// jsonOf returns the JSON inside a frame: a transport puts at most a few bytes
// before it, and nothing behind.
func jsonOf(frame []byte) []byte { return frame[max(0, bytes.Index(frame, typeMember)):] }
