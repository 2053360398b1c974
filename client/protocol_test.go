package client

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
	"tertulia/internal/websocket"
)

// A bench drives the protocol by hand, with a clock of its own.
type bench struct {
	t   *testing.T
	now time.Time
	p   *protocol
	// jitter is what the protocol's random source returns, as a fraction.
	jitter float64
}

func newBench(t *testing.T, change ...func(*Options)) *bench {
	o := Options{URL: "ws://h", Room: "1", User: chat.User{ID: "1", Name: "Juan"}}
	for _, f := range change {
		f(&o)
	}
	o, _, err := o.checked()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, now: time.Unix(1_000_000, 0), jitter: 1}
	b.p = newProtocol(o, func(d time.Duration) time.Duration { return time.Duration(float64(d) * b.jitter) })
	return b
}

// online brings the bench online with an empty log of epoch e1.
func (b *bench) online() *bench {
	b.p.start(b.now)
	b.reconnect(`"head":0,"cursor":"e1:0","history":[]`)
	return b
}

// reconnect opens the connection that is due and greets.
func (b *bench) reconnect(data string) {
	b.t.Helper()
	if w := b.p.work(b.now); !w.dial {
		b.t.Fatalf("no dial is due in state %v", b.p.status.State)
	}
	if !b.p.opened(b.now) {
		b.t.Fatal("the connection is not wanted")
	}
	b.receive(`{"type":"connected","room":"1","epoch":"e1","data":{"active_users":[],` + data + `}}`)
}

func (b *bench) receive(frames ...string) {
	for _, f := range frames {
		b.p.received(b.now, decodeSeed([]byte(f)))
	}
}

func (b *bench) post(text string) *Outgoing {
	nonce := chat.Nonce("n-" + text)
	if _, err := chat.ParseNonce(string(nonce)); err != nil {
		nonce = "n"
	}
	o := &Outgoing{text: text, nonce: nonce, done: make(chan struct{})}
	b.p.post(b.now, o)
	return o
}

// sleep lets time pass, ticking whenever the protocol wants it.
func (b *bench) sleep(d time.Duration) {
	end := b.now.Add(d)
	for {
		at := b.p.deadline(b.now)
		if at.IsZero() || at.After(end) {
			break
		}
		b.now = at
		b.p.tick(b.now)
		if b.p.deadline(b.now).Equal(at) {
			return // only work can go on; the test does it
		}
	}
	b.now = end
	b.p.tick(b.now)
}

// wantEvents takes all events.
func (b *bench) wantEvents(want ...string) {
	b.t.Helper()
	var got []string
	for _, it := range b.p.events {
		got = append(got, seen(it.event, nil))
	}
	b.p.events = nil
	if !slices.Equal(got, want) {
		b.t.Fatalf("events:\n got %q\nwant %q", got, want)
	}
}

// wantFrames takes what is to be written, posts by their content.
func (b *bench) wantFrames(want ...string) {
	b.t.Helper()
	var got []string
	for _, f := range b.p.work(b.now).frames {
		got = append(got, describeFrame(f))
	}
	if !slices.Equal(got, want) {
		b.t.Fatalf("frames: got %q, want %q", got, want)
	}
}

func describeFrame(f outFrame) string {
	switch f.op {
	case websocket.Ping:
		return "PING"
	case websocket.Pong:
		return "PONG " + string(f.payload)
	}
	var m map[string]any
	if err := json.Unmarshal(f.payload, &m); err != nil {
		return err.Error()
	}
	switch m["type"] {
	case "message":
		return fmt.Sprint("post ", m["content"])
	case "typing":
		return fmt.Sprint("typing ", m["is_typing"])
	}
	return fmt.Sprint(m["type"], " ", m["id"])
}

func (b *bench) ack(seq int, nonce chat.Nonce) {
	b.receive(fmt.Sprintf(`{"type":"message_sent","message_id":%d,"data":{"nonce":%q,"seq":%d,"timestamp":"2026-11-23T19:00:00Z"}}`, 100+seq, nonce, seq))
}

func (b *bench) message(seq int) { b.receive(messageJSON("e1", seq, 2, fmt.Sprint("m", seq), "")) }

