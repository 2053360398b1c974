package websocket

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendHeader(t *testing.T) {
	tests := []struct {
		op   Opcode
		n    int
		want string
	}{
		{Text, 0, "\x81\x00"},
		{Text, 125, "\x81\x7D"},
		{Text, 126, "\x81\x7E\x00\x7E"},
		{Text, 65535, "\x81\x7E\xFF\xFF"},
		{Text, 65536, "\x81\x7F\x00\x00\x00\x00\x00\x01\x00\x00"},
		{Ping, 4, "\x89\x04"},
	}
	for _, tt := range tests {
		if got := string(AppendHeader([]byte("x"), tt.op, tt.n)); got != "x"+tt.want {
			t.Errorf("AppendHeader(x, %d, %d) = %q, want %q", tt.op, tt.n, got, "x"+tt.want)
		}
	}
}

func TestPayload(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		want := bytes.Repeat([]byte{'a'}, n)
		if got := Payload(AppendText(nil, want)); !bytes.Equal(got, want) {
			t.Errorf("Payload of a frame of %d bytes has %d", n, len(got))
		}
	}
}

func TestAppendControl(t *testing.T) {
	long := bytes.Repeat([]byte{'a'}, 126)
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"text", AppendText(nil, []byte("Hello")), "\x81\x05Hello"},
		{"ping", AppendPing(nil, []byte("hi")), "\x89\x02hi"},
		{"empty ping", AppendPing(nil, nil), "\x89\x00"},
		{"pong", AppendPong([]byte("x"), []byte("hi")), "x\x8A\x02hi"},
		{"long pong", AppendPong(nil, long), "\x8A\x7D" + string(long[:125])},
		{"close", AppendClose(nil, 1000, "done"), "\x88\x06\x03\xE8done"},
		{"close without reason", AppendClose(nil, 4001, ""), "\x88\x02\x0F\xA1"},
		{"close without code", AppendClose(nil, CodeNone, "lost"), "\x88\x00"},
		{"close payload", ClosePayload(1000, "done"), "\x03\xE8done"},
		{"close payload without code", ClosePayload(CodeNone, ""), ""},
	}
	for _, tt := range tests {
		if string(tt.got) != tt.want {
			t.Errorf("%s = %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestAppendCloseCutsReason(t *testing.T) {
	tests := []struct{ name, reason, want string }{
		{"fits", stars(123), stars(123)},
		{"too long", stars(124), stars(123)},
		{"character ends at 123", stars(121) + "é…", stars(121) + "é"},
		{"character crosses 123", stars(122) + "é", stars(122)},
		{"four-byte character crosses", stars(120) + "🙂", stars(120)},
		{"four-byte characters", strings.Repeat("🙂", 40), strings.Repeat("🙂", 30)},
		{"not UTF-8", "a\xFFb", "a\uFFFDb"},
	}
	for _, tt := range tests {
		got := AppendClose(nil, 1000, tt.reason)[4:]
		if string(got) != tt.want || !utf8.Valid(got) {
			t.Errorf("%s: reason = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAppendMasked(t *testing.T) {
	payload := []byte(utf8Text)
	frames := AppendMasked(AppendMasked(nil, Text, payload), Close, ClosePayload(4000, "bye"))
	if string(payload) != utf8Text {
		t.Errorf("AppendMasked changed the payload to %q", payload)
	}
	if bytes.Contains(frames, payload) {
		t.Error("AppendMasked left the text readable")
	}
	r := NewReader(bytes.NewReader(frames), nil, Server, Limits{})
	for _, want := range []string{"text " + utf8Text, "close 4000"} {
		msg, err := r.Next()
		if got := describe(msg); err != nil || got != want {
			t.Errorf("Next() = %q, %v, want %q", got, err, want)
		}
	}
	if a, b := AppendMasked(nil, Text, payload), AppendMasked(nil, Text, payload); bytes.Equal(a, b) {
		t.Error("two frames have the same masking key")
	}
}

func TestFrameEnd(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 300, 65535, 65536, 70000}
	var b []byte
	ends := []int{0}
	for _, n := range sizes {
		b = AppendText(b, bytes.Repeat([]byte{'a'}, n))
		ends = append(ends, len(b))
	}
	i := 0
	for off := range len(b) + 1 {
		if off > ends[i] {
			i++
		}
		if got := FrameEnd(b, off); got != ends[i] {
			t.Fatalf("FrameEnd(b, %d) = %d, want %d", off, got, ends[i])
		}
	}
	// A buffer that does not hold whole frames ends with itself.
	for _, b := range []string{"\x81", "\x81\x05Hell", "\x81\x7E\x00", "\x81\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"} {
		if got := FrameEnd([]byte(b), 1); got != len(b) {
			t.Errorf("FrameEnd(%q, 1) = %d, want %d", b, got, len(b))
		}
	}
}

// Every code point and every surrogate, whole and cut at each byte, is judged
// as package utf8 judges the whole.
func TestTextPrefix(t *testing.T) {
	buf := make([]byte, 0, 8)
	for r := rune(0); r <= utf8.MaxRune+1; r += 1 + r>>9 {
		b := append(buf[:0], 'a')
		switch {
		case r < 0x80:
			b = append(b, byte(r))
		case r < 0x800:
			b = append(b, 0xC0|byte(r>>6), 0x80|byte(r&0x3F))
		case r < 0x10000:
			b = append(b, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
		default:
			b = append(b, 0xF0|byte(r>>18), 0x80|byte(r>>12&0x3F), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
		}
		whole, ok := textPrefix(b)
		if want := utf8.Valid(b); ok != want || ok && whole != len(b) {
			t.Fatalf("textPrefix(%x) = %d, %v, want %d, %v", b, whole, ok, len(b), want)
		}
		for n := 2; ok && n < len(b); n++ {
			if whole, ok := textPrefix(b[:n]); !ok || whole != 1 {
				t.Fatalf("textPrefix(%x) = %d, %v, want 1, true", b[:n], whole, ok)
			}
		}
	}
}

func TestMayTravel(t *testing.T) {
	for code := range 1 << 16 {
		code := uint16(code)
		want := false
		switch {
		case code >= 1000 && code < 3000:
			want = slices.Contains(registered, code)
		case code >= 3000 && code < 5000:
			want = true
		}
		if got := mayTravel(code); got != want {
			t.Errorf("mayTravel(%d) = %v, want %v", code, got, want)
		}
	}
}

// registered are the codes below 3000 that an endpoint may send, by RFC 6455
// §7.4.1 and its registry.
var registered = []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
