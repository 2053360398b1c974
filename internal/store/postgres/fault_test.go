package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
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

// The outcome of a batch whose answer was lost is unknown, and running it again
// stores it once.
func TestCutConnections(t *testing.T) {
	p, url := newProxy(t, servicetest.Database(t))
	s := openAt(t, Config{URL: url, Writers: 1})
	untilKnown(t, s, posts("r", "first", 1))
	const cuts = 200
	acked := map[chat.Nonce]chat.Event{}
	total, committed := 1, 0
	for i := range cuts {
		f := []fault{faultUnsent, faultSent, faultReply, faultReply}[i%4]
		rows := posts("r", fmt.Sprint("cut", i), 1+i%3)
		rows[0].Nonce = "" // the store's own
		p.arm(f)
		if _, err := s.Append(t.Context(), rows); !errors.Is(err, store.ErrUnknown) {
			t.Fatalf("cut %d: Append = %v, want %v", i, err, store.ErrUnknown)
		}
		results := untilKnown(t, s, rows)
		for k, r := range results {
			if r.Err != nil || f == faultReply && !r.Duplicate || f == faultUnsent && r.Duplicate {
				t.Errorf("cut %d of kind %d, row %d = duplicate %v, %v", i, f, k, r.Duplicate, r.Err)
			}
			if r.Duplicate {
				committed++
			}
			acked[rows[k].Nonce] = r.Event
		}
		total += len(rows)
	}
	wantWhole(t, s, "r", total, acked)
	t.Logf("%d cuts; %d rows of %d had been committed", cuts, committed, total)
}

// A node that has sent a batch and then neither reads nor writes holds up
// nobody.
func TestStoppedNodeHoldsNoLock(t *testing.T) {
	address := servicetest.Database(t)
	p, url := newProxy(t, address)
	stopped, other := openAt(t, Config{URL: url, Writers: 1}), openAt(t, Config{URL: address, Writers: 1})
	untilKnown(t, stopped, posts("r", "warm", 1))
	p.arm(faultSilence)
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
	p, err := services.StartPostgres(t.Context(), filepath.Join(folder(t), "pg"))
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