func wantPost(t *testing.T, o *Outgoing, want PostState, is error) {
	t.Helper()
	_, err := o.Result()
	if o.State() != want || is != nil && !errors.Is(err, is) {
		t.Fatalf("post %q is %v with %v, want %v with %v", o.text, o.State(), err, want, is)
	}
}

func TestFreshJoin(t *testing.T) {
	b := newBench(t)
	b.p.start(b.now)
	b.wantEvents("connecting after idle, attempt 1, code 0")
	b.reconnect(`"head":12,"cursor":"e1:12:1a2b3c4d","history":[` + messageData(11, 2, "a", "") + `,` + messageData(12, 2, "b", "") + `]`)
	var cursors []string
	for _, it := range b.p.events {
		cursors = append(cursors, it.cursor.String())
	}
	b.wantEvents(
		"online after connecting, attempt 1, code 0",
		"connected head 12 resumed false",
		"history 11 U2: a",
		"history 12 U2: b")
	if want := []string{":0", ":0", "e1:11", "e1:12:1a2b3c4d"}; !slices.Equal(cursors, want) {
		t.Errorf("cursors = %q, want %q", cursors, want)
	}
	b.message(13)
	b.wantEvents("13 U2: m13")
	if got := b.p.cursor.String(); got != "e1:13:0000000d" {
		t.Errorf("cursor = %s, want e1:13:0000000d", got)
	}
}

func TestJoinWithoutHistoryStandsAtHead(t *testing.T) {
	b := newBench(t)
	b.p.start(b.now)
	b.reconnect(`"head":12,"cursor":"e1:12:1a2b3c4d","history":[]`)
	last := b.p.events[len(b.p.events)-1]
	if _, ok := last.event.(Connected); !ok || last.cursor.Seq != 12 {
		t.Errorf("last event %v at %v, want Connected at 12", last.event, last.cursor)
	}
}

