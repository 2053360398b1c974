//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"tertulia/internal/websocket"
)

// TestClientFramesAreUnderstood has the server's own reader take the frames
// that the generator builds, at each form of the length.
func TestClientFramesAreUnderstood(t *testing.T) {
	for _, size := range []int{0, 1, 124, 125, 126, 127, 1000, 0xFFFF} {
		payload := bytes.Repeat([]byte("é"), size/2+1)[:size]
		if size%2 == 1 {
			payload = bytes.Repeat([]byte("e"), size)
		}
		in := websocket.NewReader(bytes.NewReader(clientFrame(opText, payload)), nil, websocket.Server, websocket.Limits{})
		m, err := in.Next()
		if err != nil || m.Op != websocket.Text || !bytes.Equal(m.Payload, payload) {
			t.Errorf("%d bytes: got %v with %d bytes, %v", size, m.Op, len(m.Payload), err)
		}
	}
}

func TestMessageFrameHasItsSize(t *testing.T) {
	for _, size := range []int{1, 44, 64, 16 << 10} {
		in := websocket.NewReader(bytes.NewReader(messageFrame(size)), nil, websocket.Server, websocket.Limits{})
		m, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(m.Payload), len(`{"type":"message","content":""}`)+size; got != want {
			t.Errorf("content of %d: command of %d bytes, want %d", size, got, want)
		}
	}
}

// TestFramesInAnyPieces cuts one stream of frames at every place.
func TestFramesInAnyPieces(t *testing.T) {
	var stream []byte
	var want []string
	stream = append(stream, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: "+handshakeAccept+"\r\n\r\n"...)
	for _, text := range []string{
		`{"type":"connected","room":"1","data":{"head":7}}`,
		`{"type":"message","room":"1","seq":8,"data":{}}`,
		`{"type":"user_joined","room":"1","data":{"username":"` + strings.Repeat("x", 200) + `"}}`,
		`{"type":"message_sent","data":{"seq":9}}`,
		`{"type":"pong","data":{"t":"` + strings.Repeat("x", 70_000) + `"}}`,
	} {
		stream = websocket.AppendText(stream, []byte(text))
		want = append(want, fmt.Sprint(kindOf([]byte(text)), len(text)))
	}
	stream = websocket.AppendPing(stream, []byte("alive?"))
	for cut := 0; cut < 1200; cut++ {
		var got []string
		l := &loop{onFrame: func(_ *conn, k kind, event []byte, _ time.Duration) {
			got = append(got, fmt.Sprint(k, len(event)))
		}}
		c := &conn{fd: -1, state: stateUpgrading}
		rest, err := l.take(c, stream[:cut], 0)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if rest, err = l.take(c, append(bytes.Clone(rest), stream[cut:]...), 0); err != nil || len(rest) > 0 {
			t.Fatalf("cut at %d: %d bytes left over, %v", cut, len(rest), err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("cut at %d: got %v, want %v", cut, got, want)
		}
		if c.seq != 7 || len(c.out) != 2+4+len("alive?") {
			t.Fatalf("cut at %d: seq %d, %d bytes of pong; want 7, 12", cut, c.seq, len(c.out))
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, test := range []struct {
		event string
		want  kind
	}{
		{`{"type":"message","room":"1"}`, kindMessage},
		{`{"room":"1","type":"message"}`, kindMessage},
		{`{"type":"message_sent"}`, kindSent},
		{`{"type":"connected"}`, kindConnected},
		{`{"type":"error"}`, kindError},
		{`{"type":"typing"}`, kindOther},
		{`{"data":"\"type\":\"error\"","type":"message"}`, kindMessage},
		{`{"type":"mess`, kindOther},
		{`{}`, kindOther},
		{``, kindOther},
	} {
		if got := kindOf([]byte(test.event)); got != test.want {
			t.Errorf("kindOf(%s) = %d, want %d", test.event, got, test.want)
		}
	}
}

func TestNumberAfter(t *testing.T) {
	for _, test := range []struct {
		event string
		want  uint64
		ok    bool
	}{
		{`{"seq":13,"epoch":"a"}`, 13, true},
		{`{"data":{"seq":4294967296}}`, 1 << 32, true},
		{`{"seq":null}`, 0, false},
		{`{"seq":`, 0, false},
		{`{}`, 0, false},
	} {
		if got, ok := numberAfter([]byte(test.event), seqMember); got != test.want || ok != test.ok {
			t.Errorf("numberAfter(%s) = %d, %v, want %d, %v", test.event, got, ok, test.want, test.ok)
		}
	}
}

// BenchmarkTake is the generator's own cost of one delivery.
func BenchmarkTake(b *testing.B) {
	const text = `{"type":"message","room":"bench-01234567-1","seq":13,"epoch":"k3v9x0ab","tag":"1a2b3c4d","data":{"id":40,"user_id":1,"username":"member1","content":"the quick brown fox jumps over the lazy dog the quick brown fox ","created_at":"2026-11-23T19:00:00.000Z"}}`
	frame := websocket.AppendText(nil, []byte(text))
	stream := bytes.Repeat(frame, 64)
	r := &room{base: 12}
	c := stillCrowd(1, 1)
	m := &conn{state: stateOpen, room: r}
	for b.Loop() {
		for rest := stream; len(rest) > 0; {
			_, payload, after, _ := nextFrame(rest)
			if kindOf(payload) != kindMessage {
				b.Fatal("not a message")
			}
			m.seq, r.read, r.open = 12, 0, append(r.open[:0], post{readers: 2})
			if err := c.takeMessage(m, payload, 1); err != nil {
				b.Fatal(err)
			}
			rest = after
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/frame")
}
