package client

import (
	"bytes"
	"testing"
	"time"

	"tertulia/chat"
)

// Whatever a server sends, the decoder takes it without harm, and what it
// makes of it keeps the promises on order: a message that is handed over
// follows the one before, or a gap has said why not. Each line of the input is
// a frame.
func FuzzServerFrames(f *testing.F) {
	f.Add([]byte(`{"type":"message","room":"1","seq":11,"epoch":"e1","tag":"0000000b","data":{"id":1,"user_id":2,"username":"Bob","content":"x","created_at":"2026-11-23T19:00:00.000Z"}}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		now := time.Unix(1_000_000, 0)
		p := newProtocol(Options{User: chat.User{ID: "1", Name: "Juan"}, Outbox: 10, Pipeline: 10, Cursor: chat.Cursor{Epoch: "e1", Seq: 10}}, uniform)
		p.start(now)
		p.work(now)
		p.opened(now)
		greeting := []byte(`{"type":"connected","epoch":"e1","data":{"head":10,"cursor":"e1:10","active_users":[],"history":[],"resumed":true}}`)
		if !bytes.Contains(input, []byte(`"connected"`)) {
			p.received(now, decodeSeed(greeting))
		}
		p.post(now, &Outgoing{text: "x", nonce: "n", done: make(chan struct{})})
		for line := range bytes.Lines(bytes.Clone(input)) {
			p.work(now)
			before := p.cursor
			in := decodeSeed(line)
			clear(line) // the decoder keeps nothing of it
			p.events = nil
			p.received(now, in)
			checkOrder(t, before, p.events)
		}
		p.lost(now, errBroken)
		p.close()
		if len(p.outbox) > 0 || len(p.pings) > 0 {
			t.Errorf("after the end %d posts and %d pings wait", len(p.outbox), len(p.pings))
		}
	})
}

// checkOrder checks the events that one frame led to in a reader at before.
func checkOrder(t *testing.T, before chat.Cursor, events []item) {
	t.Helper()
	at, excused := before.Seq, before == chat.Cursor{}
	for _, it := range events {
		switch e := it.event.(type) {
		case Gap:
			at, excused = e.To, true
		case Message:
			if e.Seq > 1<<53-1 {
				t.Errorf("seq %d is no JSON integer", e.Seq)
			}
			if !e.History && e.Seq > 0 && e.Seq != at+1 && !excused {
				t.Errorf("message %d follows %d and no gap was said", e.Seq, at)
			}
			if !e.History && e.Seq > 0 && (it.cursor != e.Cursor || e.Cursor.Seq != e.Seq) {
				t.Errorf("message %d has cursor %v and leaves the reader at %v", e.Seq, e.Cursor, it.cursor)
			}
		}
	}
}