// Each case is a client at e1:10 that comes back, or sees a frame.
func TestContinuation(t *testing.T) {
	history := func(seqs ...int) string {
		var items []string
		for _, s := range seqs {
			items = append(items, messageData(s, 2, fmt.Sprint("m", s), ""))
		}
		return `"history":[` + strings.Join(items, ",") + `]`
	}
	for _, c := range []struct {
		name   string
		greet  string
		frames []string
		want   []string
		cursor string
	}{
		{
			name:   "resumed",
			greet:  `"head":12,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{messageJSON("e1", 11, 2, "m11", ""), messageJSON("e1", 12, 2, "m12", "")},
			want:   []string{"connected head 12 resumed true", "11 U2: m11", "12 U2: m12"},
			cursor: "e1:12:0000000c",
		},
		{
			name:   "resumed with nothing missed",
			greet:  `"head":10,"cursor":"e1:10:0000000a","resumed":true,"history":[]`,
			want:   []string{"connected head 10 resumed true"},
			cursor: "e1:10",
		},
		{
			name:   "retention",
			greet:  `"head":500,"cursor":"e1:500:000001f4","resumed":false,"gap":{"reason":"retention","from":11,"to":99},` + history(499, 500),
			want:   []string{"connected head 500 resumed false", "gap retention 11-498", "history 499 U2: m499", "history 500 U2: m500"},
			cursor: "e1:500:000001f4",
		},
		{
			name:   "retention, history overlaps what was taken",
			greet:  `"head":13,"cursor":"e1:13","resumed":false,"gap":{"reason":"retention","from":11,"to":11},` + history(9, 10, 12, 13),
			want:   []string{"connected head 13 resumed false", "gap retention 11-11", "history 12 U2: m12", "history 13 U2: m13"},
			cursor: "e1:13",
		},
		{
			name:   "other epoch",
			greet:  `"head":2,"cursor":"e2:2:00000002","resumed":false,"gap":{"reason":"epoch","from":1,"to":0},` + history(1, 2),
			want:   []string{"connected head 2 resumed false", "gap epoch 1-0", "history 1 U2: m1", "history 2 U2: m2"},
			cursor: "e2:2:00000002",
		},
		{
			name:   "same epoch rewritten (tag mismatch)",
			greet:  `"head":10,"cursor":"e1:10:99999999","resumed":false,"gap":{"reason":"epoch","from":1,"to":8},` + history(9, 10),
			want:   []string{"connected head 10 resumed false", "gap epoch 1-8", "history 9 U2: m9", "history 10 U2: m10"},
			cursor: "e1:10:99999999",
		},
		{
			name:   "the server is behind the client and says nothing",
			greet:  `"head":7,"cursor":"e1:7","resumed":true,"history":[]`,
			want:   []string{"connected head 7 resumed false", "gap epoch 1-7"},
			cursor: "e1:7",
		},
		{
			name:   "a server that cannot resume",
			greet:  `"head":12,"cursor":"e1:12",` + history(11, 12),
			want:   []string{"connected head 12 resumed false", "history 11 U2: m11", "history 12 U2: m12"},
			cursor: "e1:12",
		},
		{
			name:   "a server that cannot resume, history too short",
			greet:  `"head":13,"cursor":"e1:13",` + history(13),
			want:   []string{"connected head 13 resumed false", "gap retention 11-12", "history 13 U2: m13"},
			cursor: "e1:13",
		},
		{
			name:   "gap with empty history",
			greet:  `"head":20,"cursor":"e1:20:00000014","resumed":false,"gap":{"reason":"retention","from":11,"to":15},"history":[]`,
			want:   []string{"connected head 20 resumed false", "gap retention 11-20"},
			cursor: "e1:20:00000014",
		},
		{
			name:   "a malformed event in the history",
			greet:  `"head":12,"cursor":"e1:12","resumed":false,"gap":{"reason":"retention","from":11,"to":11},"history":[{"seq":11,"id":"?"},` + messageData(12, 2, "m12", "") + `]`,
			want:   []string{"connected head 12 resumed false", "gap retention 11-11", "malformed 0", "history 12 U2: m12"},
			cursor: "e1:12",
		},
		{
			name:   "duplicates are dropped",
			greet:  `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{messageJSON("e1", 9, 2, "m9", ""), messageJSON("e1", 11, 2, "m11", ""), messageJSON("e1", 11, 2, "m11", ""), messageJSON("e1", 10, 2, "m10", "")},
			want:   []string{"connected head 10 resumed true", "11 U2: m11"},
			cursor: "e1:11:0000000b",
		},
		{
			name:   "a hole, and what comes after its time",
			greet:  `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{messageJSON("e1", 13, 2, "m13", ""), messageJSON("e1", 12, 2, "m12", ""), messageJSON("e1", 14, 2, "m14", "")},
			want:   []string{"connected head 10 resumed true", "gap hole 11-12", "13 U2: m13", "14 U2: m14"},
			cursor: "e1:14:0000000e",
		},
		{
			name:   "another epoch while online",
			greet:  `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{messageJSON("e2", 3, 2, "m3", ""), messageJSON("e2", 4, 2, "m4", "")},
			want:   []string{"connected head 10 resumed true", "gap epoch 1-2", "3 U2: m3", "4 U2: m4"},
			cursor: "e2:4:00000004",
		},
		{
			name:  "a malformed event moves the cursor, an illegible one does not",
			greet: `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{
				`{"type":"message","seq":11,"data":{"id":1}}`,
				`{"type":"message","seq":-1,"data":{}}`,
				`{"type":"message","seq":18446744073709551615,"data":{}}`,
				`not json`,
				messageJSON("e1", 12, 2, "m12", ""),
			},
			want:   []string{"connected head 10 resumed true", "malformed 11", "malformed 0", "malformed 0", "malformed 0", "12 U2: m12"},
			cursor: "e1:12:0000000c",
		},
		{
			name:   "unknown durable and passing types",
			greet:  `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{`{"type":"message_edited","seq":11,"data":{}}`, `{"type":"news"}`, `{"type":"message_edited","seq":11,"data":{}}`},
			want:   []string{"connected head 10 resumed true", "other message_edited 11", "other news 0"},
			cursor: "e1:11",
		},
		{
			name:   "only a top-level seq moves the cursor",
			greet:  `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{`{"type":"message_sent","message_id":5,"data":{"seq":40,"nonce":"x"}}`, `{"type":"message","data":` + messageData(41, 2, "passing", "") + `}`},
			want:   []string{"connected head 10 resumed true", "0 U2: passing"},
			cursor: "e1:10",
		},
		{
			name:  "passing events",
			greet: `"head":10,"cursor":"e1:10","resumed":true,"history":[]`,
			frames: []string{
				`{"type":"user_joined","data":{"user_id":"ana","username":"Ana"}}`,
				`{"type":"typing","data":{"user_id":"ana","username":"Ana","is_typing":true,"expires_in_ms":8000}}`,
				`{"type":"user_left","data":{"user_id":7,"username":"Eva"}}`,
				`{"type":"error","message":"m","code":"rate_limited","data":{"message":"m","code":"rate_limited"}}`,
			},
			want:   []string{"connected head 10 resumed true", "Ana joined", "Ana types true", "Eva left", "error rate_limited"},
			cursor: "e1:10",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.Cursor = chat.Cursor{Epoch: "e1", Seq: 10} })
			b.p.start(b.now)
			w := b.p.work(b.now)
			if !w.dial || w.cursor.String() != "e1:10" {
				t.Fatalf("work = dial %v at %v, want a dial at e1:10", w.dial, w.cursor)
			}
			b.p.opened(b.now)
			epoch := "e1"
			if strings.Contains(c.greet, `"cursor":"e2`) {
				epoch = "e2"
			}
			b.receive(`{"type":"connected","epoch":"` + epoch + `","data":{"active_users":[],` + c.greet + `}}`)
			b.receive(c.frames...)
			b.wantEvents(append([]string{"connecting after idle, attempt 1, code 0", "online after connecting, attempt 1, code 0"}, c.want...)...)
			if got := b.p.cursor.String(); got != c.cursor {
				t.Errorf("cursor = %s, want %s", got, c.cursor)
			}
		})
	}
}

