package hub

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

func roomN(i int) chat.RoomID { return chat.RoomID("room" + strconv.Itoa(i)) }

// publish has an event come in a room whose log nobody will have to read.
func (w *world) publish(id chat.RoomID, seq uint64, text string) {
	w.bus.Publish(bus.RoomTopic(id), []chat.Event{{Room: id, Kind: chat.KindMessage, Epoch: ledgerEpoch, Seq: seq, Body: []byte(text)}})
}

// stuck has what comes for r wait until it is allowed.
func (r *reader) stuck() {
	r.conn.Reply([]byte("reply\n"))
	settle()
}

// One room that is far behind does not delay a thousand others on the same
// connection.
func TestOneRoomBehindDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newLedger(t, local.New(), func(c *Config) { c.TailBytes = 2 << 20 })
		defer w.close()
		const rooms, behind = 1000, 1000
		r := w.readerOf("r", 0, &v1Dialect)
		w.join(r, "1", AttachOptions{})
		subs := []*Sub{r.sub}
		for i := range rooms {
			w.join(r, roomN(i), AttachOptions{})
			subs = append(subs, r.sub)
		}
		settle()
		r.stuck()
		for range behind {
			w.say(log, strings.Repeat("x", 1000))
		}
		for i := range rooms {
			w.publish(roomN(i), 1, "small")
		}
		settle()
		r.Allow(1 << 30)
		settle()
		lines := r.lines()
		if len(lines) != 1+rooms+behind {
			t.Fatalf("%d lines were written, want %d", len(lines), 1+rooms+behind)
		}
		last, large := 0, 0
		for i, line := range lines {
			if strings.HasSuffix(line, "small") {
				last = i
			}
		}
		for _, line := range lines[:last] {
			if len(line) > 1000 {
				large++
			}
		}
		if limit := maxBatchBytes / 1000; large > limit {
			t.Errorf("%d events of the room that is behind were written before the last of the others, want at most %d", large, limit)
		}
		for _, s := range subs {
			s.Detach()
		}
		if len(r.conn.subs) != 0 {
			t.Errorf("%d subscriptions are left", len(r.conn.subs))
		}
	})
}

// Rooms that together have more than one batch holds take turns.
func TestRoomsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newLedger(t, local.New(), nil)
		defer w.close()
		const rooms, events = 40, 3
		r := w.readerOf("r", 0, &v1Dialect)
		var subs []*Sub
		for i := range rooms {
			w.join(r, roomN(i), AttachOptions{})
			subs = append(subs, r.sub)
		}
		settle()
		r.stuck()
		for i := range rooms {
			for seq := range uint64(events) {
				w.publish(roomN(i), seq+1, strings.Repeat("x", 10_000))
			}
		}
		settle()
		r.Allow(1 << 30)
		settle()
		seqs := r.seqs(t)
		if want := slices.Sorted(slices.Values(seqs)); len(seqs) != rooms*events || !slices.Equal(seqs, want) {
			t.Errorf("events were written as %v, want the first of every room, then the second, then the third", seqs)
		}
		for _, s := range subs {
			s.Detach()
		}
	})
}

// Among a thousand subscriptions a pass looks at what has something.
func TestPassLooksAtWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := newLedger(t, local.New(), nil)
		defer w.close()
		r := w.readerOf("r", 0, &v1Dialect)
		var subs []*Sub
		for i := range 1000 {
			w.join(r, roomN(i), AttachOptions{})
			subs = append(subs, r.sub)
		}
		settle()
		r.stuck()
		w.publish(roomN(7), 1, "one")
		w.publish(roomN(7), 2, "two")
		settle()
		r.conn.mu.Lock()
		woken := slices.Clone(r.conn.woken)
		r.conn.mu.Unlock()
		if len(woken) != 1 || woken[0] != subs[7] {
			t.Errorf("%d subscriptions wait for the connection, want that of the busy room", len(woken))
		}
		r.Allow(1 << 20)
		settle()
		if got, want := strings.Join(r.lines(), "|"), "reply|1 one|2 two"; got != want {
			t.Errorf("written %q, want %q", got, want)
		}
		for _, s := range subs {
			s.Detach()
		}
	})
}

// sink is a transport that takes everything and keeps nothing.
type sink struct{}

func (sink) TryWrite(p []byte) (int, error) { return len(p), nil }
func (sink) Write(p []byte, sent int) error { return io.ErrShortWrite }
func (sink) Finish()                        {}
func (sink) Abort()                         {}

// BenchmarkPass is what one event costs a loop for all its readers, without the
// system calls.
func BenchmarkPass(b *testing.B) {
	for _, c := range []struct {
		name         string
		d            *Dialect
		readers, per int // connections, and rooms on each
	}{
		{"seed", &seedDialect, 1000, 1},
		{"v1", &v1Dialect, 1000, 1},
		{"one of a thousand rooms", &v1Dialect, 1, 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := New(Config{Bus: local.New(), Log: new(ledger), Encode: encoder, Loops: 1})
			defer h.Close()
			l := &loop{hub: h, wake: make(chan struct{}, 1), buf: make([]byte, 0, maxBatchBytes)}
			h.loops[0] = l // driven by hand
			var f *Feed
			for i := range c.readers {
				conn := h.Connect(sink{}, userN(i), c.d)
				for room := range c.per {
					s, _, err := h.Attach(b.Context(), conn, roomN(room), AttachOptions{})
					if err != nil {
						b.Fatal(err)
					}
					s.Start(0)
					defer s.Detach()
					f = s.feed
				}
			}
			l.deliver()
			e := chat.Event{Kind: chat.KindMessage, Epoch: ledgerEpoch, Body: fmt.Appendf(nil, "%0200d", 0)}
			b.ReportAllocs()
			for b.Loop() {
				e.Seq, e.Tag, e.Follows = e.Seq+1, e.Tag+1, e.Tag
				f.take([]chat.Event{e})
				l.deliver()
			}
		})
	}
}
