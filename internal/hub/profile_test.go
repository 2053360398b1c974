package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"unsafe"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
)

// otherKinds are durable and no messages.
var otherKinds = []chat.Kind{chat.KindRoomCreated, chat.KindRoomUpdated, chat.KindMemberAdded, chat.KindMemberRole, chat.KindMemberInvited}

// Promise 1 for both profiles: V1 gets all durable events, the seed profile the
// messages among them, from tails and pages, at any pace.
func TestProfiles(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			w, log := newLedger(t, local.New(), func(c *Config) { c.TailBytes = 2 << 10 })
			defer w.close()
			rnd := rand.New(rand.NewPCG(seed, 2))
			type placed struct {
				*reader
				after uint64
				d     *Dialect
			}
			var readers []placed
			for i := range 400 {
				if i%25 == 0 {
					d := []*Dialect{&seedDialect, &v1Dialect}[rnd.IntN(2)]
					r := w.readerOf(userN(i), rnd.IntN(3000), d)
					after := uint64(rnd.IntN(i + 1))
					w.join(r, "1", AttachOptions{After: &chat.Cursor{Epoch: ledgerEpoch, Seq: after}})
					readers = append(readers, placed{r, after, d})
				}
				if rnd.IntN(3) == 0 {
					w.tell(log, chat.Event{Kind: otherKinds[rnd.IntN(len(otherKinds))]})
				} else {
					w.say(log, strings.Repeat("x", 1+rnd.IntN(79)))
				}
				if rnd.IntN(4) == 0 {
					settle()
				}
			}
			for _, r := range readers {
				r.Allow(1 << 30)
				settle()
				var want []uint64
				for _, e := range log.events[r.after:] {
					if r.d.Profile == V1 || e.Kind == chat.KindMessage {
						want = append(want, e.Seq)
					}
				}
				if got := r.seqs(t); !slices.Equal(got, want) {
					t.Errorf("profile %d after %d got %v, want %v", r.d.Profile, r.after, got, want)
				}
				r.sub.Detach()
			}
		})
	}
}

// A room of messages only costs the seed profile nothing: its readers are given
// the memory of the feed itself.
func TestSeedReadersShareOneSlice(t *testing.T) {
	var tl tail
	for seq := range uint64(20) {
		tl.add(seq+1, frameOf(seq+1, 10), 0, false, 1<<20)
	}
	k := tl.find(1)
	if last, hidden := k.run(1, 20); last != 20 || hidden {
		t.Errorf("run = %d, %v, want all 20 as one run", last, hidden)
	}
	l := &loop{hub: new(Hub)}
	s := &Sub{conn: &Conn{dialect: &seedDialect}}
	b := batch{}
	l.addEvents(&b, s, k, 20, maxBatchBytes)
	if len(b.buf) != 0 || unsafe.SliceData(b.shared) != unsafe.SliceData(k.buf) || len(b.shared) != len(k.buf) {
		t.Error("the frames were copied, want the chunk's own memory")
	}
}

// The seed profile's recent past is as many messages, whatever lies between.
func TestRecentOfAProfile(t *testing.T) {
	for _, tailBytes := range []int{1 << 10, 256 << 10} {
		t.Run(fmt.Sprintf("tail of %d", tailBytes), func(t *testing.T) {
			w, log := newLedger(t, local.New(), func(c *Config) { c.TailBytes = tailBytes })
			defer w.close()
			for i := range 400 {
				if i%8 == 0 {
					w.say(log, "text")
				} else {
					w.tell(log, chat.Event{Kind: chat.KindRoomUpdated})
				}
			}
			for _, c := range []struct {
				d           *Dialect
				want, count int
				step        uint64
			}{{&seedDialect, 30, 30, 8}, {&seedDialect, 80, 50, 8}, {&v1Dialect, 30, 30, 1}, {&v1Dialect, 500, 400, 1}} {
				r := w.readerOf("r", -1, c.d)
				at := w.join(r, "1", AttachOptions{Recent: c.want, RecentBytes: 1 << 20, After: &chat.Cursor{Epoch: "other", Seq: 1}})
				r.sub.Detach()
				if len(at.Recent) != c.count {
					t.Fatalf("profile %d: %d recent events, want %d", c.d.Profile, len(at.Recent), c.count)
				}
				for i, e := range at.Recent[1:] {
					if e.Seq != at.Recent[i].Seq+c.step {
						t.Fatalf("profile %d: seq %d follows %d", c.d.Profile, e.Seq, at.Recent[i].Seq)
					}
				}
				if at.Gap != GapEpoch || at.From != 1 || at.To != at.Recent[0].Seq-1 {
					t.Errorf("profile %d: gap %v of %d..%d, want it to end before %d", c.d.Profile, at.Gap, at.From, at.To, at.Recent[0].Seq)
				}
			}
		})
	}
}

