package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/local"
	"tertulia/internal/presence"
)

// The world of the property test: Redis is a map, the bus a hand that loses,
// doubles and delays; everything else is the real thing.
const (
	worldLease = 20 * time.Second
	worldGrace = 10 * time.Second
)

// world is nodes, and what Redis has of them.
type world struct {
	dice  *rand.Rand
	wild  bool // announcements are lost, doubled and late
	pages map[string]worldPage
	lease map[string]time.Time // its end
	leave map[string]bool      // its value is leaving
	nodes []*worldNode
	made  int
	late  []announcement
}

// worldPage is what a page would hold.
type worldPage struct {
	fields map[string]string
	whole  bool
}

// worldNode is a node, with who is on it.
type worldNode struct {
	name    string
	tracker *presence.Tracker
	bus     *local.Bus
	outbox  *outbox
	peers   *peers
	version uint64
	asleep  bool // it does nothing, and hears nothing
	visits  []worldVisit

	// What its readers follow.
	list    map[chat.UserID]bool
	at      uint64
	strange error
}

type worldVisit struct {
	user  int
	visit *presence.Visit
}

func (w *world) start() *worldNode {
	w.made++
	n := &worldNode{name: fmt.Sprintf("n%d", w.made), bus: local.New(), outbox: newOutbox(), list: make(map[chat.UserID]bool)}
	n.tracker = presence.New(presence.Config{Bus: n.bus, Grace: worldGrace})
	n.tracker.TellTo(n.outbox.put)
	n.peers = newPeers(n.tracker, n.name, worldGrace)
	if _, err := n.bus.Subscribe(context.Background(), bus.RoomTopic(room1), n.follow); err != nil {
		panic(err)
	}
	w.nodes = append(w.nodes, n)
	w.look(n)
	w.keep(n)
	return n
}

// follow is a strict reader of the node's events: versions have no holes, who
// joins is not on the list, who leaves is.
func (n *worldNode) follow(events []chat.Event) {
	for _, e := range events {
		joined := e.Kind == chat.KindUserJoined
		hole := e.Version != n.at+1 && len(n.list) > 0
		if hole || e.Version <= n.at || n.list[e.Actor.ID] == joined {
			n.strange = fmt.Errorf("%s: version %d after %d, joined %v, of %s to %v", n.name, e.Version, n.at, joined, e.Actor.ID, n.list)
		}
		n.at = e.Version
		if joined {
			n.list[e.Actor.ID] = true
		} else {
			delete(n.list, e.Actor.ID)
		}
	}
}

// keep renews a lease as teller.keep does.
func (w *world) keep(n *worldNode) {
	if n.asleep {
		return
	}
	_, leased := w.lease[n.name]
	w.lease[n.name] = time.Now().Add(worldLease)
	if leased && w.pages[n.name].whole {
		return
	}
	n.outbox.drop()
	n.version++
	fields := make(map[string]string)
	for _, s := range n.tracker.Own() {
		fields[fieldOf(&s)] = valueOf(&s)
	}
	fields[fieldVersion], fields[fieldWhole] = fmt.Sprint(n.version), "1"
	w.pages[n.name] = worldPage{fields, true}
	w.announce(announcement{Node: n.name, Version: n.version, What: whatAll})
}

// flush writes what a node was told, as teller.write does.
func (w *world) flush(n *worldNode) {
	for !n.asleep {
		batch := n.outbox.take(2)
		if len(batch) == 0 {
			return
		}
		n.version++
		p := w.pages[n.name]
		if p.fields == nil { // flushed away: a page of this change alone
			p.fields = make(map[string]string)
		}
		for i := range batch {
			if s := &batch[i]; s.Here {
				p.fields[fieldOf(s)] = valueOf(s)
			} else {
				delete(p.fields, fieldOf(s))
			}
		}
		p.fields[fieldVersion] = fmt.Sprint(n.version)
		w.pages[n.name] = p
		if !p.whole {
			return // keep will say it
		}
		w.announce(announcement{Node: n.name, Version: n.version, What: whatSaid, Said: announce(batch)})
	}
}

// announce hands an announcement to the other nodes, each with its own luck.
func (w *world) announce(a announcement) {
	for _, to := range w.nodes {
		roll := w.dice.IntN(10)
		switch {
		case to.asleep, w.wild && roll < 3: // lost
		case w.wild && roll < 5:
			w.late = append(w.late, a) // for all, so that some hear it twice
		default:
			to.peers.announced(&a)
		}
	}
}

