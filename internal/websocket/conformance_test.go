package websocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// testKey masks the frames of tests. It is fixed, so that failures repeat.
var testKey = [4]byte{0x37, 0xFA, 0x21, 0x3D} // from RFC 6455 §5.7

// masked returns a client's frame with the first byte b0 (FIN, RSV, opcode)
// and the shortest form of the length.
func masked(b0 byte, payload string) string {
	b := appendHeader(nil, 0, len(payload), maskBit)
	b[0] = b0
	b = append(b, testKey[:]...)
	n := len(b)
	b = append(b, payload...)
	ws.Cipher(b[n:], testKey, 0)
	return string(b)
}

func text(payload string) string { return masked(0x81, payload) }
func blob(payload string) string { return masked(0x82, payload) }
func ping(payload string) string { return masked(0x89, payload) }
func pong(payload string) string { return masked(0x8A, payload) }

// first, more and last are the fragments of a text.
func first(payload string) string { return masked(0x01, payload) }
func more(payload string) string  { return masked(0x00, payload) }
func last(payload string) string  { return masked(0x80, payload) }

func closing(code uint16, reason string) string {
	return masked(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// fragmented cuts a text into frames of size bytes.
func fragmented(payload string, size int) string {
	var b strings.Builder
	b0 := byte(0x01)
	for len(payload) > size {
		b.WriteString(masked(b0, payload[:size]))
		payload, b0 = payload[size:], 0x00
	}
	b.WriteString(masked(b0|0x80, payload))
	return b.String()
}

// A conformance case is what a client sends and what an echoing server
// answers. Numbers are those of the Autobahn test suite, whose binary messages
// are refused here and whose limits are ours.
type conformanceCase struct {
	name string
	in   string
	// echo is the answers before the last one, as describe writes them.
	echo []string
	// code is the server's close code. 0 means that the case ends with a
	// close by the client, code 1000, which the server answers alike.
	code   uint16
	limits Limits
	// chop is the size of the writes in the chopped run; 0 means 1.
	chop int
}

const hello = "Hello, world!"

var conformanceCases = append([]conformanceCase{
	{name: "1.1.1 empty text", in: text(""), echo: []string{"text "}},
	{name: "1.1.2 text of 125", in: text(stars(125)), echo: []string{"text " + stars(125)}},
	{name: "1.1.3 text of 126", in: text(stars(126)), echo: []string{"text " + stars(126)}},
	{name: "1.1.4 text of 127", in: text(stars(127)), echo: []string{"text " + stars(127)}},
	{name: "1.1.5 text of 128", in: text(stars(128)), echo: []string{"text " + stars(128)}},
	{name: "1.1.6 text of 65535", in: text(stars(65535)), echo: []string{"text " + stars(65535)}},
	{name: "1.1.7 text of 65536", in: text(stars(65536)), echo: []string{"text " + stars(65536)}},
	{name: "1.1.8 text of 65536 in chops", in: text(stars(65536)), echo: []string{"text " + stars(65536)}, chop: 997},
	{name: "1.2.1 empty binary", in: blob(""), code: 1003},
	{name: "1.2.2 binary of 125", in: blob(strings.Repeat("\xFE", 125)), code: 1003},
	{name: "1.2.7 binary of 65536", in: blob(strings.Repeat("\xFE", 65536)), code: 1003, chop: 997},

	{name: "2.1 empty ping", in: ping(""), echo: []string{"pong "}},
	{name: "2.2 ping with text", in: ping(hello), echo: []string{"pong " + hello}},
	{name: "2.3 ping with bytes", in: ping("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"), echo: []string{"pong \x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"}},
	{name: "2.4 ping of 125", in: ping(strings.Repeat("\xFE", 125)), echo: []string{"pong " + strings.Repeat("\xFE", 125)}},
	{name: "2.5 ping of 126", in: ping(strings.Repeat("\xFE", 126)), code: 1002},
	{name: "2.6 ping of 125 in chops", in: ping(strings.Repeat("\xFE", 125)), echo: []string{"pong " + strings.Repeat("\xFE", 125)}},
	{name: "2.7 unasked empty pong", in: pong("")},
	{name: "2.8 unasked pong", in: pong("unsolicited pong payload")},
	{name: "2.9 unasked pong, then ping", in: pong("unsolicited pong payload") + ping("ping payload"), echo: []string{"pong ping payload"}},
	{name: "2.10 ten pings", in: tenPings, echo: tenPongs},
	{name: "2.11 ten pings in chops", in: tenPings, echo: tenPongs},

	{name: "3.1 RSV 1", in: masked(0x91, hello), code: 1002},
	{name: "3.2 RSV 2 after a text", in: text(hello) + masked(0xA1, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "3.3 RSV 3 after a text", in: text(hello) + masked(0xB1, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "3.4 RSV 4 after a text", in: text(hello) + masked(0xC1, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "3.5 binary with RSV 5", in: masked(0xD2, "\x00\xFF\xFE"), code: 1002},
	{name: "3.6 ping with RSV 6", in: masked(0xE9, hello), code: 1002},
	{name: "3.7 close with RSV 7", in: masked(0xF8, ""), code: 1002},

	{name: "4.1.1 opcode 3", in: masked(0x83, ""), code: 1002},
	{name: "4.1.2 opcode 4", in: masked(0x84, "reserved opcode payload"), code: 1002},
	{name: "4.1.3 opcode 5 after a text", in: text(hello) + masked(0x85, "") + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "4.1.4 opcode 6 after a text", in: text(hello) + masked(0x86, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "4.1.5 opcode 7 after a text", in: text(hello) + masked(0x87, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "4.2.1 opcode 11", in: masked(0x8B, ""), code: 1002},
	{name: "4.2.2 opcode 12", in: masked(0x8C, "reserved opcode payload"), code: 1002},
	{name: "4.2.3 opcode 13 after a text", in: text(hello) + masked(0x8D, "") + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "4.2.4 opcode 14 after a text", in: text(hello) + masked(0x8E, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},
	{name: "4.2.5 opcode 15 after a text", in: text(hello) + masked(0x8F, hello) + ping(""), echo: []string{"text " + hello}, code: 1002},

	{name: "5.1 fragmented ping", in: masked(0x09, "fragment1") + last("fragment2"), code: 1002},
	{name: "5.2 fragmented pong", in: masked(0x0A, "fragment1") + last("fragment2"), code: 1002},
	{name: "5.3 two fragments", in: first("fragment1") + last("fragment2"), echo: []string{"text fragment1fragment2"}},
	{name: "5.4 two fragments, frame by frame", in: first("fragment1") + last("fragment2"), echo: []string{"text fragment1fragment2"}, chop: len(first("fragment1"))},
	{name: "5.6 ping between fragments", in: first("fragment1") + ping("ping payload") + last("fragment2"), echo: []string{"pong ping payload", "text fragment1fragment2"}},
	{name: "5.9 nothing to continue, FIN", in: last("non-continuation payload") + text(hello), code: 1002},
	{name: "5.12 nothing to continue", in: more("non-continuation payload") + text(hello), code: 1002},
	{name: "5.15 nothing left to continue", in: first("fragment1") + last("fragment2") + more("fragment3") + text("fragment4"), echo: []string{"text fragment1fragment2"}, code: 1002},
	{name: "5.16 continuation first", in: more("fragment1") + first("fragment2") + last("fragment3"), code: 1002},
	{name: "5.17 continuation with FIN first", in: last("fragment1") + first("fragment2") + last("fragment3"), code: 1002},
	{name: "5.18 text within a text", in: first("fragment1") + text("fragment2"), code: 1002},
	{name: "5.18 binary within a text", in: first("fragment1") + blob("fragment2"), code: 1002},
	{name: "5.19 five fragments, two pings", in: first("fragment1") + more("fragment2") + ping("pongme 1!") + more("fragment3") + more("fragment4") + ping("pongme 2!") + last("fragment5"),
		echo: []string{"pong pongme 1!", "pong pongme 2!", "text fragment1fragment2fragment3fragment4fragment5"}},

	{name: "6.1.1 empty text", in: text(""), echo: []string{"text "}},
	{name: "6.1.2 three empty fragments", in: first("") + more("") + last(""), echo: []string{"text "}},
	{name: "6.1.3 one of three not empty", in: first("") + more("middle frame payload") + last(""), echo: []string{"text middle frame payload"}},
	{name: "6.2.1 UTF-8", in: text(utf8Text), echo: []string{"text " + utf8Text}},
	{name: "6.2.2 UTF-8, cut between characters", in: first(utf8Text[:13]) + last(utf8Text[13:]), echo: []string{"text " + utf8Text}},
	{name: "6.2.3 UTF-8, cut everywhere", in: fragmented(utf8Text, 1), echo: []string{"text " + utf8Text}},
	{name: "6.2.4 Greek, cut everywhere", in: fragmented(kosme, 1), echo: []string{"text " + kosme}},
	{name: "6.3.1 surrogate", in: text(kosme + "\xED\xA0\x80" + "edited"), code: 1007},
	{name: "6.3.2 surrogate, cut everywhere", in: fragmented(kosme+"\xED\xA0\x80"+"edited", 1), code: 1007},
	// The rest of the 6.4 messages is never sent: they must fail early.
	{name: "6.4.1 fails in the second fragment", in: first(kosme) + more("\xF4\x90\x80\x80"), code: 1007},
	{name: "6.4.2 fails at the octet", in: first(kosme+"\xF4") + more("\x90"), code: 1007},
	{name: "6.4.3 fails within the frame", in: cut(text(kosme+"\xF4\x90\x80\x80"+"edited"), 6), code: 1007},
	{name: "6.4.4 fails at the octet within the frame", in: cut(text(kosme+"\xF4\x90\x80\x80"+"edited"), 8), code: 1007},

	{name: "7.1.1 text, then close", in: text("Hello World!"), echo: []string{"text Hello World!"}},
	{name: "7.1.2 two closes", in: closing(1000, "") + masked(0x88, ""), code: 1000},
	{name: "7.1.3 ping after close", in: closing(1000, "") + ping(""), code: 1000},
	{name: "7.1.4 text after close", in: closing(1000, "") + text("Hello World!"), code: 1000},
	{name: "7.1.5 close between fragments", in: first("fragment1") + closing(1000, "") + last("fragment2"), code: 1000},
	{name: "7.1.6 text of 256 KiB, text, close, ping", in: text(stars(256<<10)) + text("Hello World!") + closing(1000, "") + ping(""),
		echo: []string{"text " + stars(256<<10), "text Hello World!"}, code: 1000, limits: Limits{MaxMessageBytes: 1 << 20}, chop: 997},
	{name: "7.3.1 close without payload", in: masked(0x88, ""), code: CodeNone},
	{name: "7.3.2 close of one byte", in: masked(0x88, "a"), code: 1002},
	{name: "7.3.3 close with code", in: closing(1000, ""), code: 1000},
	{name: "7.3.4 close with reason", in: closing(1000, "Hello World!"), code: 1000},
	{name: "7.3.5 close with the longest reason", in: closing(1000, stars(123)), code: 1000},
	{name: "7.3.6 close of 126 bytes", in: closing(1000, stars(124)), code: 1002},
	{name: "7.5.1 close with invalid UTF-8", in: closing(1000, kosme+"\xED\xA0\x80"+"edited"), code: 1007},
	{name: "7.13.1 close code 5000", in: closing(5000, ""), code: 1002},
	{name: "7.13.2 close code 65535", in: closing(65535, ""), code: 1002},

	{name: "9.1.1 text of 64 KiB", in: text(stars(64 << 10)), echo: []string{"text " + stars(64<<10)}, chop: 997},
	{name: "9.1.2 text of 256 KiB over the limit", in: text(stars(256 << 10)), code: 1009, chop: 997},
	{name: "9.1.2 text of 256 KiB within the limit", in: text(stars(256 << 10)), echo: []string{"text " + stars(256<<10)}, limits: Limits{MaxMessageBytes: 256 << 10}, chop: 997},
	{name: "9.1.4 text of 4 MiB", in: text(stars(4 << 20)), echo: []string{"text " + stars(4<<20)}, limits: Limits{MaxMessageBytes: 4 << 20}, chop: 64 << 10},
	{name: "9.1.6 text of 16 MiB, header only", in: text(stars(16 << 20))[:14], code: 1009},
	{name: "9.3.1 4 MiB in fragments of 64", in: fragmented(stars(4<<20), 64), echo: []string{"text " + stars(4<<20)}, limits: Limits{MaxMessageBytes: 4 << 20, MaxFragments: -1}, chop: 64 << 10},
	{name: "9.3.1 too many fragments", in: fragmented(stars(65), 1), code: 1008},
	{name: "9.3.1 as many fragments as allowed", in: fragmented(stars(64), 1), echo: []string{"text " + stars(64)}},
	{name: "9.3.5 4 MiB in fragments of 16 KiB over the limit", in: fragmented(stars(4<<20), 16<<10), code: 1009, chop: 997},
	{name: "9.5.1 1 MiB in chops of 64", in: text(stars(1 << 20)), echo: []string{"text " + stars(1<<20)}, limits: Limits{MaxMessageBytes: 1 << 20}, chop: 64},
	{name: "9.5.6 1 MiB in chops of 2048", in: text(stars(1 << 20)), echo: []string{"text " + stars(1<<20)}, limits: Limits{MaxMessageBytes: 1 << 20}, chop: 2048},
	{name: "9.7.1 a thousand empty texts", in: strings.Repeat(text(""), 1000), echo: repeat("text ", 1000)},
	{name: "9.7.4 a thousand texts of 256", in: strings.Repeat(text(stars(256)), 1000), echo: repeat("text "+stars(256), 1000), chop: 997},
	{name: "10.1.1 65536 in fragments of 1300", in: fragmented(stars(65536), 1300), echo: []string{"text " + stars(65536)}, chop: 997},

	// What Autobahn does not ask.
	{name: "unmasked text", in: "\x81\x05Hello", code: 1002},
	{name: "unmasked ping", in: "\x89\x00", code: 1002},
	{name: "masked with zeros", in: "\x81\x85\x00\x00\x00\x00Hello", echo: []string{"text Hello"}},
	{name: "RFC 6455 §5.7 masked Hello", in: "\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58", echo: []string{"text Hello"}},
	{name: "length 0 in 16 bits", in: "\x81\xFE\x00\x00" + string(testKey[:]), code: 1002},
	{name: "length 125 in 16 bits", in: "\x81\xFE\x00\x7D" + string(testKey[:]), code: 1002},
	{name: "length 5 in 64 bits", in: "\x81\xFF\x00\x00\x00\x00\x00\x00\x00\x05" + string(testKey[:]), code: 1002},
	{name: "length 65535 in 64 bits", in: "\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF" + string(testKey[:]), code: 1002},
	{name: "64-bit length with the first bit", in: "\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x05" + string(testKey[:]), code: 1002},
	{name: "64-bit length of all ones", in: "\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + string(testKey[:]), code: 1002},
	{name: "2^63-1 declared", in: "\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + string(testKey[:]), code: 1009},
	{name: "10 MB declared", in: "\x81\xFF\x00\x00\x00\x00\x00\x98\x96\x80" + string(testKey[:]), code: 1009},
	{name: "65537 declared", in: "\x81\xFF\x00\x00\x00\x00\x00\x01\x00\x01" + string(testKey[:]), code: 1009},
	{name: "2^63-1 declared in a ping", in: "\x89\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + string(testKey[:]), code: 1002},
	{name: "2^63-1 declared in a later fragment", in: first("a") + "\x80\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + string(testKey[:]), code: 1009},
	{name: "fragments one byte over the limit", in: first(stars(40000)) + last(stars(25537))[:8], code: 1009, chop: 997},
	{name: "fragments exactly at the limit", in: first(stars(40000)) + last(stars(25536)), echo: []string{"text " + stars(65536)}, chop: 997},
	{name: "65 empty fragments", in: first("") + strings.Repeat(more(""), 64), code: 1008},
	{name: "fragmented binary", in: masked(0x02, "a"), code: 1003},
	{name: "text that ends within a character", in: text("\xE2\x82"), code: 1007},
	{name: "41 pings at once", in: strings.Repeat(ping(""), 41), echo: repeat("pong ", 40), code: 1008},
	{name: "41 pongs at once", in: strings.Repeat(pong(""), 41), code: 1008},
	{name: "100 pings without a limit", in: strings.Repeat(ping(""), 100), echo: repeat("pong ", 100), limits: Limits{ControlPerSecond: -1}},
	{name: "a burst of sixteen", in: strings.Repeat(text(stars(200)), 16), echo: repeat("text "+stars(200), 16)},
	{name: "sizes about the buffer's", in: text(stars(504)) + text(stars(505)) + text(stars(512)) + text(stars(1016)) + text(stars(2048)),
		echo: []string{"text " + stars(504), "text " + stars(505), "text " + stars(512), "text " + stars(1016), "text " + stars(2048)}},
}, append(utf8Cases(), closeCodeCases()...)...)

const (
	kosme    = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5"
	utf8Text = "Hello-µ@ßöäüàá-UTF-8!!"
)

var tenPings, tenPongs = func() (in string, echo []string) {
	for i := range 10 {
		in += ping(fmt.Sprint("payload-", i))
		echo = append(echo, fmt.Sprint("pong payload-", i))
	}
	return in, echo
}()

func stars(n int) string { return strings.Repeat("*", n) }

func cut(s string, n int) string { return s[:len(s)-n] }

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// closeCodeCases are Autobahn's 7.7 (codes that may travel) and 7.9 (codes
// that may not), and the registered codes that it has not.
func closeCodeCases() []conformanceCase {
	var cases []conformanceCase
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014} {
		cases = append(cases, conformanceCase{name: fmt.Sprintf("7.7.%d code %d", i+1, code), in: closing(code, ""), code: code})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 1015} {
		cases = append(cases, conformanceCase{name: fmt.Sprintf("7.9.%d code %d", i+1, code), in: closing(code, ""), code: 1002})
	}
	return cases
}

// A utf8Group is one of Autobahn's groups 6.5 to 6.23, whose strings are those
// of Markus Kuhn's UTF-8 decoder stress test.
type utf8Group struct {
	name     string
	good, no []string
}

var utf8Groups = []utf8Group{
	{name: "6.5 valid", good: []string{"hello\x24world", "hello\xC2\xA2world", "hello\xE2\x82\xACworld", "hello\xF0\xA4\xAD\xA2world", kosme}},
	{name: "6.6 prefixes", good: []string{kosme[:2], kosme[:5], kosme[:7], kosme[:9], kosme}, no: []string{kosme[:1], kosme[:3], kosme[:4], kosme[:6], kosme[:8], kosme[:10]}},
	{name: "6.7 first of each length", good: []string{"\x00", "\xC2\x80", "\xE0\xA0\x80", "\xF0\x90\x80\x80"}},
	{name: "6.8 first of five and six", no: []string{"\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80"}},
	{name: "6.9 last of each length", good: []string{"\x7F", "\xDF\xBF", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"}},
	{name: "6.10 last of four, five and six", no: []string{"\xF7\xBF\xBF\xBF", "\xFB\xBF\xBF\xBF\xBF", "\xFD\xBF\xBF\xBF\xBF\xBF"}},
	{name: "6.11 other boundaries", good: []string{"\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBD", "\xF4\x8F\xBF\xBF"}, no: []string{"\xF4\x90\x80\x80"}},
	{name: "6.12 unexpected continuation", no: []string{"\x80", "\xBF", "\x80\xBF", "\x80\xBF\x80", "\x80\xBF\x80\xBF", "\x80\xBF\x80\xBF\x80", "\x80\xBF\x80\xBF\x80\xBF", byteRange(0x80, 0xBE, "")}},
	{name: "6.13 lonely start", no: []string{byteRange(0xC0, 0xDE, " "), byteRange(0xE0, 0xEE, " "), byteRange(0xF0, 0xF6, " "), byteRange(0xF8, 0xFA, " "), byteRange(0xFC, 0xFC, " ")}},
	{name: "6.14 last byte missing", no: incomplete},
	{name: "6.15 incomplete ones in a row", no: []string{strings.Join(incomplete, "")}},
	{name: "6.16 impossible bytes", no: []string{"\xFE", "\xFF", "\xFE\xFE\xFF\xFF"}},
	{name: "6.17 overlong slash", no: []string{"\xC0\xAF", "\xE0\x80\xAF", "\xF0\x80\x80\xAF", "\xF8\x80\x80\x80\xAF", "\xFC\x80\x80\x80\x80\xAF"}},
	{name: "6.18 longest overlong", no: []string{"\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xF8\x87\xBF\xBF\xBF", "\xFC\x83\xBF\xBF\xBF\xBF"}},
	{name: "6.19 overlong NUL", no: []string{"\xC0\x80", "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xF8\x80\x80\x80\x80", "\xFC\x80\x80\x80\x80\x80"}},
	{name: "6.20 single surrogates", no: []string{"\xED\xA0\x80", "\xED\xAD\xBF", "\xED\xAE\x80", "\xED\xAF\xBF", "\xED\xB0\x80", "\xED\xBE\x80", "\xED\xBF\xBF"}},
	{name: "6.21 paired surrogates", no: []string{"\xED\xA0\x80\xED\xB0\x80", "\xED\xA0\x80\xED\xBF\xBF", "\xED\xAD\xBF\xED\xB0\x80", "\xED\xAD\xBF\xED\xBF\xBF",
		"\xED\xAE\x80\xED\xB0\x80", "\xED\xAE\x80\xED\xBF\xBF", "\xED\xAF\xBF\xED\xB0\x80", "\xED\xAF\xBF\xED\xBF\xBF"}},
	{name: "6.22 non-characters", good: nonCharacters()},
	{name: "6.23 specials", good: []string{"\uFFF9", "\uFFFA", "\uFFFB", "\uFFFC", "\uFFFD", "\uFFFE", "\uFFFF"}},
}

var incomplete = []string{"\xC0", "\xE0\x80", "\xF0\x80\x80", "\xF8\x80\x80\x80", "\xFC\x80\x80\x80\x80", "\xDF", "\xEF\xBF", "\xF7\xBF\xBF", "\xFB\xBF\xBF\xBF", "\xFD\xBF\xBF\xBF\xBF"}

// byteRange returns the bytes from lo to hi, each followed by after.
func byteRange(lo, hi int, after string) string {
	var b strings.Builder
	for c := lo; c <= hi; c++ {
		b.WriteByte(byte(c))
		b.WriteString(after)
	}
	return b.String()
}

// nonCharacters are U+FFFE and U+FFFF and their like on all planes.
func nonCharacters() []string {
	var all []string
	for plane := range rune(17) {
		all = append(all, string(plane<<16|0xFFFE), string(plane<<16|0xFFFF))
	}
	return all
}

func utf8Cases() []conformanceCase {
	var cases []conformanceCase
	for _, g := range utf8Groups {
		for i, s := range g.good {
			cases = append(cases,
				conformanceCase{name: fmt.Sprintf("%s, good %d", g.name, i+1), in: text(s), echo: []string{"text " + s}},
				conformanceCase{name: fmt.Sprintf("%s, good %d, cut everywhere", g.name, i+1), in: fragmented(s, 1), echo: []string{"text " + s}})
		}
		for i, s := range g.no {
			cases = append(cases,
				conformanceCase{name: fmt.Sprintf("%s, bad %d", g.name, i+1), in: text(s), code: 1007},
				conformanceCase{name: fmt.Sprintf("%s, bad %d, cut everywhere", g.name, i+1), in: fragmented(s, 1), code: 1007})
		}
	}
	return cases
}

func TestConformance(t *testing.T) {
	for _, c := range conformanceCases {
		t.Run(c.name, func(t *testing.T) {
			t.Run("chopped", func(t *testing.T) {
				client, server := net.Pipe()
				c.run(t, client, server, max(c.chop, 1))
			})
			t.Run("one write", func(t *testing.T) {
				client, server := loopback(t)
				c.run(t, client, server, 64<<20)
			})
		})
	}
}

// run plays a case over a connection, writing chop bytes at a time.
func (c conformanceCase) run(t *testing.T, client, server net.Conn, chop int) {
	defer client.Close()
	in, code := c.in, c.code
	if code == 0 {
		in, code = in+closing(1000, ""), 1000
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		echo(server, c.limits)
	}()
	defer func() { client.Close(); <-served }()

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for len(in) > 0 {
			n, err := client.Write([]byte(in[:min(chop, len(in))]))
			if err != nil {
				return // refused before it was all sent
			}
			in = in[n:]
		}
	}()
	defer func() { client.Close(); <-sent }()

	client.SetReadDeadline(time.Now().Add(30 * time.Second))
	answers := NewReader(noDeadline{client}, nil, Client, Limits{MaxMessageBytes: -1, ControlPerSecond: -1})
	for i, want := range append(c.echo, fmt.Sprint("close ", code)) {
		msg, err := answers.Next()
		if err != nil {
			t.Fatalf("answer %d: Next() = %v, want %.60q", i, err, want)
		}
		if got := describe(msg); got != want {
			t.Fatalf("answer %d = %.60q, want %.60q", i, got, want)
		}
	}
}

// noDeadline hides everything but Read.
type noDeadline struct{ io.Reader }

func describe(m Message) string {
	switch m.Op {
	case Text:
		return "text " + string(m.Payload)
	case Ping:
		return "ping " + string(m.Payload)
	case Pong:
		return "pong " + string(m.Payload)
	case Close:
		return fmt.Sprint("close ", m.Code)
	}
	return fmt.Sprint("opcode ", m.Op)
}

// echo serves one connection the way every server does: texts come back, pings
// and closes are answered, faults are answered with their code.
func echo(conn net.Conn, limits Limits) {
	defer conn.Close()
	r := NewReader(conn, nil, Server, limits)
	var out []byte
	for {
		msg, err := r.Next()
		fault, isFault := errors.AsType[*CloseError](err)
		switch out = out[:0]; {
		case isFault:
			out = AppendClose(out, fault.Code, fault.Reason)
		case err != nil:
			return
		case msg.Op == Text:
			out = AppendText(out, msg.Payload)
		case msg.Op == Ping:
			out = AppendPong(out, msg.Payload)
		case msg.Op == Close:
			out = AppendClose(out, msg.Code, "")
		default:
			continue
		}
		if _, werr := conn.Write(out); werr != nil {
			return
		}
		if isFault || msg.Op == Close {
			io.Copy(io.Discard, conn) // or the close could be lost to a TCP reset
			return
		}
	}
}

// loopback returns the two ends of a TCP connection.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}
