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

// AppendEvent appends the JSON of an event as every member of its room sees
// it, docs/protocol.md §4.3, §4.5, §4.6.
func AppendEvent(b []byte, e *chat.Event) []byte {
	switch e.Kind {
	case chat.KindMessage:
		return appendMessage(b, e)
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
	panic("wire: no frame for kind " + strconv.Itoa(int(e.Kind)))
}

func appendMessage(b []byte, e *chat.Event) []byte {
	b = append(b, `{"type":"message","room":`...)
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
	return append(b, "}}"...)
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
