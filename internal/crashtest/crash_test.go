//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tertulia/chat"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServices{m}) }

// withServices ends what the tests have started before goroutines are counted.
type withServices struct{ tests *testing.M }

func (w withServices) Run() int {
	code := servicetest.Run(w.tests)
	if path, _ := built(); path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	return code
}

// The variables that make a long run, and repeat one. The seed decides when
// the server is killed and when readers hang up; what the system does between
// is its own affair.
const (
	roundsVariable = "TERTULIA_CRASH_ROUNDS"
	seedVariable   = "TERTULIA_CRASH_SEED"
)

const (
	shortRounds = 6
	ownRooms    = 4 // with one poster each
	sharers     = 3 // posters in the shared room
	window      = 16

	// roundAcks is the most that is acknowledged between two kills.
	roundAcks = 20_000
	// roundTime bounds a round; one takes about half a second.
	roundTime = 2 * time.Minute
	// healTime is for readers to get to the head after the last restart.
	healTime = 2 * time.Minute
)

// TestKilledServerLosesNothing kills the server again and again while clients
// post and read, and then holds what is stored against what they saw.
func TestKilledServerLosesNothing(t *testing.T) {
	rounds, seed := variable(t, roundsVariable, shortRounds), variable(t, seedVariable, rand.Uint64())
	rnd := rand.New(rand.NewPCG(seed, 1))
	addr := freeAddr(t)
	r := &rounder{
		world:  newWorld(addr),
		addr:   addr,
		binary: build(t),
		dir:    t.TempDir(),
		rnd:    rnd,
	}
	err := r.play(t.Context(), int(rounds))
	for _, problem := range r.problems {
		t.Error(problem)
	}
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	heads, err := r.stored(t.Context())
	if err != nil {
		t.Fatalf("seed %d: read the store: %v", seed, err)
	}
	report := r.history.Finish(heads)
	line := fmt.Sprintf("rounds=%d %s duplicates=%d seed=%d", rounds, &report, r.duplicates, seed)
	fmt.Println(line)
	if report.Anomalies() > 0 {
		t.Errorf("%s\n%s", line, report.Details())
	}
	// At least one message a poster and round, or the rounds show nothing.
	if least := rounds * (ownRooms + sharers); report.Acked < least || !report.complete() {
		t.Errorf("%s: want at least %d acknowledged, all stored, and delivered to %d readers", line, least, roomReaders)
	}
}

// roomReaders is how many followers each room has.
const roomReaders = 2

// complete reports whether everything that was acknowledged is stored, and
// everything stored was delivered to each of those who follow its room.
func (r *Report) complete() bool {
	return r.Stored >= r.Acked && r.Delivered >= roomReaders*r.Stored
}

func variable(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, text)
	}
	return n
}

// rounder plays the rounds.
type rounder struct {
	*world
	addr   string
	binary string
	dir    string
	rnd    *rand.Rand
	server *process
}

// play runs the rounds, lets everybody finish, and kills the server a last
// time, so that the store is read as a crash has left it.
func (r *rounder) play(ctx context.Context, rounds int) error {
	ctx, cancel := context.WithCancel(ctx)
	sent, allSent := context.WithCancel(ctx)
	defer allSent()
	posters := r.startClients(ctx, sent, r.rnd)
	defer r.clients.Wait()
	defer cancel()
	for n := range rounds {
		if err := r.round(ctx, n); err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	defer r.server.kill()
	close(r.stop)
	if err := await(ctx, posters.Wait, roundTime, "posts are not answered"); err != nil {
		return err
	}
	allSent()
	return await(ctx, r.clients.Wait, healTime, "readers do not reach the head")
}

// round is one life of the server and its end.
func (r *rounder) round(ctx context.Context, n int) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	var err error
	select {
	case <-r.after(r.drawAcks(n)):
	case <-r.server.done:
		err = fmt.Errorf("the server ended by itself: %v\n%s", r.server.cmd.ProcessState, r.server.log.String())
	case <-r.failed:
		err = errors.New("a client has met what it must not")
	case <-time.After(roundTime):
		err = errors.New("messages are not acknowledged\n" + r.server.log.String())
	}
	r.setDown()
	r.server.kill()
	return err
}

