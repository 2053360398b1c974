package wire

import (
	"strconv"

	"tertulia/chat"
)

// AppendPassing appends the JSON of a passing event as v1 has it,
// docs/protocol.md §17; nothing for a kind that it does not have.
func AppendPassing(b []byte, e *chat.Event) []byte {
	switch e.Kind {
	case chat.KindUserJoined, chat.KindUserLeft:
		return appendPresenceDiff(b, e)
	case chat.KindPresenceCount:
		b = appendHead(b, "presence_diff", "", e.Room)
		b = append(b, `"count":`...)
		b = strconv.AppendInt(b, int64(e.Count), 10)
		return append(b, "}}"...)
	case chat.KindTyping:
		b = appendHead(b, "typing", "", e.Room)
		b = appendMember(b, e.Actor)
		b = append(b, `,"is_typing":true,"expires_in_ms":`...)
		b = strconv.AppendInt(b, TypingExpiry.Milliseconds(), 10)
		return append(b, "}}"...)
	case chat.KindTypingStopped:
		b = appendHead(b, "typing", "", e.Room)
		b = appendMember(b, e.Actor)
		return append(b, `,"is_typing":false}}`...)
	case chat.KindReceipt:
		return appendReceipt(b, e)
	}
	return b
}

func appendPresenceDiff(b []byte, e *chat.Event) []byte {
	joined, left := "[]", "["
	if e.Kind == chat.KindUserJoined {
		joined, left = "[", "[]"
	}
	b = appendHead(b, "presence_diff", "", e.Room)
	b = append(b, `"version":`...)
	b = strconv.AppendUint(b, e.Version, 10)
	b = append(b, `,"joined":`...)
	b = append(b, joined...)
	if e.Kind == chat.KindUserJoined {
		b = append(appendNamed(b, e.Actor), ']')
	}
	b = append(b, `,"left":`...)
	b = append(b, left...)
	if e.Kind == chat.KindUserLeft {
		b = append(appendNamed(b, e.Actor), ']')
	}
	if e.Count > 0 {
		b = append(b, `,"count":`...)
		b = strconv.AppendInt(b, int64(e.Count), 10)
	}
	return append(b, "}}"...)
}

// appendReceipt appends how far the event's subject has come. Its body holds
// read and delivered.
func appendReceipt(b []byte, e *chat.Event) []byte {
	b = appendHead(b, "receipt", "", e.Room)
	b = appendMember(b, chat.User{ID: e.Subject, Name: e.Actor.Name})
	if len(e.Body) > len("{}") {
		b = append(b, ',')
		b = append(b, e.Body[1:len(e.Body)-1]...)
	}
	return append(b, "}}"...)
}

// appendHead begins a frame that is about a room, or about none if it is
// empty, and leaves its data open.
func appendHead(b []byte, typ, re string, room chat.RoomID) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, typ...)
	b = append(b, `",`...)
	b = appendRe(b, re)
	if room != "" {
		b = append(b, `"room":`...)
		b = chat.AppendQuote(b, string(room))
		b = append(b, ',')
	}
	return append(b, `"data":{`...)
}

// appendMember appends the member user of an object.
func appendMember(b []byte, u chat.User) []byte {
	return appendNamed(append(b, `"user":`...), u)
}

// appendNamed appends a user as v1 has it. The name is left out if it is not
// known.
func appendNamed(b []byte, u chat.User) []byte {
	b = append(b, `{"id":`...)
	b = chat.AppendQuote(b, string(u.ID))
	if u.Name != "" {
		b = append(b, `,"name":`...)
		b = chat.AppendQuote(b, u.Name)
	}
	return append(b, '}')
}
