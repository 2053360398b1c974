package server

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"tertulia/internal/capture"
	"tertulia/internal/observe"
	"tertulia/internal/websocket"
)

// step is a log line as far as following a message needs it.
type step struct {
	Msg    string `json:"msg"`
	Room   string `json:"room_id"`
	Seq    uint64 `json:"seq"`
	UpTo   uint64 `json:"up_to"`
	Nonce  string `json:"nonce"`
	UserID string `json:"user_id"`
	ConnID uint32 `json:"conn_id"`
}

// hasStep reports whether one of the log's lines is like the given one.
func hasStep(t *testing.T, log string, like func(step) bool) bool {
	t.Helper()
	for line := range strings.Lines(log) {
		var s step
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if like(s) {
			return true
		}
	}
	return false
}

// At debug one message can be followed: received, and by its nonce stored, and
// by its room and seq fanned out and written. Its text is nowhere in the log,
// and neither is what was refused.
func TestMessageIsFollowedWithoutItsText(t *testing.T) {
	const canary = "canary-7f3a"
	var out capture.Buffer
	s := startLogging(t, configFor(t.TempDir()), observe.NewLogger(&out, observe.LogOptions{Level: slog.LevelDebug, JSON: true}))
	c := s.connect("1")
	c.want("connected")
	c.send(websocket.Text, `{"type":"message","content":"one before"}`)
	c.want("message_sent")
	c.want("message")
	c.send(websocket.Text, `{"type":"message","content":"`+canary+`","nonce":"n1"}`)
	c.want("message_sent")
	if got := c.want("message"); !strings.Contains(got, canary) {
		t.Fatalf("got %s, want the message", got)
	}
	c.send(websocket.Text, `{"type":"message","content":"`+canary+`\u0000"}`)
	c.want("error")
	c.send(websocket.Text, `{"type":"`+canary+`"}`)
	c.want("error")
	c.send(websocket.Text, canary)
	c.want("error")
	c.Close()
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}

	log := out.String()
	for _, want := range []struct {
		name string
		like func(step) bool
	}{
		{"received", func(s step) bool {
			return s.Msg == "message received" && s.Room == "1" && s.Nonce == "n1" && s.ConnID != 0
		}},
		{"stored", func(s step) bool {
			return s.Msg == "message stored" && s.Room == "1" && s.Seq == 2 && s.Nonce == "n1" && s.UserID == "1"
		}},
		{"fanned out", func(s step) bool { return s.Msg == "event fanned out" && s.Room == "1" && s.Seq == 2 }},
		{"written", func(s step) bool { return s.Msg == "events written" && s.Room == "1" && s.UpTo == 2 && s.ConnID != 0 }},
	} {
		if !hasStep(t, log, want.like) {
			t.Errorf("the log does not say that the message was %s:\n%s", want.name, log)
		}
	}
	if i := strings.Index(log, canary); i >= 0 {
		t.Errorf("the log has the text: …%s", log[max(0, i-200):min(len(log), i+50)])
	}
}