// deliver hands out what is late, in any order.
func (w *world) deliver() {
	w.dice.Shuffle(len(w.late), func(i, j int) { w.late[i], w.late[j] = w.late[j], w.late[i] })
	for i := range w.late {
		for _, to := range w.nodes {
			if !to.asleep {
				to.peers.announced(&w.late[i])
			}
		}
	}
	w.late = nil
}

// glance is what a look shows; alive is false without a lease.
func (w *world) glance(name string) (g glance, alive bool) {
	end, ok := w.lease[name]
	if !ok || !end.After(time.Now()) {
		delete(w.lease, name)
		return g, false
	}
	if w.leave[name] {
		g.leaving = time.Until(end)
	}
	p := w.pages[name]
	g.version, _ = parseVersion(p.fields)
	return g, true
}

// look is listener.look, then read.
func (w *world) look(n *worldNode) {
	if n.asleep {
		return
	}
	names := slices.Concat(slices.Collect(maps.Keys(w.lease)), slices.Collect(maps.Keys(n.peers.known)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name == n.name {
			continue
		}
		if g, alive := w.glance(name); alive {
			n.peers.saw(name, g)
		} else {
			n.peers.missed(name)
		}
	}
	w.read(n)
}

func (w *world) read(n *worldNode) {
	for _, name := range n.peers.stale() {
		g, alive := w.glance(name)
		if !alive {
			n.peers.missed(name)
			continue
		}
		if p, err := parsePage(w.pages[name].fields); err == nil {
			n.peers.took(name, g, p)
		}
	}
}

// kill ends a node without a word.
func (w *world) kill(n *worldNode) {
	w.nodes = slices.DeleteFunc(w.nodes, func(other *worldNode) bool { return other == n })
	n.tracker.Close()
}

// stop ends a node in an orderly way, as teller.leave does.
func (w *world) stop(n *worldNode) {
	for _, v := range n.visits {
		v.visit.Leave(false)
	}
	w.keep(n)
	w.flush(n)
	w.lease[n.name], w.leave[n.name] = time.Now().Add(worldGrace), true
	w.announce(announcement{Node: n.name, Version: n.version, What: whatLeaving})
	w.kill(n)
}

// pass lets time pass, in which nodes do what they do by themselves.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		for i, n := range slices.Clone(w.nodes) {
			step := int(time.Now().UnixMilli() / 500)
			w.flush(n)
			if (step+3*i)%4 == 0 {
				w.look(n)
			}
			if (step+7*i)%10 == 0 {
				w.keep(n)
			}
			w.read(n)
		}
		w.deliver()
	}
}

// act is one step of a story.
type act struct {
	kind string
	node int
	user int
	time time.Duration
}

func acts() *rapid.Generator[[]act] {
	kinds := []string{"join", "join", "join", "join", "leave", "leave", "cut", "cut", "pass", "pass", "tell",
		"start", "kill", "stop", "flushall", "evict", "sleep", "wake"}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) act {
		return act{
			kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			node: rapid.IntRange(0, 7).Draw(t, "node"),
			user: rapid.IntRange(0, 5).Draw(t, "user"),
			time: time.Duration(rapid.IntRange(1, 30).Draw(t, "half seconds")) * 500 * time.Millisecond,
		}
	}), 1, 60)
}

// play carries out one step.
func (w *world) play(a act) {
	n := w.nodes[a.node%len(w.nodes)]
	switch a.kind {
	case "join":
		id := fmt.Sprint("u", a.user)
		_, v := n.tracker.Join(room1, chat.User{ID: chat.UserID(id), Name: id})
		n.visits = append(n.visits, worldVisit{a.user, v})
	case "leave", "cut":
		if i := a.user; i < len(n.visits) {
			n.visits[i].visit.Leave(a.kind == "leave")
			n.visits = slices.Delete(n.visits, i, i+1)
		}
	case "tell":
		w.flush(n)
	case "pass":
		w.pass(a.time)
	case "start":
		if len(w.nodes) < 5 {
			w.start()
		}
	case "kill":
		if len(w.nodes) > 1 {
			w.kill(n)
		}
	case "stop":
		if len(w.nodes) > 1 && !n.asleep {
			w.stop(n)
		}
	case "flushall":
		clear(w.pages)
		clear(w.lease)
	case "evict":
		delete(w.pages, n.name)
	case "sleep", "wake":
		n.asleep = a.kind == "sleep"
	}
}

// truth is who is on any node.
func (w *world) truth() string {
	var users []string
	for _, n := range w.nodes {
		for _, v := range n.visits {
			users = append(users, fmt.Sprint("u", v.user))
		}
	}
	slices.Sort(users)
	return strings.Join(slices.Compact(users), " ")
}

