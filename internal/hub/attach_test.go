package hub

import (
	"fmt"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/bus/local"
	"tertulia/internal/room"
)

type posted = room.Posted

func postOf(id chat.RoomID, user chat.UserID, text string) room.Post {
	return room.Post{Room: id, By: chat.Principal{User: chat.User{ID: user, Name: "n"}}, Content: text}
}

// docs/protocol.md §6.4: which cursors can be continued.
func TestCursors(t *testing.T) {
	w := newWorld(t, local.New(), func(c *Config) { c.TailBytes = 2 << 10 })
	defer w.close()
	var log []chat.Event
	for i := range 300 {
		log = append(log, w.post("1", "a", fmt.Sprintf("message %d", i+1)))
	}
	epoch := log[0].Epoch
	at := func(seq uint64) chat.Cursor { return log[seq-1].Cursor() }
	wrongTag := func(seq uint64) chat.Cursor { c := at(seq); c.Tag++; return c }
	cases := []struct {
		name  string
		after chat.Cursor
		gap   Gap
	}{
		{"the head", at(300), GapNone},
		{"within the tail", at(295), GapNone},
		{"far back", at(3), GapNone},
		{"far back without tag", chat.Cursor{Epoch: epoch, Seq: 3}, GapNone},
		{"the beginning", chat.Cursor{Epoch: epoch}, GapNone},
		{"another epoch", chat.Cursor{Epoch: "other", Seq: 3}, GapEpoch},
		{"ahead of the log", chat.Cursor{Epoch: epoch, Seq: 301}, GapEpoch},
		{"ahead with a tag", chat.Cursor{Epoch: epoch, Seq: 1 << 52, Tag: 1, HasTag: true}, GapEpoch},
		{"another event at the head", wrongTag(300), GapEpoch},
		{"another event far back", wrongTag(3), GapEpoch},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := w.reader("r", -1)
			at := w.join(r, "1", AttachOptions{After: &c.after, Recent: 50, RecentBytes: 1 << 20})
			defer r.sub.Detach()
			if at.Gap != c.gap || at.Head != 300 {
				t.Fatalf("gap %v at head %d, want %v at 300", at.Gap, at.Head, c.gap)
			}
			if c.gap != GapNone {
				if len(at.Recent) != 50 || at.From != 1 || at.To != 250 {
					t.Errorf("%d recent events and a gap of %d..%d, want 50 and 1..250", len(at.Recent), at.From, at.To)
				}
				return
			}
			if len(at.Recent) != 0 {
				t.Errorf("%d recent events for a cursor that is continued, want none", len(at.Recent))
			}
			eventually(t, "the missed events", func() bool { return uint64(len(r.lines())) >= 300-c.after.Seq })
			r.wantSeqs(t, c.after.Seq+1, 300)
		})
	}
}

// S-125: the last N, oldest first, up to the head, from the tail or the log.
func TestRecent(t *testing.T) {
	for _, tailBytes := range []int{1 << 10, 256 << 10} {
		t.Run(fmt.Sprintf("tail of %d", tailBytes), func(t *testing.T) {
			w := newWorld(t, local.New(), func(c *Config) { c.TailBytes = tailBytes })
			defer w.close()
			for i := range 200 {
				w.post("1", "a", fmt.Sprintf("%d %s", i+1, strings.Repeat("x", 90)))
			}
			warm := w.reader("w", -1)
			w.join(warm, "1", AttachOptions{})
			defer warm.sub.Detach()
			for i := range 20 {
				w.post("1", "a", fmt.Sprintf("%d %s", 201+i, strings.Repeat("x", 90)))
			}
			// A post is answered before it is published.
			eventually(t, "the last event", func() bool { return len(warm.lines()) == 20 })
			frame := len(encoder.Durable(nil, &chat.Event{Kind: chat.KindMessage, Seq: 200, Body: chat.MessageBody("200 " + strings.Repeat("x", 90))}))
			for _, c := range []struct{ want, bytes, got int }{
				{0, 1 << 20, 0}, {1, 1 << 20, 1}, {50, 1 << 20, 50}, {200, 1 << 20, 200}, {500, 1 << 20, 220},
				{50, 10*frame + 5, 10}, {50, 0, 0},
			} {
				r := w.reader("r", -1)
				at := w.join(r, "1", AttachOptions{Recent: c.want, RecentBytes: c.bytes})
				r.sub.Detach()
				if len(at.Recent) != c.got {
					t.Fatalf("Recent %d within %d bytes: %d events, want %d", c.want, c.bytes, len(at.Recent), c.got)
				}
				for i, e := range at.Recent {
					seq := 220 - uint64(c.got) + 1 + uint64(i)
					if e.Seq != seq || !strings.HasPrefix(string(e.Frame), fmt.Sprintf("%d {\"content\":\"%d ", seq, seq)) {
						t.Fatalf("Recent %d: event %d is %d %.30q, want seq %d", c.want, i, e.Seq, e.Frame, seq)
					}
				}
			}
		})
	}
}

// Large messages end a page before its aligned length.
func TestCatchingUpOnLargeMessages(t *testing.T) {
	w := newWorld(t, local.New(), func(c *Config) { c.TailBytes = 1 << 10 })
	defer w.close()
	const n = 150
	for range n {
		w.post("1", "a", strings.Repeat("x", 15<<10))
	}
	for _, after := range []uint64{0, 10, 40, 127, 128, 149} {
		r := w.reader("r", -1)
		w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: w.store.Epoch(), Seq: after}})
		eventually(t, "the missed events", func() bool { return len(r.lines()) >= n-int(after) })
		r.wantSeqs(t, after+1, n)
		r.sub.Detach()
	}
}
