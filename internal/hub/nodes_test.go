package hub

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/bus"
	"tertulia/internal/bus/bustest"
	"tertulia/internal/bus/local"
	"tertulia/internal/room"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

func openLocal() bus.Bus { return local.New() }

// healing is how long an event may be on its way to a reader on another node,
// whatever the bus loses.
const healing = 2 * time.Second

// newNodes is one deployment: nodes over one store, each with a bus of its own.
// They are closed by the returned function, within the test's bubble.
func newNodes(t *testing.T, st store.Store, buses []bus.Bus) (nodes []*world, logs []*counted, shut func()) {
	for _, b := range buses {
		w := &world{t: t, store: st, bus: b}
		w.rooms = room.New(room.Config{Store: st, Bus: b, AutoCreate: true, Fatal: func(err error) { t.Error(err) }})
		log := &counted{Reader: w.rooms.Log()}
		w.hub = New(Config{Bus: b, Log: log, Encode: encoder, Loops: 2})
		nodes, logs = append(nodes, w), append(logs, log)
	}
	return nodes, logs, func() {
		for _, w := range nodes {
			w.hub.Close()
			w.rooms.Close()
		}
		for _, w := range nodes {
			w.bus.Close()
		}
	}
}

func openStore(t *testing.T) store.Store {
	st, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func closeStore(t *testing.T, st store.Store) {
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

// chaos is what reliability asks a deployment to bear: a bus that drops 5 %,
// doubles 5 %, delays 20 % and reorders; and one that carries nothing.
var chaos = []struct {
	name   string
	faults bustest.Faults
}{
	{"lossy", bustest.Faults{Drop: 0.05, Double: 0.05, Delay: 0.2, Reorder: 0.1, MaxDelay: 30 * time.Millisecond}},
	{"bare", bustest.Faults{Drop: 0.05, Bare: 0.7, Double: 0.05, Delay: 0.2, Reorder: 0.1, MaxDelay: 30 * time.Millisecond}},
	{"dead", bustest.Faults{Drop: 1}},
	{"perfect", bustest.Faults{}},
}

// listener is a reader of a simulation, and what it has to get.
type listener struct {
	*reader
	from uint64
}

// Every reader on every node gets every event once and in order, and the last
// of them at most healing after it was stored. TERTULIA_SIMULATIONS sets the
// number of seeds.
func TestNodesOverABusThatMisbehaves(t *testing.T) {
	seeds := 40
	if n, err := strconv.Atoi(os.Getenv("TERTULIA_SIMULATIONS")); err == nil {
		seeds = n
	}
	for _, c := range chaos {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := openStore(t)
				defer closeStore(t, st)
				for seed := range uint64(seeds) {
					if simulate(t, st, seed, bustest.Cluster(openLocal, 3, seed, c.faults)); t.Failed() {
						t.Fatalf("seed %d", seed)
					}
				}
			})
		})
	}
}

func simulate(t *testing.T, st store.Store, seed uint64, buses []bus.Bus) {
	random := rand.New(rand.NewPCG(seed, 7))
	nodes, _, shut := newNodes(t, st, buses)
	defer shut()
	id := chat.RoomID("room-" + strconv.FormatUint(seed, 10))
	var all []*listener
	join := func(w *world) {
		r := w.readerOf(userN(len(all)), -1, &v1Dialect)
		all = append(all, &listener{r, w.join(r, id, AttachOptions{}).Head + 1})
	}
	for _, w := range nodes {
		join(w)
	}
	const posts = 12
	for i := range posts {
		nodes[random.IntN(len(nodes))].post(id, "a", strconv.Itoa(i))
		if random.IntN(2) == 0 {
			time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		}
		if i == posts/2 {
			join(nodes[random.IntN(len(nodes))])
		}
	}
	time.Sleep(healing)
	settle()
	for _, l := range all {
		l.wantSeqs(t, l.from, posts)
		l.sub.Detach()
	}
}

// A bus that cannot hear other nodes says so once a second; what they store
// comes soon after, also in a room that has been quiet for long, and for many
// rooms the store is asked page by page.
func TestDeadBusHealsWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := openStore(t)
		defer closeStore(t, st)
		nodes, logs, shut := newNodes(t, st, bustest.Cluster(openLocal, 2, 1, bustest.Faults{Drop: 1}))
		defer shut()
		const rooms = 1500
		var readers []*reader
		roomN := func(i int) chat.RoomID { return chat.RoomID("r" + strconv.Itoa(i)) }
		for i := range rooms {
			r := nodes[1].reader(userN(i), -1)
			nodes[1].join(r, roomN(i), AttachOptions{})
			readers = append(readers, r)
		}
		time.Sleep(time.Minute)
		settle()
		asked := logs[1].heads.Load()
		for i := range rooms {
			nodes[0].post(roomN(i), "a", "the last word")
		}
		time.Sleep(healing)
		settle()
		for _, r := range readers {
			r.wantSeqs(t, 1, 1)
			r.sub.Detach()
		}
		// Of each round two pages: two or three rounds of doubts, one or two of
		// the check.
		if n := logs[1].heads.Load() - asked; n > 12 {
			t.Errorf("the store was asked for heads %d times in %v, want two pages a round", n, healing)
		}
	})
}

// A member removed on another node, over a bus that carries nothing, is given
// nothing that was stored after the removal, and is told of it.
func TestRemovalOnAnotherNodeOverADeadBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := openStore(t)
		defer closeStore(t, st)
		nodes, _, shut := newNodes(t, st, bustest.Cluster(openLocal, 2, 1, bustest.Faults{Drop: 1}))
		defer shut()
		r := nodes[1].readerOf("m", -1, &v1Dialect)
		nodes[1].join(r, "1", AttachOptions{})
		nodes[0].post("1", "a", "for all")
		service := chat.Principal{Service: true, User: chat.User{ID: "s"}}
		if err := nodes[0].rooms.Ban(context.Background(), service, "1", chat.User{ID: "m"}, ""); err != nil {
			t.Fatal(err)
		}
		nodes[0].post("1", "a", "not for m")
		time.Sleep(healing)
		settle()
		lines := r.lines()
		if len(lines) != 3 || lines[2] != "ended 1 at 2" {
			t.Errorf("the removed was given %q, want the message before, the removal, and the end", lines)
		}
		r.sub.Detach()
	})
}