// A server without seqs, such as the prototype, works without resume.
func TestPrototypeServer(t *testing.T) {
	b := newBench(t)
	b.p.start(b.now)
	b.p.work(b.now)
	b.p.opened(b.now)
	b.receive(`{"type":"connected","data":{"room_id":1,"active_users":[]}}`,
		`{"type":"message","data":{"id":1,"user_id":2,"username":"U2","content":"a","created_at":"2026-11-23T19:00:00Z"}}`)
	o := b.post("x")
	b.wantFrames("post x")
	b.receive(`{"type":"message_sent","message_id":123}`, `{"type":"pong"}`)
	wantPost(t, o, PostSent, nil)
	if sent, _ := o.Result(); sent.ID != 123 || sent.Nonce != o.nonce {
		t.Errorf("sent = %+v, want id 123 and the post's nonce", sent)
	}
	b.p.lost(b.now, errBroken)
	b.sleep(time.Second)
	if w := b.p.work(b.now); w.cursor != (chat.Cursor{}) {
		t.Errorf("cursor on reconnect = %v, want none", w.cursor)
	}
}

func TestPostsKeepTheirOrder(t *testing.T) {
	b := newBench(t).online()
	one, two, three := b.post("1"), b.post("2"), b.post("3")
	b.wantFrames("post 1")
	b.wantFrames()
	b.ack(1, one.nonce)
	b.wantFrames("post 2")
	b.p.lost(b.now, errBroken) // the answer to 2 is lost
	four := b.post("4")
	b.sleep(time.Second)
	b.reconnect(`"head":2,"cursor":"e1:2","resumed":true,"history":[]`)
	for i, o := range []*Outgoing{two, three, four} {
		b.wantFrames("post " + o.text)
		b.ack(i+2, o.nonce)
		wantPost(t, o, PostSent, nil)
	}
}

func TestPipelineIsSentAgainInOrder(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Pipeline = 3 }).online()
	posts := []*Outgoing{b.post("1"), b.post("2"), b.post("3"), b.post("4")}
	b.wantFrames("post 1", "post 2", "post 3")
	b.ack(1, posts[0].nonce)
	b.wantFrames("post 4")
	b.p.lost(b.now, errBroken)
	b.sleep(time.Second)
	b.reconnect(`"head":1,"cursor":"e1:1","resumed":true,"history":[]`)
	b.wantFrames("post 2", "post 3", "post 4")
}

