package client

import (
	"fmt"
	"strings"
	"testing"

	"tertulia/chat"
)

// reading is a stream over the rooms of a dialogue, pulled by hand.
type reading struct {
	*dialogue
	s *stream
}

// read begins a stream in room 1.
func (d *dialogue) read(from string) *reading {
	d.t.Helper()
	c := &Client{p: d.p, opt: d.p.opt, streams: map[*stream]bool{}, changed: make(chan struct{}), wakeRun: make(chan struct{}, 1)}
	s := &stream{client: c, room: "1", ready: make(chan struct{}, 1)}
	var at chat.Cursor
	if from != "" {
		at, _ = chat.ParseCursor(from)
	}
	s.join(d.p.of("1"), at)
	c.streams[s] = true
	c.collect()
	return &reading{d, s}
}

// wantEvents pops these, each in a few words, and then nothing.
func (r *reading) wantEvents(wanted ...string) {
	r.t.Helper()
	r.s.client.collect()
	for i := 0; ; i++ {
		d, state := r.s.pop()
		got := words(d, state)
		want := "idle"
		if i < len(wanted) {
			want = wanted[i]
		}
		if got != want {
			r.t.Fatalf("event %d: got %q, want %q", i, got, want)
		}
		if i >= len(wanted)-1 && state != popped || i == len(wanted) {
			return
		}
		if d.reader != nil {
			d.reader.took = d.at
			d.reader.sub.settleTaken()
		}
	}
}

func words(d delivery, state popState) string {
	switch e := d.event.(type) {
	case Durable:
		return fmt.Sprint(e.Place().Seq)
	case Gap:
		return fmt.Sprintf("gap %s %d-%d", e.Reason, e.From, e.To)
	case CaughtUp:
		return fmt.Sprintf("caught up %d", e.Seq)
	case Subscribed:
		return "subscribed"
	case Unsubscribed:
		return "unsubscribed"
	case ConnectionState:
		return e.State.String()
	case Typing:
		return e.User.Name + " types"
	}
	return map[popState]string{idle: "idle", behind: "behind", ended: fmt.Sprintf("ended %v", d.err)}[state]
}

func TestReaderInOrder(t *testing.T) {
	d := subscribed(t, 4)
	d.p.events = nil
	r := d.read("")
	r.wantEvents("caught up 4")
	d.message(5)
	d.receive(`{"type":"typing","room":"1","data":{"user":{"id":"2","name":"Bob"},"is_typing":true}}`)
	d.message(6)
	r.wantEvents("5", "6", "Bob types") // not before what was said before it
	if n := len(d.p.rooms["1"].tail.items); n != 0 {
		t.Errorf("%d items are kept that every reader has taken", n)
	}
	d.lose()
	d.comeBack()
	d.hello()
	d.work()
	d.receive(subscribedJSON("s2", "1", "e1:6:00000006", 6, `"resumed":true,`), caughtUpJSON("1", 6))
	r.wantEvents("caught up 6", "waiting", "connecting", "online", "subscribed")
}

// After a rewritten log the reader is told, and goes on with what there is.
func TestReaderInAnotherLog(t *testing.T) {
	d := subscribed(t, 4)
	d.p.events = nil
	r := d.read("")
	d.message(5)
	r.wantEvents("5", "caught up 5")
	d.cut()
	d.hello()
	d.work()
	d.p.events = nil
	d.receive(subscribedJSON("s2", "1", "e2:3:00000003", 3, `"resumed":false,"gap":{"reason":"epoch","from":1,"to":3},`), messageJSON("1", "e2", 4, 2, "x", ""))
	r.wantEvents("gap epoch 1-3", "4", "subscribed")
	// the same while live
	d.receive(`{"type":"gap","room":"1","data":{"reason":"epoch","from":1,"to":7}}`, messageJSON("1", "e3", 8, 2, "x", ""))
	r.wantEvents("gap epoch 1-7", "8")
}

// What was trimmed while the reader was away is read from the server, and said
// where it is missing.
func TestReaderAfterTrimming(t *testing.T) {
	d := subscribed(t, 4)
	d.p.events = nil
	r := d.read("")
	r.wantEvents("caught up 4")
	d.cut()
	d.hello()
	d.work()
	d.p.events = nil
	d.receive(subscribedJSON("s2", "1", "e1:9:00000009", 9, `"resumed":false,"gap":{"reason":"retention","from":5,"to":9},`), caughtUpJSON("1", 9))
	d.message(10)
	r.wantEvents("behind")
	r.page(8, 9)
	r.wantEvents("gap retention 5-7", "8", "9", "10", "caught up 10", "subscribed")
}

// page gives the reader what it asked the server for.
func (r *reading) page(seqs ...int) {
	for _, seq := range seqs {
		in, _ := decode([]byte(messageJSON("1", "e1", seq, 2, "x", ""))).(durableFrame)
		r.s.readers[0].page = append(r.s.readers[0].page, itemOf(in))
	}
}

// A reader that stands still is passed by, at a bounded cost.
func TestReaderFallsBehind(t *testing.T) {
	d := subscribed(t, 0)
	d.p.events = nil
	r := d.read("")
	r.wantEvents("caught up 0")
	for seq := range 1000 {
		d.message(seq + 1)
	}
	tail := &d.p.rooms["1"].tail
	if len(tail.items) != maxTailEvents || tail.floor != 1000-maxTailEvents {
		t.Errorf("the tail holds %d events from %d", len(tail.items), tail.floor)
	}
	r.wantEvents("behind")
	for i := range 3 * maxLoose {
		d.receive(fmt.Sprintf(`{"type":"typing","room":"1","data":{"user":{"id":"2","name":"B%d"},"is_typing":true}}`, i))
		r.s.client.collect()
	}
	if len(r.s.loose) != maxLoose {
		t.Errorf("%d passing events wait, want %d", len(r.s.loose), maxLoose)
	}
	big := strings.Repeat("x", 60_000)
	for seq := range 10 {
		d.receive(messageJSON("1", "e1", 1001+seq, 2, big, ""))
	}
	if tail.bytes > maxTailBytes {
		t.Errorf("the tail holds %d bytes", tail.bytes)
	}
	d.receive(`{"type":"unsubscribed","room":"1","data":{"reason":"removed"}}`) // nothing can be read any more
	if first, _ := r.s.pop(); words(first, popped) != fmt.Sprintf("gap permission 1-%d", tail.floor) {
		t.Errorf("after the removal: %s", words(first, popped))
	}
}

func TestReaderEnds(t *testing.T) {
	d := subscribed(t, 0)
	d.p.events = nil
	r := d.read("")
	d.message(1)
	d.p.unsubscribe("1")
	r.wantEvents("1", "unsubscribed", "ended <nil>")
	d.want(`{"type":"unsubscribe","id":"u1","rooms":["1"]}`)

	d = subscribed(t, 0)
	d.p.events = nil
	r = d.read("")
	d.p.lost(d.now, &CloseError{4501, "no"})
	r.wantEvents("closed", "ended refused with close code 4501: no")
}

// A cursor of another life of the log begins with a gap, one beyond the head
// too.
func TestReaderFrom(t *testing.T) {
	for from, want := range map[string][]string{
		"e0:2": {"gap epoch 1-4", "caught up 4"}, "e1:9": {"gap epoch 1-4", "caught up 4"}, "e1:2": {"behind"}, "e1:4": {"caught up 4"},
	} {
		d := subscribed(t, 4)
		d.p.events = nil
		d.read(from).wantEvents(want...)
	}
}