// judge compares every node, and its readers, with the truth.
func (w *world) judge() error {
	want, sessions := w.truth(), 0
	for _, n := range w.nodes {
		sessions += len(n.visits)
	}
	for _, n := range w.nodes {
		var here []string
		for _, u := range n.tracker.Snapshot(room1).Users {
			here = append(here, string(u.ID))
		}
		slices.Sort(here)
		if got := strings.Join(here, " "); got != want || len(n.list) != len(here) {
			return fmt.Errorf("%s says that here are %q, its readers have %v, want %q", n.name, got, n.list, want)
		}
		if got := n.tracker.Stats(presence.Cluster); got.Connections != sessions || got.Users != len(here) {
			return fmt.Errorf("%s counts %+v, want %d sessions of %q", n.name, got, sessions, want)
		}
	}
	return nil
}

// Whatever happens to nodes, Redis and announcements: after a quiet time of a
// lease and two graces every node says the truth, and until then no reader of
// any node was told what does not fit what it had been told before.
func TestEveryNodeComesToTheTruth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		wild := rapid.Bool().Draw(rt, "hostile bus")
		story := acts().Draw(rt, "story")
		var err error // a bubble has a goroutine of its own, which must not end for rapid
		synctest.Test(t, func(*testing.T) { err = playWorld(seed, wild, story) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func newWorld(seed uint64, wild bool) *world {
	w := &world{
		dice:  rand.New(rand.NewPCG(seed, 0)),
		wild:  wild,
		pages: make(map[string]worldPage),
		lease: make(map[string]time.Time),
		leave: make(map[string]bool),
	}
	w.start()
	w.start()
	return w
}

func (w *world) close() {
	for _, n := range w.nodes {
		n.tracker.Close()
	}
}

func playWorld(seed uint64, wild bool, story []act) error {
	w := newWorld(seed, wild)
	defer w.close()
	for i, a := range story {
		w.play(a)
		if err := w.strange(); err != nil {
			return fmt.Errorf("step %d, %+v: %w", i, a, err)
		}
	}
	for _, n := range w.nodes {
		n.asleep = false
	}
	w.pass(worldLease + 2*worldGrace + 5*time.Second)
	return errors.Join(w.strange(), w.judge())
}

func (w *world) strange() error {
	for _, n := range w.nodes {
		if n.strange != nil {
			return n.strange
		}
	}
	return nil
}

// What must not be seen by anybody: a cut and a return within the grace on
// whatever node, a Redis that is emptied, a restart of all nodes in turn.
func TestNobodySees(t *testing.T) {
	for name, story := range map[string][]act{
		"a reconnect elsewhere": {{kind: "cut"}, {kind: "pass", time: 4 * time.Second}, {kind: "join", node: 1}, {kind: "pass", time: 30 * time.Second}},
		"an emptied Redis":      {{kind: "flushall"}, {kind: "pass", time: 30 * time.Second}},
		"an emptied Redis, and a change before it is noticed": {
			{kind: "flushall"}, {kind: "join"}, {kind: "tell"}, {kind: "pass", time: 30 * time.Second},
		},
		"a change of a lost page, which somebody reads": {
			{kind: "evict"}, {kind: "sleep", node: 1}, {kind: "join", user: 1}, {kind: "tell"}, {kind: "wake", node: 1},
			{kind: "pass", time: 30 * time.Second},
		},
		"a lost page": {{kind: "evict"}, {kind: "pass", time: 30 * time.Second}},
		"a rolling restart": {
			{kind: "stop"}, {kind: "start"}, {kind: "pass", time: 5 * time.Second}, {kind: "join", node: 1},
			{kind: "pass", time: 20 * time.Second},
		},
		"a nap": {{kind: "sleep"}, {kind: "pass", time: 15 * time.Second}, {kind: "wake"}, {kind: "pass", time: 30 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1, false)
				defer w.close()
				for _, a := range append([]act{{kind: "join"}, {kind: "pass", time: time.Second}}, story...) {
					w.play(a)
				}
				if err := w.judge(); err != nil {
					t.Error(err)
				}
				came := uint64(len(strings.Fields(w.truth())))
				for _, n := range w.nodes {
					if n.strange != nil || n.at != came {
						t.Errorf("readers of %s are at version %d with %v, want the coming of %d and no more: %v", n.name, n.at, n.list, came, n.strange)
					}
				}
			})
		})
	}
}
