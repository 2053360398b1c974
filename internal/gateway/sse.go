package gateway

import (
	"bytes"
	"strconv"
	"time"

	"tertulia/internal/session"
	"tertulia/wire"
)

// The text of a stream, docs/protocol.md §41.2: a block of lines for each
// frame, which an empty line ends.
//
//	event: message     the frame's type
//	data: {"type":…    the frame, which has no line breaks
//	id: AQEx…          the cursor after it, on what moves one
//
// A line that begins with a colon says nothing. The id comes last, so that a
// client who takes it at once has the frame.
const (
	heartbeat = ":\n\n"
	// returnAfter is how long a browser waits before it comes back by itself.
	returnAfter = 2 * time.Second
)

// streamFraming puts frames into a stream. There are no close codes there: one
// with which the client may come back is said by a frame, the others follow
// upon an error that says the same.
var streamFraming = session.Framing{
	Text: func(dst, json []byte) []byte { return appendBlock(dst, nil, json) },
	Close: func(dst []byte, code wire.CloseCode, reason string) []byte {
		if !code.Resumable() {
			return append(dst, heartbeat...)
		}
		return appendReconnect(dst, 0, code, reason)
	},
	Wraps: true,
}

// appendBlock appends a frame; id may be empty.
func appendBlock(dst, id, json []byte) []byte {
	dst = append(append(dst, "event: "...), typeOf(json)...)
	dst = append(append(dst, "\ndata: "...), json...)
	if len(id) > 0 {
		dst = append(append(dst, "\nid: "...), id...)
	}
	return append(dst, "\n\n"...)
}

// typeOf returns the type of a frame as package wire writes it.
func typeOf(json []byte) []byte {
	const before = `{"type":"`
	rest := json[min(len(before), len(json)):]
	return rest[:max(0, bytes.IndexByte(rest, '"'))]
}

func appendRetry(dst []byte, after time.Duration) []byte {
	dst = strconv.AppendInt(append(dst, "retry: "...), after.Milliseconds(), 10)
	return append(dst, '\n')
}

// appendReconnect appends the last frame of a stream whose client may come
// back, after a while if that is not zero.
func appendReconnect(dst []byte, after time.Duration, code wire.CloseCode, reason string) []byte {
	if after > 0 {
		dst = appendRetry(dst, after)
	}
	return appendBlock(dst, nil, wire.AppendStreamEnd(nil, after, code, reason))
}