func (r *rounder) start(ctx context.Context) error {
	var err error
	if r.server, err = start(ctx, r.binary, r.dir, r.addr); err != nil {
		return err
	}
	r.setUp()
	return nil
}

// drawAcks draws from 0 to roundAcks: evenly in every other round, and evenly
// in the logarithm in those between, so that many kills fall into the first
// moments of a server's life, when everybody comes back.
func (r *rounder) drawAcks(n int) int {
	if n%2 == 0 {
		return r.rnd.IntN(roundAcks + 1)
	}
	return int(math.Exp(r.rnd.Float64()*math.Log(roundAcks+1))) - 1
}

// startClients starts posters and followers. The posters end when stop is
// closed, the followers when sent has ended and they have read everything.
func (w *world) startClients(ctx, sent context.Context, rnd *rand.Rand) *sync.WaitGroup {
	posters := new(sync.WaitGroup)
	addPoster := func(room chat.RoomID, user chat.UserID) {
		s := &poster{world: w, room: room, user: user, window: window}
		posters.Add(1)
		w.clients.Go(func() { defer posters.Done(); s.run(ctx) })
	}
	addFollowers := func(room chat.RoomID) {
		for _, restless := range []bool{false, true} {
			f := &follower{world: w, room: room, user: "steady"}
			if restless {
				f.user, f.rnd = "restless", rand.New(rand.NewPCG(rnd.Uint64(), 2))
			}
			f.reader = w.history.Reader(room, fmt.Sprintf("%s in %s", f.user, room))
			w.reading.Add(1)
			w.clients.Go(func() { f.run(ctx, sent) })
		}
	}
	for _, room := range w.allRooms() {
		addFollowers(room)
	}
	for i := range ownRooms {
		addPoster(w.ownRoom(i), "alone")
	}
	for i := range sharers {
		addPoster(w.sharedRoom(), chat.UserID(fmt.Sprintf("sharer-%d", i)))
	}
	return posters
}

// await calls wait, which ends when what it waits for has happened, when ctx
// ends or, through the cancelling of ctx by the caller, after the error.
func await(ctx context.Context, wait func(), limit time.Duration, what string) error {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return fmt.Errorf("%s within %v", what, limit)
	}
}

// stored opens the data folder, and tells the history all that is in it.
func (r *rounder) stored(ctx context.Context) (heads map[chat.RoomID]uint64, err error) {
	st, err := sqlite.Open(ctx, sqlite.Config{Dir: filepath.Join(r.dir, "data")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return r.tellStore(ctx, st)
}

// tellStore tells the history all that a store has of the clients' rooms, the
// second time what is new.
func (w *world) tellStore(ctx context.Context, st store.Reader) (map[chat.RoomID]uint64, error) {
	heads := make(map[chat.RoomID]uint64)
	for _, room := range w.allRooms() {
		head, err := w.tellRoom(ctx, st, room)
		if err != nil {
			return nil, fmt.Errorf("room %s: %w", room, err)
		}
		heads[room] = head
	}
	return heads, nil
}

func (w *world) ownRoom(i int) chat.RoomID { return chat.RoomID(fmt.Sprintf("%sown-%d", w.rooms, i)) }

func (w *world) sharedRoom() chat.RoomID { return chat.RoomID(w.rooms + "shared") }

func (w *world) allRooms() []chat.RoomID {
	rooms := []chat.RoomID{w.sharedRoom()}
	for i := range ownRooms {
		rooms = append(rooms, w.ownRoom(i))
	}
	return rooms
}

func (w *world) tellRoom(ctx context.Context, st store.Reader, room chat.RoomID) (head uint64, err error) {
	for {
		page, err := st.After(ctx, room, w.told[room], store.Limit{Events: 1000, Bytes: 1 << 20})
		if err != nil {
			return 0, err
		}
		for _, e := range page.Events {
			content, err := contentOf(e.Body)
			if err != nil {
				return 0, fmt.Errorf("seq %d: %w", e.Seq, err)
			}
			w.history.Stored(Message{Key{room, e.Actor.ID, e.Nonce}, e.Seq, e.ID, content})
			w.told[room] = e.Seq
		}
		if len(page.Events) == 0 {
			return page.Room.Head, nil
		}
	}
}
