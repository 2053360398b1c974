package client

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// dialogue holds the protocol in a test without sockets and without a clock:
// it receives a frame, wants a frame, lets time pass.
type dialogue struct {
	t   *testing.T
	p   *protocol
	now time.Time
	out []string // text frames that nobody wanted yet
}

// newDialogue is a client whose handshake is done.
func newDialogue(t *testing.T, opts ...Option) *dialogue {
	t.Helper()
	return resumeDialogue(t, Kept{}, opts...)
}

func resumeDialogue(t *testing.T, kept Kept, opts ...Option) *dialogue {
	t.Helper()
	o, err := newOptions("ws://test", append([]Option{WithUser(chat.User{ID: "1", Name: "Juan"})}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	o.random = func(d time.Duration) time.Duration { return d } // the longest wait
	d := &dialogue{t: t, p: newProtocol(o, kept), now: time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC)}
	d.p.connect()
	d.open()
	return d
}

// open is the end of a handshake.
func (d *dialogue) open() {
	d.t.Helper()
	d.work()
	if !d.p.opened(d.now) {
		d.t.Fatalf("the client is %v and does not want its connection", d.p.status.State)
	}
}

// hello is the server's greeting.
func (d *dialogue) hello() { d.receive(helloJSON) }

const helloJSON = `{"type":"hello","data":{"server":"tertulia/0.2.0","session":"s","user":{"id":"1","name":"Juan"},"limits":{"frame_bytes":65536,"content_bytes":16384,"rooms":1000,"rooms_per_command":100,"history":200},"features":[],"heartbeat_ms":25000}}`

func (d *dialogue) receive(frames ...string) {
	for _, f := range frames {
		d.p.received(d.now, decode([]byte(f)))
	}
}

// work collects what the client writes.
func (d *dialogue) work() work {
	d.p.tick(d.now)
	w := d.p.work(d.now)
	for _, f := range w.frames {
		if f.op == websocket.Text {
			d.out = append(d.out, string(f.payload))
		}
	}
	return w
}

// pass lets time pass.
func (d *dialogue) pass(t time.Duration) {
	d.now = d.now.Add(t)
	d.work()
}

// want wants the next frames to be these, whatever the order of their members.
func (d *dialogue) want(frames ...string) {
	d.t.Helper()
	d.work()
	for _, f := range frames {
		if len(d.out) == 0 {
			d.t.Fatalf("got no frame, want %s", f)
		}
		if got, want := members(d.t, d.out[0]), members(d.t, f); !reflect.DeepEqual(got, want) {
			d.t.Fatalf("got frame\n%s, want\n%s", d.out[0], f)
		}
		d.out = d.out[1:]
	}
}

// wantIdle wants no frame.
func (d *dialogue) wantIdle() {
	d.t.Helper()
	if d.work(); len(d.out) > 0 {
		d.t.Fatalf("got frame %s, want none", d.out[0])
	}
}

// lose breaks the connection; cut waits after that, and connects again.
func (d *dialogue) lose() {
	d.p.lost(d.now, errBroken)
	d.out = nil
}

func (d *dialogue) cut() {
	d.t.Helper()
	d.lose()
	d.comeBack()
}

// comeBack connects again after the wait.
func (d *dialogue) comeBack() {
	d.t.Helper()
	d.now = d.p.status.RetryAt
	d.open()
}

func (d *dialogue) post(room chat.RoomID, nonce chat.Nonce, text string) *Outgoing {
	o := &Outgoing{room: room, kind: kindPost, text: text, nonce: nonce, done: make(chan struct{})}
	d.p.post(d.now, o)
	return o
}

func members(t *testing.T, frame string) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(frame), &m); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	return m
}

// Frames of a server.

func messageJSON(room, epoch string, seq, user int, content, nonce string) string {
	extra := ""
	if nonce != "" {
		extra = fmt.Sprintf(`,"nonce":%q`, nonce)
	}
	return fmt.Sprintf(`{"type":"message","room":%q,"seq":%d,"epoch":%q,"tag":"%08x","data":{"id":%d,"user_id":%d,"username":"U%d","content":%q,"created_at":"2026-11-23T19:00:00.000Z"%s}}`,
		room, seq, epoch, seq, 100+seq, user, user, content, extra)
}

// subscribedJSON answers a subscribe; extra are further members of its data.
func subscribedJSON(re, room, cursor string, head int, extra string) string {
	epoch, _, _ := cutCursor(cursor)
	return fmt.Sprintf(`{"type":"subscribed","re":%q,"room":%q,"epoch":%q,"data":{"head":%d,"cursor":%q,%s"settings":{"access":"open","title":"","topic":"","archived":false,"version":0,"members":0},"my":{"state":"none","role":"member","read":0,"delivered":0,"unread":0,"up_to":%d},"receipts":[],"history":[]}}`,
		re, room, epoch, head, cursor, extra, head)
}

func cutCursor(s string) (epoch string, seq uint64, err error) {
	c, err := chat.ParseCursor(s)
	return c.Epoch, c.Seq, err
}

func caughtUpJSON(room string, seq int) string {
	return fmt.Sprintf(`{"type":"caught_up","room":%q,"data":{"seq":%d}}`, room, seq)
}

func ackJSON(re, room, nonce string, seq int) string {
	return fmt.Sprintf(`{"type":"message_sent","re":%q,"message_id":%d,"timestamp":"2026-11-23T19:00:00.000Z","room":%q,"data":{"message_id":%d,"timestamp":"2026-11-23T19:00:00.000Z","nonce":%q,"seq":%d}}`,
		re, 100+seq, room, 100+seq, nonce, seq)
}

func refusalJSON(re, room string, code chat.Code, retryable bool) string {
	return fmt.Sprintf(`{"type":"error","re":%q,"room":%q,"message":"m","code":%q,"data":{"message":"m","code":%q,"num":%d,"retryable":%v}}`,
		re, room, code, code, code.Num(), retryable)
}
