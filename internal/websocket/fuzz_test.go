package websocket

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fuzzLimits are small, so that inputs of fuzzing size meet them.
var fuzzLimits = Limits{MaxMessageBytes: 3000, MaxFragments: 5, ControlPerSecond: -1}

// FuzzReader holds the reader against reference, on any stream in any chops,
// the first of which is what came early.
func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream, chops []byte, client bool) {
		side := Server
		if client {
			side = Client
		}
		wants := reference(stream, side, fuzzLimits)

		sizes := []int{len(stream) + 1}
		early := 0
		if len(chops) > 0 {
			sizes = sizes[:0]
			for _, c := range chops {
				sizes = append(sizes, 1+int(c)*int(c)/16)
			}
			early = min(sizes[0], len(stream))
		}
		src := &watcher{src: &chopper{s: string(stream[early:]), sizes: sizes}, fed: early}
		src.r = NewReader(src, stream[:early], side, fuzzLimits)
		for i, want := range wants {
			buffered, reads := src.r.Buffered(), src.reads
			msg, err := src.r.Next()
			if got := outcome(msg, err); got != want {
				t.Fatalf("outcome %d = %q, want %q", i, got, want)
			}
			if buffered && src.reads > reads {
				t.Fatalf("outcome %d took %d reads although it was buffered", i, src.reads-reads)
			}
		}
		if msg, err := src.r.Next(); err == nil || src.r.lent != nil {
			t.Errorf("after the end Next() = %+v, %v with %v lent, want an error and nothing", msg, err, src.r.lent)
		}
		if src.mostBytes > burstBytes {
			t.Errorf("held %d bytes too many", src.mostBytes)
		}
	})
}

// outcome writes a result of Next as reference does.
func outcome(msg Message, err error) string {
	fault, isFault := errors.AsType[*CloseError](err)
	switch {
	case isFault:
		return fmt.Sprint("fault ", fault.Code)
	case err != nil:
		return err.Error()
	case msg.Op == Close:
		return fmt.Sprintf("close %d %q", msg.Code, msg.Payload)
	}
	return describe(msg)
}

// reference is RFC 6455 §5 read aloud: it takes a stream byte by byte and
// returns the outcomes of Next, the last of which is the end.
func reference(stream []byte, side Side, limits Limits) []string {
	ref := &referee{stream: stream, side: side, limits: limits}
	for {
		if len(ref.stream) == 0 && ref.fragments == 0 {
			return append(ref.outcomes, "EOF")
		}
		if end := ref.frame(); end != "" {
			return append(ref.outcomes, end)
		}
	}
}

type referee struct {
	side   Side
	limits Limits

	stream    []byte // not yet taken
	message   []byte // under way
	half      []byte // a character of it that is not yet whole
	fragments int    // of message so far, 0 between messages
	outcomes  []string
}

// take takes n bytes, or what there is; then the stream has ended too early.
func (ref *referee) take(n int) (b []byte, cut bool) {
	n, cut = min(n, len(ref.stream)), n > len(ref.stream)
	b, ref.stream = ref.stream[:n], ref.stream[n:]
	return b, cut
}

const cutOff = "unexpected EOF"

// frame takes one frame and returns how the stream ends with it, if it does.
func (ref *referee) frame() (end string) {
	b, cut := ref.take(2)
	if cut {
		return cutOff
	}
	fin, rsv, opcode := b[0]/128 == 1, b[0]/16%8, b[0]%16
	masked, length := b[1]/128 == 1, uint64(b[1]%128)
	if length == 126 {
		if b, cut = ref.take(2); cut {
			return cutOff
		}
		if length = uint64(binary.BigEndian.Uint16(b)); length < 126 {
			return "fault 1002"
		}
	} else if length == 127 {
		if b, cut = ref.take(8); cut {
			return cutOff
		}
		if length = binary.BigEndian.Uint64(b); length < 65536 || length >= 1<<63 {
			return "fault 1002"
		}
	}
	key := []byte{0, 0, 0, 0}
	if masked {
		if key, cut = ref.take(4); cut {
			return cutOff
		}
	}
	control := opcode >= 8
	switch {
	case rsv != 0,
		masked != (ref.side == Server),
		!slices.Contains([]byte{0, 1, 2, 8, 9, 10}, opcode),
		control && (!fin || length > 125),
		opcode == 0 && ref.fragments == 0,
		(opcode == 1 || opcode == 2) && ref.fragments > 0:
		return "fault 1002"
	case opcode == 2:
		return "fault 1003"
	case control:
		return ref.control(opcode, key, int(length))
	case length > uint64(ref.limits.MaxMessageBytes-len(ref.message)):
		return "fault 1009"
	}
	if ref.fragments++; ref.fragments > ref.limits.MaxFragments {
		return "fault 1008"
	}
	return ref.text(fin, key, int(length))
}

func (ref *referee) control(opcode byte, key []byte, length int) (end string) {
	b, cut := ref.take(length)
	if cut {
		return cutOff
	}
	payload := slices.Clone(b)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	switch opcode {
	case 9:
		ref.outcomes = append(ref.outcomes, "ping "+string(payload))
		return ""
	case 10:
		ref.outcomes = append(ref.outcomes, "pong "+string(payload))
		return ""
	}
	closed := referenceClose(payload)
	if strings.HasPrefix(closed, "fault") {
		return closed
	}
	ref.outcomes = append(ref.outcomes, closed)
	return "EOF"
}