func TestOwnCopyAcknowledges(t *testing.T) {
	b := newBench(t).online()
	o := b.post("x")
	b.wantFrames("post x")
	b.p.lost(b.now, errBroken)
	b.sleep(time.Second)
	b.reconnect(`"head":1,"cursor":"e1:1","resumed":true,"history":[]`)
	b.receive(messageJSON("e1", 1, 2, "x", string(o.nonce))) // somebody else's nonce
	wantPost(t, o, PostPending, nil)
	b.receive(messageJSON("e1", 2, 1, "x", string(o.nonce)))
	wantPost(t, o, PostSent, nil)
	b.wantFrames()
	if sent, _ := o.Result(); sent.Seq != 2 || sent.ID != 102 || !sent.Duplicate {
		t.Errorf("sent = %+v, want seq 2, id 102, duplicate", sent)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		data  string
		state PostState
		is    error // of the outcome, after the connection was lost for good
		wait  time.Duration
	}{
		{"final", `"code":"forbidden","message":"m","nonce":"n-x"`, PostFailed, nil, 0},
		{"final by its flag", `"code":"slow_mode","retryable":false,"nonce":"n-x"`, PostFailed, nil, 0},
		{"retryable by its code", `"code":"rate_limited","nonce":"n-x"`, PostPending, ErrClosed, 500 * time.Millisecond},
		{"retryable by its flag", `"code":"slow_mode","retryable":true,"nonce":"n-x"`, PostPending, ErrUnknown, 500 * time.Millisecond},
		{"retry_after_ms", `"code":"store_unavailable","retry_after_ms":2000,"nonce":"n-x"`, PostPending, ErrUnknown, 2500 * time.Millisecond},
		{"absurd retry_after_ms", `"code":"store_unavailable","retry_after_ms":80000000,"nonce":"n-x"`, PostPending, ErrUnknown, maxRetryAfter + 500*time.Millisecond},
		{"of somebody else", `"code":"forbidden","message":"m"`, PostPending, ErrUnknown, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t).online()
			o, next := b.post("x"), b.post("y")
			b.wantFrames("post x")
			b.receive(`{"type":"error","data":{` + c.data + `}}`)
			wantPost(t, o, c.state, nil)
			switch {
			case c.state == PostFailed:
				if _, err := o.Result(); errors.Is(err, ErrUnknown) {
					t.Errorf("the refusal %v leaves the outcome unknown", err)
				}
				b.wantFrames("post y")
				return
			case c.wait < 0:
				b.wantFrames()
			default:
				b.wantFrames()
				b.now = b.now.Add(c.wait - time.Millisecond)
				b.p.heard(b.now)
				b.wantFrames()
				if got := b.p.deadline(b.now); !got.Equal(b.now.Add(time.Millisecond)) {
					t.Errorf("deadline in %v, want 1ms", got.Sub(b.now))
				}
				b.p.close()
			}
			b.p.close()
			wantPost(t, o, PostFailed, c.is)
			if _, err := next.Result(); errors.Is(err, ErrUnknown) || !errors.Is(err, ErrClosed) {
				t.Errorf("the post behind fails with %v, want %v alone", err, ErrClosed)
			}
		})
	}
}

// A refusal says nothing about an earlier try that was never answered.
func TestRefusalAfterUnknown(t *testing.T) {
	b := newBench(t).online()
	o := b.post("x")
	b.wantFrames("post x")
	b.p.lost(b.now, errBroken)
	b.sleep(time.Second)
	b.reconnect(`"head":0,"cursor":"e1:0","resumed":true,"history":[]`)
	b.wantFrames("post x")
	b.receive(`{"type":"error","data":{"code":"forbidden","message":"m","nonce":"n-x"}}`)
	wantPost(t, o, PostFailed, ErrUnknown)
	if _, err := o.Result(); chat.AsError(err).Code != chat.Forbidden {
		t.Errorf("the outcome %v does not say forbidden", err)
	}
}

