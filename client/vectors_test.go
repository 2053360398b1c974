package client

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
)

// vectors reads a file that every client is held against.
func vectors[T any](t *testing.T, name string) (v T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "wire", "testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestBackoffVectors(t *testing.T) {
	v := vectors[struct {
		Base          int64 `json:"base_ms"`
		Cap           int64 `json:"cap_ms"`
		StableAfter   int64 `json:"stable_after_ms"`
		MaxRetryAfter int64 `json:"max_retry_after_ms"`
		Waits         []struct {
			Failures int   `json:"failures"`
			Most     int64 `json:"most_ms"`
		} `json:"waits"`
	}](t, "backoff.json")
	for what, pair := range map[string][2]int64{
		"base": {backoffBase.Milliseconds(), v.Base}, "cap": {backoffCap.Milliseconds(), v.Cap},
		"stable after": {stableAfter.Milliseconds(), v.StableAfter}, "longest retry_after": {maxRetryAfter.Milliseconds(), v.MaxRetryAfter},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d ms, the vectors say %d", what, pair[0], pair[1])
		}
	}
	if len(v.Waits) == 0 {
		t.Error("the vectors have no waits")
	}
	b := backoff{base: backoffBase, cap: backoffCap}
	for _, w := range v.Waits {
		if got := b.bound(w.Failures); got != time.Duration(w.Most)*time.Millisecond {
			t.Errorf("bound(%d) = %v, the vectors say %d ms", w.Failures, got, w.Most)
		}
	}
}

// After each close code the client comes back, or ends, as the vectors say.
func TestCloseVectors(t *testing.T) {
	list := vectors[[]struct {
		Code     int  `json:"code"`
		ComeBack bool `json:"come_back"`
	}](t, "closes.json")
	for _, v := range list {
		d := newDialogue(t)
		d.hello()
		d.p.lost(d.now, &CloseError{Code: v.Code})
		if got := d.p.status.State == Waiting; got != v.ComeBack {
			t.Errorf("after %d the client is %v, the vectors say come back: %v", v.Code, d.p.status.State, v.ComeBack)
		}
	}
	if len(list) == 0 {
		t.Error("there are no vectors")
	}
}

// Each error code of the vectors ends a command, or has it tried again.
func TestErrorVectors(t *testing.T) {
	list := vectors[[]struct {
		Code      chat.Code `json:"code"`
		Num       int       `json:"num"`
		Retryable bool      `json:"retryable"`
	}](t, "errors.json")
	for _, v := range list {
		d := newDialogue(t)
		d.hello()
		o := d.post("1", "n1", "x")
		d.want(`{"type":"message","id":"m1","room":"1","nonce":"n1","content":"x"}`)
		d.receive(refusalJSON("m1", "1", v.Code, v.Retryable))
		if o.settled == v.Retryable {
			t.Errorf("after %s the post is settled: %v, the vectors say retryable: %v", v.Code, o.settled, v.Retryable)
		}
		if e, ok := o.err.(*chat.Error); o.settled && (!ok || e.Code != v.Code || v.Code.Num() != v.Num) {
			t.Errorf("after %s the post failed with %v", v.Code, o.err)
		}
	}
	if len(list) == 0 {
		t.Error("there are no vectors")
	}
}

// Every frame of the vectors is understood; those with a cursor move it there.
func TestFrameVectors(t *testing.T) {
	list := vectors[[]struct {
		Name     string   `json:"name"`
		Profiles []string `json:"profiles"`
		Frame    string   `json:"frame"`
		Cursor   string   `json:"cursor"`
	}](t, "frames.json")
	seen := 0
	for _, v := range list {
		if !slices.Contains(v.Profiles, "v1") {
			continue
		}
		seen++
		switch in := decode([]byte(v.Frame)).(type) {
		case badFrame:
			t.Errorf("%s: %v", v.Name, in.err)
		case unknownFrame:
			t.Errorf("%s is not known", v.Name)
		case durableFrame:
			if bad, ok := in.event.(Malformed); ok {
				t.Errorf("%s: %v", v.Name, bad.Err)
			}
			if _, ok := in.event.(Other); ok {
				t.Errorf("%s is not known", v.Name)
			}
			if got := in.stored.Cursor.String(); got != v.Cursor {
				t.Errorf("%s moves the cursor to %s, want %s", v.Name, got, v.Cursor)
			}
		default:
			if v.Cursor != "" {
				t.Errorf("%s moves no cursor, want %s", v.Name, v.Cursor)
			}
		}
	}
	if seen < 40 {
		t.Errorf("the vectors have %d frames of v1", seen)
	}
}

// The client makes the frames of the whole conversation that its interface
// has, takes the server's without complaint, and ends with the last cursor.
func TestConversationVectors(t *testing.T) {
	list := vectors[[]struct {
		Name    string `json:"name"`
		Profile string `json:"profile"`
		Steps   []struct {
			Send    string `json:"send"`
			Receive string `json:"receive"`
			Cut     bool   `json:"cut"`
		} `json:"steps"`
	}](t, "conversations.json")
	held := 0
	for _, c := range list {
		if c.Profile != "v1" {
			continue
		}
		d := newDialogue(t)
		for _, step := range c.Steps {
			switch {
			case step.Cut:
				d.cut()
			case step.Receive != "":
				d.receive(step.Receive)
			case strings.Contains(step.Send, `"content":"x"`): // a post without nonce, which the client does not make
			default:
				d.say(step.Send)
			}
		}
		held++
		if got := d.p.rooms["1"].cursor.String(); got != "k3v9x0ab:5:77a20b5e" {
			t.Errorf("%s: the client ends at %s", c.Name, got)
		}
		if d.p.cause != nil || d.p.hint != 1480*time.Millisecond {
			t.Errorf("%s: the client complains of %v, and waits for %v", c.Name, d.p.cause, d.p.hint)
		}
	}
	if held == 0 {
		t.Error("there are no vectors")
	}
}

// say has the program do what makes this frame, and wants the frame.
func (d *dialogue) say(frame string) {
	d.t.Helper()
	f := members(d.t, frame)
	switch f["type"] {
	case "subscribe":
		room, _ := f["rooms"].([]any)[0].(map[string]any)
		opt := subscribeOptions{presence: PresenceDetail(room["presence"].(string))}
		if n, ok := room["history"].(float64); ok {
			opt.history = int(n)
		}
		d.p.subscribe("1", opt)
	case "unsubscribe":
		d.p.unsubscribe("1")
	case "message":
		d.post("1", chat.Nonce(f["nonce"].(string)), f["content"].(string))
	case "edit":
		o := &Outgoing{room: "1", kind: kindEdit, target: int64(f["message_id"].(float64)), text: f["content"].(string), nonce: chat.Nonce(f["nonce"].(string)), done: make(chan struct{})}
		IfChanged(uint64(f["if_changed"].(float64)))(o)
		d.p.post(d.now, o)
	case "read": // the client asks for an answer
		r := markRequest("read", "1", uint64(f["up_to"].(float64)), nil)
		r.done = make(chan struct{})
		d.p.ask(r)
		frame = strings.Replace(frame, `"room"`, `"id":"k1","room"`, 1)
	default:
		d.t.Fatalf("no way to say %s", frame)
	}
	d.want(frame)
	if f["type"] == "read" {
		d.receive(`{"type":"ok","re":"k1","room":"1","data":{"read":3,"delivered":3}}`)
	}
}