func (ref *referee) text(fin bool, key []byte, length int) (end string) {
	for i := range length {
		b, cut := ref.take(1)
		if cut {
			return cutOff
		}
		c := b[0] ^ key[i%4]
		ref.message = append(ref.message, c)
		if ref.half = append(ref.half, c); utf8.Valid(ref.half) {
			ref.half = nil
		} else if !canBecomeValid(ref.half) {
			return "fault 1007"
		}
	}
	if !fin {
		return ""
	}
	if len(ref.half) > 0 {
		return "fault 1007"
	}
	ref.outcomes = append(ref.outcomes, "text "+string(ref.message))
	ref.message, ref.fragments = nil, 0
	return ""
}

func referenceClose(payload []byte) string {
	if len(payload) == 0 {
		return `close 1005 ""`
	}
	if len(payload) == 1 {
		return "fault 1002"
	}
	code := binary.BigEndian.Uint16(payload)
	if !slices.Contains(registered, code) && (code < 3000 || code > 4999) {
		return "fault 1002"
	}
	if !utf8.Valid(payload[2:]) {
		return "fault 1007"
	}
	return fmt.Sprintf("close %d %q", code, payload[2:])
}

// canBecomeValid reports whether some bytes after b make it valid UTF-8. If
// any do, then so do as many of the lowest or of the highest.
func canBecomeValid(b []byte) bool {
	for n := range 4 {
		for _, fill := range []string{"\x80", "\xBF"} {
			if utf8.Valid(append(slices.Clone(b), strings.Repeat(fill, n)...)) {
				return true
			}
		}
	}
	return false
}

// The reference itself is held against the conformance cases.
func TestReference(t *testing.T) {
	for _, c := range conformanceCases {
		if len(c.in) > 1<<20 {
			continue // slow, and like the smaller ones
		}
		limits := c.limits.withDefaults()
		if limits.MaxFragments < 0 || limits.ControlPerSecond == 20 && c.code == 1008 {
			continue // what the reference does not know
		}
		want := c.code
		in := c.in
		if want == 0 {
			in, want = in+closing(1000, ""), 1000
		}
		outcomes := reference([]byte(in), Server, limits)
		end := outcomes[len(outcomes)-1]
		if end == "EOF" && len(outcomes) > 1 {
			end = outcomes[len(outcomes)-2]
		}
		if !strings.HasPrefix(end, fmt.Sprint("close ", want, " ")) && end != fmt.Sprint("fault ", want) {
			t.Errorf("%s: reference ends with %q, want %d", c.name, end, want)
		}
	}
}

// FuzzUpgrade holds the handshake against a reading of RFC 6455 §4.2.1 by
// other means, for any request that net/http lets through.
func FuzzUpgrade(f *testing.F) {
	ours := []string{"tertulia.v1", "tertulia.v2"}
	f.Fuzz(func(t *testing.T, raw, early string) {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil || len(early) > 4096 {
			return
		}
		conn := &sink{}
		w := &hijackable{ResponseRecorder: *httptest.NewRecorder(), conn: conn, early: early}
		up, err := Upgrade(w, req, ours...)
		if good := isHandshake(req); (err == nil) != good {
			t.Fatalf("Upgrade() = %v, want it accepted: %v", err, good)
		}
		if err != nil {
			if w.hijacked || !slices.Contains([]int{400, 405, 426, 505}, w.Code) || w.Body.Len() == 0 {
				t.Errorf("refused with %d %q, hijacked %v", w.Code, w.Body, w.hijacked)
			}
			return
		}
		if string(up.Early) != early {
			t.Errorf("early = %q, want %q", up.Early, early)
		}
		if up.Protocol != "" && (!slices.Contains(ours, up.Protocol) || !slices.Contains(Protocols(req.Header), up.Protocol)) {
			t.Errorf("protocol = %q, which nobody offered", up.Protocol)
		}
		resp, err := http.ReadResponse(bufio.NewReader(&conn.Buffer), req)
		if err != nil || resp.StatusCode != 101 || conn.Len() > 0 {
			t.Fatalf("answer = %v, %v and %d bytes more, want a 101", resp, err, conn.Len())
		}
		if got, want := resp.Header.Get("Sec-WebSocket-Accept"), AcceptKey(req.Header.Get("Sec-WebSocket-Key")); got != want {
			t.Errorf("Sec-WebSocket-Accept = %q, want %q", got, want)
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != up.Protocol {
			t.Errorf("Sec-WebSocket-Protocol = %q, want %q", got, up.Protocol)
		}
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("Sec-WebSocket-Extensions = %q, want none", got)
		}
	})
}

var (
	upgradeToken    = regexp.MustCompile(`(?i)(^|,)[ \t]*websocket[ \t]*(,|$)`)
	connectionToken = regexp.MustCompile(`(?i)(^|,)[ \t]*upgrade[ \t]*(,|$)`)
	keyForm         = regexp.MustCompile(`^[A-Za-z0-9+/]{22}==$`)
)

func isHandshake(r *http.Request) bool {
	keys := r.Header.Values("Sec-WebSocket-Key")
	return r.Method == "GET" && r.Proto == "HTTP/1.1" && r.ContentLength == 0 &&
		upgradeToken.MatchString(strings.Join(r.Header.Values("Upgrade"), ",")) &&
		connectionToken.MatchString(strings.Join(r.Header.Values("Connection"), ",")) &&
		slices.Equal(r.Header.Values("Sec-WebSocket-Version"), []string{"13"}) &&
		len(keys) == 1 && keyForm.MatchString(keys[0])
}

// sink is a connection that takes writes and has nothing to read.
type sink struct {
	net.Conn
	bytes.Buffer
}

func (s *sink) Read(p []byte) (int, error)         { return 0, io.EOF }
func (s *sink) Write(p []byte) (int, error)        { return s.Buffer.Write(p) }
func (s *sink) SetWriteDeadline(t time.Time) error { return nil }
func (s *sink) Close() error                       { return nil }
