package websocket

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// A frame on the wire (RFC 6455 §5.2). Frames from a client have MASK set and
// carry a masking key, frames from a server have neither. The length takes the
// shortest of the three forms.
//
//	 0               1               2
//	+-+-+-+-+-------+-+-------------+------------------+-----------+---------+
//	|F|R|R|R| opcode|M| length 0-125|  none, or 16 or  | mask key, | payload |
//	|I|S|S|S|  (4)  |A| 126: 16 bits|  64 bits of big- | 4 bytes   |         |
//	|N|V|V|V|       |S| 127: 64 bits|  endian length   | if M      |         |
//	+-+-+-+-+-------+-+-------------+------------------+-----------+---------+

// Opcode says what a frame, or the message that it makes up, is.
type Opcode byte

// The opcodes that the package hands out and takes (RFC 6455 §11.8).
const (
	Text  Opcode = 0x1
	Close Opcode = 0x8
	Ping  Opcode = 0x9
	Pong  Opcode = 0xA
)

// MaxControlBytes is the longest payload of a ping, pong or close frame
// (RFC 6455 §5.5).
const MaxControlBytes = 125

const (
	finBit  = 0x80
	maskBit = 0x80
	// len16 and len64 in the length field announce a longer form of it.
	len16 = 126
	len64 = 127
)

// AppendHeader appends the header of an unmasked, unfragmented frame with n
// bytes of payload.
func AppendHeader(dst []byte, op Opcode, n int) []byte {
	return appendHeader(dst, op, n, 0)
}

func appendHeader(dst []byte, op Opcode, n int, mask byte) []byte {
	dst = append(dst, finBit|byte(op))
	switch {
	case n < len16:
		return append(dst, mask|byte(n))
	case n <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, mask|len16), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, mask|len64), uint64(n))
	}
}

// AppendText appends a text frame from a server. The payload must be valid
// UTF-8, which is not checked.
func AppendText(dst, payload []byte) []byte {
	return append(AppendHeader(dst, Text, len(payload)), payload...)
}

// AppendPing appends a ping from a server; the payload is cut off after
// [MaxControlBytes].
func AppendPing(dst, payload []byte) []byte { return appendControl(dst, Ping, payload) }

// AppendPong appends the answer of a server to a ping with this payload,
// which is cut off after [MaxControlBytes].
func AppendPong(dst, payload []byte) []byte { return appendControl(dst, Pong, payload) }

func appendControl(dst []byte, op Opcode, payload []byte) []byte {
	payload = payload[:min(len(payload), MaxControlBytes)]
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendClose appends a close frame from a server. The reason is cut off at
// the last character that ends within 123 bytes. [CodeNone] makes a frame
// without code and reason, so that a close can be answered with its own code.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	reason = cutReason(reason)
	if code == CodeNone {
		return AppendHeader(dst, Close, 0)
	}
	dst = AppendHeader(dst, Close, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}

// ClosePayload returns the payload of a close frame, for [AppendMasked]. It
// follows the rules of [AppendClose].
func ClosePayload(code uint16, reason string) []byte {
	return AppendClose(nil, code, reason)[2:]
}

func cutReason(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= MaxControlBytes-2 {
		return reason
	}
	n := MaxControlBytes - 2
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

// AppendMasked appends an unfragmented frame from a client, masked with a key
// that cannot be foreseen (RFC 6455 §5.3). payload is left as it is; for a
// control frame it holds at most [MaxControlBytes].
func AppendMasked(dst []byte, op Opcode, payload []byte) []byte {
	key := ws.NewMask()
	dst = appendHeader(dst, op, len(payload), maskBit)
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], key, 0)
	return dst
}

// FrameEnd returns the first end of a frame at or after off, in a buffer of
// whole frames from a server. After a write that stopped at off, the bytes
// from off up to FrameEnd must follow before anything else; if off itself is
// between two frames, there are none.
func FrameEnd(b []byte, off int) int {
	end := 0
	for end < off {
		n, size := frameLength(b[end:])
		if size == 0 || n > uint64(len(b)-end-size) {
			return len(b)
		}
		end += size + int(n)
	}
	return end
}

// Payload returns what a whole frame from a server carries.
func Payload(frame []byte) []byte {
	_, size := frameLength(frame)
	return frame[size:]
}

// frameLength returns the payload length of the frame that b begins with and
// the size of its header without the masking key, 0 if b ends within it.
func frameLength(b []byte) (n uint64, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch n := b[1] &^ maskBit; {
	case n < len16:
		return uint64(n), 2
	case n == len16 && len(b) >= 4:
		return uint64(binary.BigEndian.Uint16(b[2:])), 4
	case n == len64 && len(b) >= 10:
		return binary.BigEndian.Uint64(b[2:]), 10
	}
	return 0, 0
}