func TestPostsThatNeedNotTravel(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Outbox = 2 }).online()
	for _, c := range []struct {
		name, text string
		code       chat.Code
	}{
		{"empty", "", chat.EmptyContent},
		{"blank", " \t\n", chat.EmptyContent},
		{"too long", strings.Repeat("x", chat.MaxContentBytes+1), chat.TooLarge},
		{"too long as JSON", strings.Repeat("\x01", chat.MaxContentBytes), chat.TooLarge},
		{"not UTF-8", "a\xffb", chat.InvalidEvent},
		{"with U+0000", "a\x00b", chat.InvalidEvent},
	} {
		o := b.post(c.text)
		_, err := o.Result()
		if o.State() != PostFailed || chat.AsError(err).Code != c.code {
			t.Errorf("%s: post is %v with %v, want failed with %s", c.name, o.State(), err, c.code)
		}
	}
	wantPost(t, b.post(strings.Repeat("ñ", chat.MaxContentBytes/2)), PostPending, nil)
	wantPost(t, b.post("2"), PostPending, nil)
	wantPost(t, b.post("3"), PostFailed, ErrOutboxFull)
}

func TestPostExpires(t *testing.T) {
	b := newBench(t, func(o *Options) { o.PostTimeout = time.Minute }).online()
	written := b.post("written")
	b.wantFrames("post written")
	b.now = b.now.Add(30 * time.Second)
	b.p.heard(b.now)
	waiting := b.post("waiting")
	b.now = b.now.Add(30 * time.Second)
	b.p.tick(b.now)
	wantPost(t, written, PostFailed, ErrExpired)
	wantPost(t, written, PostFailed, ErrUnknown)
	wantPost(t, waiting, PostPending, nil)
	b.p.lost(b.now, errBroken)
	b.now = b.now.Add(30 * time.Second)
	b.p.tick(b.now)
	wantPost(t, waiting, PostFailed, ErrExpired)
	if _, err := waiting.Result(); errors.Is(err, ErrUnknown) {
		t.Errorf("a post that was never written fails with %v", err)
	}
}

func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		code  int
		comes bool
	}{
		{1000, false}, {1001, true}, {1002, false}, {1003, false}, {1005, true}, {1006, true},
		{1007, false}, {1008, false}, {1009, false}, {1010, false}, {1011, true}, {1012, true}, {1013, true},
		{3000, false}, {4000, true}, {4001, true}, {4005, true}, {4499, true},
		{4500, false}, {4504, false}, {4999, false},
	} {
		b := newBench(t).online()
		var err error = &CloseError{Code: c.code, Reason: "r"}
		if c.code == codeAbnormal {
			err = errBroken
		}
		b.p.lost(b.now, err)
		s := b.p.status
		if got := s.State == Waiting; got != c.comes || s.Code != c.code {
			t.Errorf("close %d: %v with code %d, want coming back %v", c.code, s.State, s.Code, c.comes)
		}
		refused, isRefused := errors.AsType[*RefusedError](s.Err)
		if isRefused == c.comes {
			t.Errorf("close %d: error %v", c.code, s.Err)
		}
		if isRefused && (refused.Code != c.code || refused.Reason != "r") {
			t.Errorf("close %d: %+v", c.code, refused)
		}
	}
}

func TestHandshakeStatuses(t *testing.T) {
	for _, c := range []struct {
		status int
		after  time.Duration
		comes  bool
		wait   time.Duration
	}{
		{200, 0, false, 0}, {301, 0, false, 0}, {401, 0, false, 0}, {404, 0, false, 0},
		{408, 0, true, 500 * time.Millisecond}, {429, 3 * time.Second, true, 3500 * time.Millisecond},
		{500, 0, true, 500 * time.Millisecond}, {503, time.Hour, true, maxRetryAfter + 500*time.Millisecond},
	} {
		b := newBench(t)
		b.p.start(b.now)
		b.p.work(b.now)
		b.p.lost(b.now, &HandshakeError{Status: c.status, RetryAfter: c.after})
		s := b.p.status
		if got := s.State == Waiting; got != c.comes || c.comes && s.RetryAt.Sub(b.now) != c.wait {
			t.Errorf("HTTP %d: %v until %v, want coming back %v after %v", c.status, s.State, s.RetryAt.Sub(b.now), c.comes, c.wait)
		}
	}
}

