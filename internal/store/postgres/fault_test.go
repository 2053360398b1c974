package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"tertulia/chat"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
)

// Two nodes store the same posts in the same rooms at the same time: each is
// stored once.
func TestTwoNodesInTheSameRooms(t *testing.T) {
	c := Config{URL: servicetest.Database(t), Writers: 2}
	nodes := []*Store{openAt(t, c), openAt(t, c)}
	const batches, size = 40, 20
	rooms := []chat.RoomID{"a", "b", "c"}
	var (
		mu    sync.Mutex
		acked = map[chat.RoomID]map[chat.Nonce]chat.Event{"a": {}, "b": {}, "c": {}}
		work  sync.WaitGroup
		fresh int // guarded by mu
	)
	for lane := range 4 {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(lane), 1))
			for i := range batches {
				rows := make([]store.Append, size)
				for k := range rows {
					nonce := chat.Nonce(fmt.Sprint(i, "-", rng.IntN(size)))
					rows[k] = post(rooms[rng.IntN(len(rooms))], nonce, string(nonce))
				}
				results, _, err := appendUntilKnown(nodes[lane%2], rows)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for k, r := range results {
					if r.Err != nil {
						t.Errorf("row = %v", r.Err)
						continue
					}
					if before, ok := acked[rows[k].Room][rows[k].Nonce]; ok && before.Seq != r.Event.Seq {
						t.Errorf("nonce %s of %s has seq %d and %d", rows[k].Nonce, rows[k].Room, before.Seq, r.Event.Seq)
					}
					acked[rows[k].Room][rows[k].Nonce] = r.Event
					if !r.Duplicate {
						fresh++
					}
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	total := 0
	for room, events := range acked {
		wantWhole(t, nodes[0], room, len(events), events)
		total += len(events)
	}
	if fresh != total {
		t.Errorf("%d rows were said to be new, want %d", fresh, total)
	}
}

// cutsVariable says how many connections are cut.
const cutsVariable = "TERTULIA_CUTS"

const (
	shortCuts = 200
	cutters   = 4 // at the same time, each with a store and a room of its own
)

// The outcome of a batch is unknown wherever its request or its answer was cut,
// and running it again stores it once (reliability F10).
func TestCutConnections(t *testing.T) {
	cuts := shortCuts
	if text := os.Getenv(cutsVariable); text != "" {
		var err error
		if cuts, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s=%q is not a number", cutsVariable, text)
		}
	}
	url := servicetest.Database(t)
	var (
		work sync.WaitGroup
		each [cutters]*cutter
	)
	for i := range each {
		p, through := newProxy(t, url)
		each[i] = &cutter{T: t, proxy: p, store: openAt(t, Config{URL: through, Writers: 1}), room: chat.RoomID(fmt.Sprint("r", i)), acked: make(map[chat.Nonce]chat.Event)}
		work.Go(func() { each[i].run(cuts / cutters) })
	}
	work.Wait()
	stored, repeated := 0, 0
	for _, c := range each {
		wantWhole(t, c.store, c.room, 1+len(c.acked), c.acked)
		stored, repeated = stored+len(c.acked), repeated+c.repeated
	}
	t.Logf("cuts=%d stored=%d duplicates=%d", cuts, stored, repeated)
}

// cutter appends to one room over connections that are cut.
type cutter struct {
	*testing.T
	proxy    *proxy
	store    *Store
	room     chat.RoomID
	acked    map[chat.Nonce]chat.Event
	repeated int // rows that a cut batch had stored
}

func (c *cutter) run(cuts int) {
	if _, _, err := appendUntilKnown(c.store, posts(c.room, "first", 1)); err != nil { // opens the connection
		c.Error(err)
		return
	}
	const stride = 37 // bytes, so that few cuts are spread over all places, and many are everywhere
	kinds := []faultKind{faultRequest, faultReply, faultSent, faultRequest, faultReply}
	for i := 0; i < cuts && !c.Failed(); i++ {
		c.cut(i, fault{kinds[i%len(kinds)], i * stride})
	}
}