// Passing events have a form and an audience for each profile, and never go to
// the user who caused them.
func TestPassingEventsByProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		seed, v1, self := w.reader("s", -1), w.readerOf("v", -1, &v1Dialect), w.readerOf("a", -1, &v1Dialect)
		for _, r := range []*reader{seed, v1, self} {
			w.join(r, "1", AttachOptions{})
		}
		a := chat.User{ID: "a"}
		w.bus.Publish(bus.RoomTopic("1"), []chat.Event{
			{Room: "1", Kind: chat.KindUserJoined, Actor: a, Version: 1},
			{Room: "1", Kind: chat.KindTyping, Actor: a},
			{Room: "1", Kind: chat.KindReceipt, Actor: a, Subject: "a"},
		})
		settle()
		for _, c := range []struct {
			r    *reader
			want string
		}{
			{seed, "passing 2 a 1|passing 4 a 0"},
			{v1, fmt.Sprintf("passing diff a 1|passing 4 a 0|passing %d aa 0", chat.KindReceipt)},
			{self, ""},
		} {
			if got := strings.Join(c.r.lines(), "|"); got != c.want {
				t.Errorf("%s got %q, want %q", c.r.conn.self, got, c.want)
			}
			c.r.sub.Detach()
		}
	})
}

// A user's topic is read without a log, by each connection of the user.
func TestUserTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		one, two, other := w.readerOf("a", -1, &v1Dialect), w.readerOf("a", -1, &v1Dialect), w.readerOf("b", -1, &v1Dialect)
		for _, r := range []*reader{one, two, other} {
			var err error
			if r.sub, err = w.hub.AttachUser(r.conn); err != nil {
				t.Fatal(err)
			}
			r.sub.Start(0)
		}
		notices := []chat.Event{
			{Room: "7", Kind: chat.KindMemberInvited, Subject: "a", Actor: chat.User{ID: "a"}, Seq: 5},
			{Room: "8", Kind: chat.KindReceipt, Subject: "a"},
		}
		w.bus.Publish(bus.UserTopic("a"), notices)
		settle()
		want := fmt.Sprintf("passing notice %d 7|passing notice %d 8", chat.KindMemberInvited, chat.KindReceipt)
		for _, r := range []*reader{one, two} {
			if got := strings.Join(r.lines(), "|"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got := other.lines(); len(got) != 0 {
			t.Errorf("another user got %q", got)
		}
		for _, r := range []*reader{one, two, other} {
			r.sub.Detach()
		}
	})
}

// What a node tells its own readers of a user goes to them alone, and only if
// it is newer than their snapshot.
func TestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, local.New(), nil)
		defer w.close()
		r, other := w.readerOf("a", -1, &v1Dialect), w.readerOf("b", -1, &v1Dialect)
		for r, version := range map[*reader]uint64{r: 6, other: 0} {
			var err error
			if r.sub, err = w.hub.AttachUser(r.conn); err != nil {
				t.Fatal(err)
			}
			r.sub.Start(version)
			defer r.sub.Detach()
		}
		w.hub.Notify("a", []chat.Event{{Room: "7", Kind: chat.KindUnread, Version: 6}, {Room: "8", Kind: chat.KindUnread, Version: 7}})
		w.hub.Notify("nobody", []chat.Event{{Room: "7", Kind: chat.KindUnread, Version: 8}})
		settle()
		if got, want := strings.Join(r.lines(), "|"), fmt.Sprintf("passing notice %d 8", chat.KindUnread); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := other.lines(); len(got) != 0 {
			t.Errorf("another user got %q", got)
		}
	})
}

// Subscriptions are many: an idle one is a hundred bytes and a bit.
func TestSubIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Sub{}); size > 112 {
		t.Errorf("a Sub has %d bytes, want at most 112", size)
	}
}