// The error frame before a close explains it; an older one does not.
func TestRefusalIsExplained(t *testing.T) {
	b := newBench(t)
	b.p.start(b.now)
	b.p.work(b.now)
	b.p.opened(b.now)
	b.receive(`{"type":"error","message":"No such room.","code":"room_not_found","data":{}}`)
	b.p.lost(b.now, &CloseError{Code: 4504})
	if got := chat.AsError(b.p.status.Err); got.Code != chat.RoomNotFound || got.Message != "No such room." {
		t.Errorf("the end is %v, want room_not_found", b.p.status.Err)
	}

	b = newBench(t).online()
	b.receive(`{"type":"error","message":"m","code":"unknown_type","data":{}}`)
	b.message(1)
	b.p.lost(b.now, &CloseError{Code: 4503})
	if err := errors.Unwrap(b.p.status.Err); err != nil {
		t.Errorf("the end is explained by %v", err)
	}
}

func TestStateChanges(t *testing.T) {
	b := newBench(t).online()
	b.p.events = nil
	b.sleep(stableAfter)
	b.p.lost(b.now, errBroken)
	b.wantEvents("waiting after online, attempt 1, code 1006")
	if got := b.p.status.RetryAt.Sub(b.now); got != 500*time.Millisecond {
		t.Errorf("retry in %v, want 500ms", got)
	}
	for i, wait := range []time.Duration{1, 2, 4, 8, 16, 20, 20} {
		b.sleep(b.p.status.RetryAt.Sub(b.now))
		b.wantEvents(fmt.Sprintf("connecting after waiting, attempt %d, code 0", i+2))
		b.p.work(b.now)
		b.p.lost(b.now, errors.New("connection refused"))
		b.wantEvents(fmt.Sprintf("waiting after connecting, attempt %d, code 0", i+2))
		if got := b.p.status.RetryAt.Sub(b.now); got != wait*time.Second {
			t.Errorf("failure %d: retry in %v, want %v", i+2, got, wait*time.Second)
		}
	}
	b.p.hurry()
	b.wantEvents("connecting after waiting, attempt 9, code 0")
	b.reconnect(`"head":0,"cursor":"e1:0","resumed":true,"history":[]`)
	b.wantEvents("online after connecting, attempt 9, code 0", "connected head 0 resumed true")
	// A connection that dies young does not reset the count.
	b.sleep(stableAfter - time.Millisecond)
	b.p.lost(b.now, errBroken)
	b.wantEvents("waiting after online, attempt 9, code 1006")
	b.p.close()
	b.wantEvents("closed after waiting, attempt 9, code 0")
	b.p.close()
	b.p.lost(b.now, errBroken)
	b.p.hurry()
	b.wantEvents()
	if w := b.p.work(b.now); !w.closed || w.dial {
		t.Errorf("work after close = %+v", w)
	}
}

func TestHeartbeat(t *testing.T) {
	b := newBench(t).online()
	b.wantFrames()
	b.sleep(idleBeforePing)
	b.wantFrames("PING")
	b.wantFrames()
	b.sleep(pongWait - time.Millisecond)
	b.p.heard(b.now) // a pong
	b.sleep(idleBeforePing)
	b.wantFrames("PING")
	b.sleep(pongWait)
	if w := b.p.work(b.now); !w.drop || len(w.frames) > 0 {
		t.Fatalf("work = %+v, want a drop", w)
	}
	b.p.lost(b.now, errors.New("use of closed connection"))
	if got := b.p.status; got.State != Waiting || got.Err != errSilent {
		t.Errorf("status = %v with %v, want waiting with %v", got.State, got.Err, errSilent)
	}
}

func TestHeartbeatRestsWhileTheConsumerStalls(t *testing.T) {
	b := newBench(t).online()
	b.p.stall(true, b.now)
	b.sleep(time.Hour)
	if w := b.p.work(b.now); w.drop || len(w.frames) > 0 {
		t.Errorf("work while stalled = %+v, want nothing", w)
	}
	b.p.stall(false, b.now)
	b.sleep(idleBeforePing)
	b.wantFrames("PING")
}