// cut has a batch meet a fault, and runs it again.
func (c *cutter) cut(i int, f fault) {
	rows := posts(c.room, fmt.Sprint("cut", i), 1+i%3)
	rows[0].Nonce = "" // the store's own
	c.proxy.arm(f)
	if _, err := c.store.Append(context.Background(), rows); !errors.Is(err, store.ErrUnknown) {
		c.Errorf("cut %d, %+v: Append = %v, want %v", i, f, err, store.ErrUnknown)
		return
	}
	results, _, err := appendUntilKnown(c.store, rows)
	if err != nil {
		c.Error(err)
		return
	}
	for k, r := range results {
		if r.Err != nil || f.kind == faultReply && !r.Duplicate || f.kind == faultRequest && r.Duplicate {
			c.Errorf("cut %d, %+v, row %d = duplicate %v, %v", i, f, k, r.Duplicate, r.Err)
		}
		if r.Duplicate {
			c.repeated++
		}
		c.acked[rows[k].Nonce] = r.Event
	}
}

// A node that has sent a batch and then neither reads nor writes holds up
// nobody.
func TestStoppedNodeHoldsNoLock(t *testing.T) {
	address := servicetest.Database(t)
	p, url := newProxy(t, address)
	stopped, other := openAt(t, Config{URL: url, Writers: 1}), openAt(t, Config{URL: address, Writers: 1})
	untilKnown(t, stopped, posts("r", "warm", 1))
	p.arm(fault{kind: faultSilence})
	ended := make(chan error, 1)
	go func() { _, err := stopped.Append(context.Background(), posts("r", "stopped", 3)); ended <- err }()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if room, err := other.Room(t.Context(), "r"); err != nil || room.Head == 4 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the stopped node's batch was not stored: %+v", room)
		}
	}
	results, err := other.Append(t.Context(), posts("r", "other", 1))
	if err != nil || results[0].Event.Seq != 5 {
		t.Errorf("Append beside a stopped node = %+v, %v, want seq 5", results, err)
	}
	select {
	case err := <-ended:
		t.Errorf("the stopped node has an answer: %v", err)
	default:
	}
	p.close()
	if err := <-ended; !errors.Is(err, store.ErrUnknown) {
		t.Errorf("Append of the stopped node = %v, want %v", err, store.ErrUnknown)
	}
}

// hammer appends batches over each lane until stop is closed, and returns what
// was acknowledged. Rooms are named after lanes.
func hammer(t *testing.T, s *Store, stop <-chan struct{}, progress func()) (acked []map[chat.Nonce]chat.Event, unknown int) {
	t.Helper()
	acked = make([]map[chat.Nonce]chat.Event, s.Writers())
	unknowns := make([]int, s.Writers())
	var work sync.WaitGroup
	for lane := range acked {
		acked[lane] = map[chat.Nonce]chat.Event{}
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				rows := posts(chat.RoomID(fmt.Sprint("lane", lane)), fmt.Sprint("b", i), 10)
				results, n, err := appendUntilKnown(s, rows)
				if err != nil {
					t.Error(err)
					return
				}
				unknowns[lane] += n
				for k, r := range results {
					if r.Err != nil {
						t.Errorf("row = %v", r.Err)
					}
					acked[lane][rows[k].Nonce] = r.Event
				}
				progress()
			}
		})
	}
	work.Wait()
	for _, n := range unknowns {
		unknown += n
	}
	return acked, unknown
}

