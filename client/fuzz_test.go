package client

import (
	"bytes"
	"testing"

	"tertulia/chat"
)

// Whatever a server sends, the client takes it without harm, and what a reader
// is handed keeps the promises on order: a durable event follows the one before,
// or a gap has said why not. Each line of the input is a frame.
func FuzzServerFrames(f *testing.F) {
	for _, lines := range [][]string{
		{messageJSON("1", "e1", 11, 2, "x", ""), messageJSON("1", "e1", 12, 1, "y", "n")},
		{`{"type":"gap","room":"1","data":{"reason":"retention","from":11,"to":14}}`, messageJSON("1", "e1", 15, 2, "x", "")},
		{`{"type":"gap","room":"1","data":{"reason":"epoch","from":1,"to":4}}`, messageJSON("1", "e2", 5, 2, "x", "")},
		{subscribedJSON("s1", "1", "e3:7", 7, `"gap":{"reason":"epoch","from":1,"to":7},`), `{"type":"skip","room":"1","data":{"to":9}}`},
		{`{"type":"presence_diff","room":"1","data":{"version":4,"joined":[{"id":"3","name":"Eva"}],"left":[]}}`, `{"type":"unsubscribed","room":"1","data":{"reason":"removed"}}`},
		{ackJSON("m1", "1", "n", 11), refusalJSON("m1", "1", chat.RateLimited, true), `{"type":"history","re":"h1","room":"1","epoch":"e1","data":{"head":12,"events":[]}}`},
	} {
		var b []byte
		for _, l := range lines {
			b = append(append(b, l...), '\n')
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		d := subscribed(t, 10, WithPipeline(10))
		d.post("1", "n", "x")
		r := d.read("e1:10")
		d.work()
		at, skips := uint64(10), bytes.Contains(input, []byte(`skip`))
		for line := range bytes.Lines(bytes.Clone(input)) {
			in := decode(line)
			clear(line) // the decoder keeps nothing of it
			d.p.received(d.now, in)
			r.s.client.collect()
			at = r.checkOrder(at, skips)
			d.work()
		}
		d.lose()
		d.p.close()
		if len(d.p.outbox) > 0 || len(d.p.requests) > 0 || len(d.p.waiting) > 0 {
			t.Errorf("after the end %d posts and %d requests wait", len(d.p.outbox), len(d.p.requests))
		}
	})
}

// checkOrder takes what the reader is handed after the event at; skips says that the server may have skipped some.
func (r *reading) checkOrder(at uint64, skips bool) uint64 {
	r.t.Helper()
	for {
		got, state := r.s.pop()
		if state != popped {
			return at
		}
		switch e := got.event.(type) {
		case Gap:
			at = e.To
		case Durable:
			p := e.Place()
			if p.Seq > 1<<53-1 || p.Cursor.Seq != p.Seq {
				r.t.Errorf("event %d has cursor %v", p.Seq, p.Cursor)
			}
			if p.Seq != at+1 && !(skips && p.Seq > at) {
				r.t.Errorf("event %d follows %d and no gap was said", p.Seq, at)
			}
			at = p.Seq
		}
	}
}
