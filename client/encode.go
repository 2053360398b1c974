package client

import (
	"strconv"

	"tertulia/chat"
)

// Commands of v1 (docs/protocol.md §15). Texts are valid UTF-8.

func appendCommand(b []byte, typ, id string, room chat.RoomID) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, typ...)
	b = append(b, '"')
	if id != "" {
		b = appendText(b, "id", id)
	}
	if room != "" {
		b = appendText(b, "room", string(room))
	}
	return b
}

func appendName(b []byte, name string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	return append(b, `":`...)
}

func appendText(b []byte, name, s string) []byte { return chat.AppendQuote(appendName(b, name), s) }

func appendNumber(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(appendName(b, name), n, 10)
}

func appendBool(b []byte, name string, on bool) []byte {
	return strconv.AppendBool(appendName(b, name), on)
}

// appendSubscription appends one of the rooms of a subscribe.
func appendSubscription(b []byte, s *subscription) []byte {
	b = append(b, `{"room":`...)
	b = chat.AppendQuote(b, string(s.room))
	if s.cursor.Epoch != "" {
		b = appendText(b, "after", s.cursor.String())
	}
	if s.opt.history > 0 {
		b = appendNumber(b, "history", uint64(s.opt.history))
	}
	if s.opt.presence != "" {
		b = appendText(b, "presence", string(s.opt.presence))
	}
	if s.opt.receipts {
		b = appendBool(b, "receipts", true)
	}
	return append(b, '}')
}

func appendSubscribe(b []byte, id string, rooms []*subscription) []byte {
	b = append(appendCommand(b, "subscribe", id, ""), `,"rooms":[`...)
	for i, s := range rooms {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSubscription(b, s)
	}
	return append(b, `]}`...)
}

func appendUnsubscribe(b []byte, id string, room chat.RoomID) []byte {
	b = append(appendCommand(b, "unsubscribe", id, ""), `,"rooms":[`...)
	return append(chat.AppendQuote(b, string(room)), `]}`...)
}

// appendOutgoing appends a message, edit or delete.
func appendOutgoing(b []byte, o *Outgoing, id string) []byte {
	b = appendCommand(b, o.kind.command(), id, o.room)
	if o.kind != kindPost {
		b = appendNumber(b, "message_id", uint64(o.target))
	}
	b = appendText(b, "nonce", string(o.nonce))
	switch {
	case o.kind != kindDelete:
		b = appendText(b, "content", o.text)
	case o.text != "":
		b = appendText(b, "reason", o.text)
	}
	if o.ifChanged != nil {
		b = appendNumber(b, "if_changed", *o.ifChanged)
	}
	return append(b, '}')
}

func appendTyping(b []byte, room chat.RoomID, on bool) []byte {
	return append(appendBool(appendCommand(b, "typing", "", room), "is_typing", on), '}')
}

func appendHistory(b []byte, id string, room chat.RoomID, q HistoryQuery) []byte {
	b = appendCommand(b, "history", id, room)
	switch {
	case q.around > 0:
		b = appendNumber(b, "around", q.around)
	case q.before > 0:
		b = appendNumber(b, "before", q.before)
	case q.forward:
		b = appendNumber(b, "after", q.after)
	}
	if q.limit > 0 {
		b = appendNumber(b, "limit", uint64(q.limit))
	}
	if q.messages {
		b = appendText(b, "only", "messages")
	}
	return append(b, '}')
}