// during hammers a store while fault runs several times, each after some
// batches, and checks that nothing acknowledged was lost or doubled.
func during(t *testing.T, s *Store, times int, fault func()) {
	t.Helper()
	stop, batches := make(chan struct{}), make(chan struct{})
	await := func(n int) bool {
		for range n {
			select {
			case <-batches:
			case <-time.After(patience):
				t.Errorf("no batch was stored for %v", patience)
				return false
			}
		}
		return true
	}
	go func() {
		defer close(stop)
		for range times {
			if !await(20) {
				return
			}
			fault()
		}
		await(s.Writers() + 1) // each lane may tell of one from before the fault
	}()
	acked, unknown := hammer(t, s, stop, func() {
		select {
		case batches <- struct{}{}:
		case <-stop:
		}
	})
	for lane, events := range acked {
		wantWhole(t, s, chat.RoomID(fmt.Sprint("lane", lane)), len(events), events)
	}
	t.Logf("%d outcomes were unknown", unknown)
}

func TestServerIsKilledUnderLoad(t *testing.T) {
	p, err := services.StartPostgres(t.Context(), filepath.Join(servicetest.Folder(t), "pg"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	url, err := p.CreateDatabase(t.Context(), "killed")
	if err != nil {
		t.Fatal(err)
	}
	s := openAt(t, Config{URL: url})
	during(t, s, 3, func() {
		p.Kill()
		if err := p.Restart(context.Background()); err != nil {
			t.Errorf("Restart: %v", err)
		}
	})
	_ = s.Close()
}

func TestBackendsAreTerminatedUnderLoad(t *testing.T) {
	url := servicetest.Database(t)
	conn := superuser(t, url)
	s := openAt(t, Config{URL: url})
	during(t, s, 20, func() {
		mustExec(t, conn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 2`)
	})
}

// A lock that somebody else holds for too long is an answer: nothing is stored.
func TestLockedRoomIsUnavailable(t *testing.T) {
	url := servicetest.Database(t)
	s := openAt(t, Config{URL: url})
	untilKnown(t, s, posts("r", "first", 1))
	conn := superuser(t, url)
	mustExec(t, conn, `BEGIN`)
	mustExec(t, conn, `SELECT FROM tertulia.rooms FOR UPDATE`)
	if _, err := s.Append(t.Context(), posts("r", "second", 1)); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "55P03") {
		t.Errorf("Append to a locked room = %v, want %v", err, store.ErrUnavailable)
	}
	mustExec(t, conn, `ROLLBACK`)
	untilKnown(t, s, posts("r", "second", 1))
}

func TestFate(t *testing.T) {
	pg := func(severity, code string) error {
		return &pgconn.PgError{SeverityUnlocalized: severity, Code: code}
	}
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"serialization failure", pg("ERROR", "40001"), store.ErrUnavailable},
		{"deadlock", pg("ERROR", "40P01"), store.ErrUnavailable},
		{"lock timeout", pg("ERROR", "55P03"), store.ErrUnavailable},
		{"disk full", pg("ERROR", "53100"), store.ErrUnavailable},
		{"too many connections", fmt.Errorf("%w: %w", errNotSent, pg("FATAL", "53300")), store.ErrUnavailable},
		{"statement timeout", pg("ERROR", "57014"), store.ErrUnavailable},
		{"terminated", pg("FATAL", "57P01"), store.ErrUnknown},
		{"crash of another backend", pg("WARNING", "57P02"), store.ErrUnknown},
		{"fatal", pg("FATAL", "XX000"), store.ErrUnknown},
		{"connection failure", pg("ERROR", "08006"), store.ErrUnknown},
		{"cut", errors.New("unexpected EOF"), store.ErrUnknown},
		{"silent", errSilent, store.ErrUnknown},
		{"cancelled wait for a standby", &warningError{&pgconn.Notice{Code: "01000"}}, store.ErrUnknown},
		{"no connection", fmt.Errorf("%w: refused", errNotSent), store.ErrUnavailable},
	} {
		if got := fate(c.err); got != c.want {
			t.Errorf("%s: fate = %v, want %v", c.name, got, c.want)
		}
	}
}