func TestGreeting(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame string
		want  string
	}{
		{"none", "", "did not greet"},
		{"another frame", `{"type":"pong","data":{}}`, "not connected"},
		{"bad frame", `{"type":"connected"}`, "protocol violation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.p.start(b.now)
			b.p.work(b.now)
			b.p.opened(b.now)
			if c.frame == "" {
				b.sleep(greetingWait)
			} else {
				b.receive(c.frame)
			}
			if w := b.p.work(b.now); !w.drop {
				t.Fatal("the connection is not dropped")
			}
			b.p.lost(b.now, errBroken)
			if s := b.p.status; s.State != Waiting || !strings.Contains(s.Reason, c.want) {
				t.Errorf("%v: %q, want waiting: …%s…", s.State, s.Reason, c.want)
			}
		})
	}
}

func TestTypingSignals(t *testing.T) {
	b := newBench(t)
	b.p.start(b.now)
	b.p.setTyping(b.now, true) // offline: dropped
	b.reconnect(`"head":0,"cursor":"e1:0","history":[]`)
	b.wantFrames()
	b.p.setTyping(b.now, true)
	b.p.setTyping(b.now, true)
	b.wantFrames("typing true")
	b.p.setTyping(b.now, true) // too soon
	b.wantFrames()
	b.sleep(typingRepeat)
	b.p.setTyping(b.now, true)
	b.wantFrames("typing true")
	b.p.setTyping(b.now, false)
	b.wantFrames("typing false")
	b.p.setTyping(b.now, false)
	b.wantFrames()
	b.p.setTyping(b.now, true)
	b.p.setTyping(b.now, false) // newest wins, and it is what was sent
	b.wantFrames()
}

func TestPings(t *testing.T) {
	b := newBench(t)
	wantPing := func(g *pinging, rtt time.Duration, err error) {
		t.Helper()
		select {
		case <-g.done:
		default:
			t.Fatalf("ping %s is not done", g.id)
		}
		if g.rtt != rtt || !errors.Is(g.err, err) {
			t.Errorf("ping %s = %v, %v, want %v, %v", g.id, g.rtt, g.err, rtt, err)
		}
	}
	wantPing(b.p.ping(), 0, ErrOffline)
	b.online()
	one, two, three := b.p.ping(), b.p.ping(), b.p.ping()
	b.wantFrames("ping p2", "ping p3", "ping p4")
	b.now = b.now.Add(7 * time.Millisecond)
	b.receive(`{"type":"pong","data":{"id":"p3"}}`)
	wantPing(two, 7*time.Millisecond, nil)
	b.receive(`{"type":"pong","data":{}}`)
	wantPing(one, 7*time.Millisecond, nil)
	b.receive(`{"type":"error","re":"p4","message":"m","code":"rate_limited","data":{}}`)
	if <-three.done; chat.AsError(three.err).Code != chat.RateLimited {
		t.Errorf("ping refused with %v, want rate_limited", three.err)
	}
	last := b.p.ping()
	b.p.lost(b.now, errBroken)
	wantPing(last, 0, ErrOffline)
}

func TestServerPingsAreAnswered(t *testing.T) {
	b := newBench(t).online()
	b.p.pinged([]byte("old"))
	b.p.pinged([]byte("new"))
	b.wantFrames("PONG new")
	b.wantFrames()
}

func TestSendOnlyResumesNothing(t *testing.T) {
	b := newBench(t, func(o *Options) { o.SendOnly = true }).online()
	b.message(1)
	b.p.lost(b.now, errBroken)
	b.sleep(time.Second)
	if w := b.p.work(b.now); !w.dial || w.cursor.Epoch != "" {
		t.Errorf("work = dial %v at %v, want a dial without cursor", w.dial, w.cursor)
	}
}

// The protocol does no I/O and has no clock: its files import nothing that could.
func TestProtocolIsApart(t *testing.T) {
	for _, file := range []string{"protocol.go", "receive.go", "outbox.go", "ping.go", "seed.go", "inbound.go", "backoff.go", "event.go", "state.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, im := range f.Imports {
			switch im.Path.Value {
			case `"net"`, `"net/http"`, `"os"`, `"sync"`, `"context"`, `"io"`, `"math/rand/v2"`:
				t.Errorf("%s imports %s", file, im.Path.Value)
			}
		}
	}
}
