//go:build linux

package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Opcodes, RFC 6455 §5.2.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// maxServerFrame is the largest frame of a server, protocol.md §9.
const maxServerFrame = 256 << 10

// clientFrame builds one masked frame of up to 64 KiB.
func clientFrame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	if n := len(payload); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// messageFrame builds the command that posts size bytes of text.
func messageFrame(size int) []byte {
	return clientFrame(opText, []byte(`{"type":"message","content":"`+words(size)+`"}`))
}

// roomMessageFrame is messageFrame of a connection that has no room of its own;
// such messages need a nonce, which is number n.
func roomMessageFrame(room string, n, size int) []byte {
	return clientFrame(opText, fmt.Appendf(nil, `{"type":"message","room":"%s","nonce":"%08d","content":"%s"}`, room, n, words(size)))
}

// noncedMessageFrame is messageFrame with the nonce n.
func noncedMessageFrame(n uint64, size int) []byte {
	return clientFrame(opText, fmt.Appendf(nil, `{"type":"message","nonce":"%08d","content":"%s"}`, n, words(size)))
}

func words(size int) string {
	const text = "the quick brown fox jumps over the lazy dog "
	return strings.Repeat(text, size/len(text)+1)[:size]
}

// nextFrame takes the first frame off b. If b ends within it, op is 0 and rest
// is b. An error is about a frame that no server of this protocol sends:
// fragmented, masked, or too large.
func nextFrame(b []byte) (op byte, payload, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, b, nil
	}
	if b[0]&0xF0 != 0x80 || b[1]&0x80 != 0 {
		return 0, nil, b, fmt.Errorf("frame header % x: want an unfragmented, unmasked frame", b[:2])
	}
	n, head := int(b[1]), 2
	switch {
	case n == 126 && len(b) >= 4:
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case n == 127 && len(b) >= 10:
		long := binary.BigEndian.Uint64(b[2:])
		if long > maxServerFrame {
			return 0, nil, b, fmt.Errorf("frame of %d bytes: a server's frame has at most %d", long, maxServerFrame)
		}
		n, head = int(long), 10
	case n >= 126:
		return 0, nil, b, nil
	}
	if len(b) < head+n {
		return 0, nil, b, nil
	}
	return b[0] & 0xF, b[head : head+n], b[head+n:], nil
}

// kind is the type of a server's event, as far as the generator cares.
type kind uint8

const (
	kindOther kind = iota // such as user_joined, typing, pong
	kindConnected
	kindHello
	kindMessage
	kindSent
	kindError
	// Of the profile v1.
	kindSubscribed
	kindCaughtUp
	kindReconnect
	kindPresence
)

var (
	typeMember    = []byte(`"type":"`)
	seqMember     = []byte(`"seq":`)
	headMember    = []byte(`"head":`)
	createdMember = []byte(`"created_at":`)
	epochMember   = []byte(`"epoch":"`)
	tagMember     = []byte(`"tag":"`)
	cursorMember  = []byte(`"cursor":"`)
	afterMember   = []byte(`"after_ms":`)
	retryMember   = []byte(`"retry_after_ms":`)
)

// kindOf finds the type of an event. No text that a user wrote can hold the
// bytes that are searched for, because its quotes are escaped.
func kindOf(event []byte) kind {
	i := bytes.Index(event, typeMember)
	if i < 0 {
		return kindOther
	}
	name := event[i+len(typeMember):]
	switch string(name[:max(bytes.IndexByte(name, '"'), 0)]) { // no allocation
	case "message":
		return kindMessage
	case "message_sent":
		return kindSent
	case "connected":
		return kindConnected
	case "hello":
		return kindHello
	case "error":
		return kindError
	case "subscribed":
		return kindSubscribed
	case "caught_up":
		return kindCaughtUp
	case "reconnect":
		return kindReconnect
	case "presence_diff":
		return kindPresence
	}
	return kindOther
}

// numberAfter reads the digits after the first occurrence of member.
func numberAfter(event, member []byte) (n uint64, ok bool) {
	i := bytes.Index(event, member)
	if i < 0 {
		return 0, false
	}
	for _, c := range event[i+len(member):] {
		if c < '0' || c > '9' {
			break
		}
		n, ok = n*10+uint64(c-'0'), true
	}
	return n, ok
}

// textAfter reads up to the quote after the first occurrence of member; nil if
// there is none.
func textAfter(event, member []byte) []byte {
	i := bytes.Index(event, member)
	if i < 0 {
		return nil
	}
	text := event[i+len(member):]
	return text[:max(bytes.IndexByte(text, '"'), 0)]
}
