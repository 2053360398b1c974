package wire

import (
	"bytes"
	"strconv"
	"time"

	"tertulia/chat"
)

// TypingExpiry is how long a client may show somebody as typing without
// hearing of it again, docs/protocol.md §4.6.
const TypingExpiry = 8 * time.Second

// durableTypes are the types of the events of the log. They are the same in
// both profiles; the seed profile is sent messages only.
var durableTypes = map[chat.Kind]string{
	chat.KindMessage:        "message",
	chat.KindMessageEdited:  "message_edited",
	chat.KindMessageDeleted: "message_deleted",
	chat.KindMessagesErased: "messages_erased",
	chat.KindRoomCreated:    "room_created",
	chat.KindRoomUpdated:    "room_updated",
	chat.KindMemberInvited:  "member_invited",
	chat.KindMemberAdded:    "member_added",
	chat.KindMemberRemoved:  "member_removed",
	chat.KindMemberBanned:   "member_banned",
	chat.KindMemberUnbanned: "member_unbanned",
	chat.KindMemberRole:     "member_role",
}

// AppendEvent appends the JSON of an event as every member of its room sees
// it: a durable one for both profiles, docs/protocol.md §4.3 and §16, a passing
// one for the seed profile, §4.5, §4.6. What the seed profile does not have
// appends nothing; [AppendPassing] is for v1.
func AppendEvent(b []byte, e *chat.Event) []byte {
	switch e.Kind {
	case chat.KindMessage:
		return appendDurable(b, "message", e)
	case chat.KindUserJoined:
		return append(appendUserEvent(b, "user_joined", e), "}}"...)
	case chat.KindUserLeft:
		return append(appendUserEvent(b, "user_left", e), "}}"...)
	case chat.KindTyping:
		b = appendUserEvent(b, "typing", e)
		b = append(b, `,"is_typing":true,"expires_in_ms":`...)
		b = strconv.AppendInt(b, TypingExpiry.Milliseconds(), 10)
		return append(b, "}}"...)
	case chat.KindTypingStopped:
		return append(appendUserEvent(b, "typing", e), `,"is_typing":false}}`...)
	}
	if typ, ok := durableTypes[e.Kind]; ok {
		return appendDurable(b, typ, e)
	}
	return b
}

// appendDurable appends an event of the log. What its body says stands in data.
func appendDurable(b []byte, typ string, e *chat.Event) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, typ...)
	b = append(b, `","room":`...)
	b = chat.AppendQuote(b, string(e.Room))
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"epoch":"`...)
	b = append(b, e.Epoch...)
	b = append(b, `","tag":"`...)
	b = appendTag(b, e.Tag)
	b = append(b, `","data":{"id":`...)
	b = strconv.AppendInt(b, e.ID, 10)
	b = append(b, `,"user_id":`...)
	b = appendID(b, string(e.Actor.ID))
	b = append(b, `,"username":`...)
	b = chat.AppendQuote(b, e.Actor.Name)
	b = appendAim(b, e)
	if len(e.Body) > len("{}") {
		b = append(b, ',')
		b = append(b, e.Body[1:len(e.Body)-1]...)
	}
	b = append(b, `,"created_at":"`...)
	b = appendTime(b, e.At)
	b = append(b, '"')
	if isClientNonce(e.Nonce) {
		b = append(b, `,"nonce":`...)
		b = chat.AppendQuote(b, string(e.Nonce))
	}
	if e.Changed > 0 {
		b = appendChanged(b, e)
	}
	return append(b, "}}"...)
}

// appendAim appends what an event is about: a message, or all of somebody's.
func appendAim(b []byte, e *chat.Event) []byte {
	switch e.Kind {
	case chat.KindMessageEdited, chat.KindMessageDeleted:
		b = append(b, `,"target_seq":`...)
		b = strconv.AppendUint(b, e.Target, 10)
		b = append(b, `,"message_id":`...)
		b = strconv.AppendInt(b, e.TargetID, 10)
	case chat.KindMessagesErased:
		b = append(b, `,"subject":`...)
		b = chat.AppendQuote(b, string(e.Subject))
	}
	return b
}

// appendChanged appends what has become of a message since it was posted.
func appendChanged(b []byte, e *chat.Event) []byte {
	b = append(b, `,"changed":`...)
	b = strconv.AppendUint(b, e.Changed, 10)
	b = append(b, `,"changed_at":"`...)
	b = appendTime(b, e.ChangedAt)
	b = append(b, '"')
	if e.Deleted {
		b = append(b, `,"deleted":true`...)
	}
	return b
}

// isClientNonce tells a nonce that a client gave from none and from one that
// a store gave itself, which begins with a space (store.Append).
func isClientNonce(n chat.Nonce) bool { return n != "" && n[0] != ' ' }

// appendUserEvent leaves data and the frame open.
func appendUserEvent(b []byte, typ string, e *chat.Event) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, typ...)
	b = append(b, `","room":`...)
	b = chat.AppendQuote(b, string(e.Room))
	b = append(b, `,"data":{`...)
	return appendUser(b, e.Actor)
}

func appendUser(b []byte, u chat.User) []byte {
	b = append(b, `"user_id":`...)
	b = appendID(b, string(u.ID))
	b = append(b, `,"username":`...)
	return chat.AppendQuote(b, u.Name)
}

// appendID appends an id as the prototype's fields have it: a canonical
// decimal integer as a number, anything else as a string (§4.1).
func appendID(b []byte, id string) []byte {
	if chat.IsCanonicalInteger(id) {
		return append(b, id...)
	}
	return chat.AppendQuote(b, id)
}

func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

func appendTag(b []byte, tag uint32) []byte {
	const hex = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hex[tag>>shift&15])
	}
	return b
}

var dataMember = []byte(`"data":`)

// messageData returns the data object inside the JSON of a message frame that
// AppendEvent made. Nothing before it can hold the word "data": a room id has
// no quotes.
func messageData(frame []byte) []byte {
	i := bytes.Index(frame, dataMember)
	return frame[i+len(dataMember) : len(frame)-1]
}
