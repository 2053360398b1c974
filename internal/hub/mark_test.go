package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

// mark is a marker that says where it was written.
func mark(name string, at uint64) Marker {
	return Marker{At: at, Make: func(b []byte, s *Sub) []byte {
		return fmt.Appendf(b, "%s at %d\n", name, s.Cursor().Seq)
	}}
}

// Markers are written at their places, whether the reader is up to date,
// behind, or beyond them; passing events that came later come later.
func TestMarkers(t *testing.T) {
	for _, tailBytes := range []int{1, 256 << 10} {
		for _, after := range []uint64{0, 2, 4} {
			t.Run(fmt.Sprintf("after %d with a tail of %d", after, tailBytes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, log := newLedger(t, local.New(), func(c *Config) { c.TailBytes = tailBytes })
					defer w.close()
					for range 4 {
						w.say(log, strings.Repeat("x", 1<<10)) // a chunk each
					}
					r := w.readerOf("r", -1, &v1Dialect)
					sub, at, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch, Seq: after}})
					if err != nil {
						t.Fatal(err)
					}
					w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindTyping, Actor: chat.User{ID: "a"}}})
					w.say(log, "live")
					sub.Start(0, mark("gap", 0), mark("three", 3), mark("caught up", at.Head), mark("later", 6))
					settle()
					w.say(log, "live")
					settle()
					want := map[uint64]string{
						0: "gap at 0|1|2|3|three at 3|4|caught up at 4|passing|5|6|later at 6",
						2: "gap at 2|3|three at 3|4|caught up at 4|passing|5|6|later at 6",
						4: "gap at 4|three at 4|caught up at 4|passing|5|6|later at 6",
					}[after]
					var got []string
					for _, line := range r.lines() {
						if !strings.Contains(line, " at ") {
							line, _, _ = strings.Cut(line, " ")
						}
						got = append(got, line)
					}
					if got := strings.Join(got, "|"); got != want {
						t.Errorf("written %s, want %s", got, want)
					}
					if sub.marks != nil {
						t.Error("markers are kept after they have been written")
					}
					sub.Detach()
				})
			})
		}
	}
}

// A connection that wraps is given every frame bare, with cursors that count
// it; replies are written as they are.
func TestWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := newLedger(t, local.New(), nil)
		defer w.close()
		d := v1Dialect
		d.Ended = func(b []byte, s *Sub) []byte { return append(b, "ended"...) }
		d.Wrap = func(b []byte, s *Sub, seq uint64, payload []byte) []byte {
			b = fmt.Appendf(b, "[%d %s %s", seq, payload, s.Room())
			s.Conn().Cursors(func(s *Sub, at chat.Cursor) { b = fmt.Appendf(b, " %d:%d:%d", at.Seq, at.Tag, len(at.Epoch)) })
			return append(b, "]\n"...)
		}
		w.say(log, "one")
		r := w.readerOf("r", -1, &d)
		sub, _, err := w.hub.Attach(context.Background(), r.conn, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch}})
		if err != nil {
			t.Fatal(err)
		}
		r.conn.Reply([]byte("reply\n"))
		sub.Start(0, Marker{At: 1, Make: func(b []byte, _ *Sub) []byte { return append(b, "caught up"...) }})
		w.say(log, "two")
		settle()
		w.bus.Publish(bus.RoomTopic("1"), []chat.Event{{Room: "1", Kind: chat.KindTyping, Actor: chat.User{ID: "a"}}})
		settle()
		w.tell(log, chat.Event{Kind: chat.KindMemberRemoved, Subject: "r", Body: []byte("removed")})
		settle()
		want := "reply|[1 1 one 1 1:1:6]|[0 caught up 1 1:1:6]|[2 2 two 1 2:2:6]|[0 passing 4 a 0 1 2:2:6]|[3 3 removed 1 3:3:6]|[0 ended 1]"
		if got := strings.Join(r.lines(), "|"); got != want {
			t.Errorf("written\n%s, want\n%s", got, want)
		}
		sub.Detach()

		late, at, err := w.hub.Attach(context.Background(), w.readerOf("q", -1, &d).conn, "1", AttachOptions{Recent: 2, RecentBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		if len(at.Recent) != 2 || string(at.Recent[0].Frame) != "2 two" || string(at.Recent[1].Frame) != "3 removed" {
			t.Errorf("the recent frames are %+v, want bare ones", at.Recent)
		}
		late.Detach()
	})
}
