package postgres

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tertulia/chat"
	"tertulia/internal/services"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
)

const pairDatabase = "pair"

// pair is two servers that take turns as the primary, and a store that knows
// both of them and is never opened anew.
type pair struct {
	*testing.T
	one, two *services.Postgres
	store    *Store
	log      logged
	acked    map[chat.Nonce]chat.Event // in the room "r"
}

// TestFailover is the life of a store whose servers fail one after the other
// (reliability F13 to F15).
func TestFailover(t *testing.T) {
	p := &pair{T: t, acked: make(map[chat.Nonce]chat.Event)}
	dir := servicetest.Folder(t)
	var err error
	if p.one, err = services.StartPostgres(t.Context(), filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	defer p.one.Close()
	if _, err := p.one.CreateDatabase(t.Context(), pairDatabase); err != nil {
		t.Fatal(err)
	}
	if p.two, err = services.StartStandby(t.Context(), p.one, filepath.Join(dir, "two")); err != nil {
		t.Fatal(err)
	}
	defer p.two.Close()
	p.store = openAt(t, Config{URL: p.one.URL(pairDatabase, p.two), Writers: 2, Logger: slog.New(slog.NewTextHandler(&p.log, nil))})
	defer p.store.Close()
	for _, act := range []struct {
		name string
		play func()
	}{
		{"without its synchronous standby nothing is acknowledged", p.standbyIsGone},
		{"the synchronous standby has what was acknowledged", p.primaryIsKilled},
		{"a primary that was replaced is not gone back to", p.replacedPrimaryIsBack},
		{"a primary that takes no writes any more is left", p.primaryIsDemoted},
		{"an asynchronous standby begins the lost seqs anew", p.standbyLacksTheNewest},
	} {
		if !t.Run(act.name, func(t *testing.T) { p.T = t; act.play() }) {
			break
		}
	}
}

// append appends until there is an answer, and remembers it.
func (p *pair) append(prefix string, n int) []store.Result {
	p.Helper()
	rows := posts("r", prefix, n)
	results := untilKnown(p, p.store, rows)
	for i, r := range results {
		if r.Err != nil {
			p.Errorf("row %d of %s = %v", i, prefix, r.Err)
		}
		p.acked[rows[i].Nonce] = r.Event
	}
	return results
}

func (p *pair) wantWhole() {
	p.Helper()
	wantWhole(p, p.store, "r", len(p.acked), p.acked)
}

// must ends the test if a step of it has failed.
func (p *pair) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// wantLogged wants that the store has said something, and has it forgotten.
func (p *pair) wantLogged(text string) {
	p.Helper()
	if got := p.log.take(); !strings.Contains(got, text) {
		p.Errorf("logged %q, want %q", got, text)
	}
}

// logged is what a store has logged since take was called last.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// begin appends a batch that will not be answered soon.
func (p *pair) begin(rows []store.Append) <-chan error {
	done := make(chan error, 1)
	go func() { _, err := p.store.Append(context.Background(), rows); done <- err }()
	return done
}

// awaitWaiting waits until a commit waits for the standby.
func (p *pair) awaitWaiting(conn *pgx.Conn) {
	p.Helper()
	p.await("a commit waits for the standby", func() (waits bool) {
		p.must(conn.QueryRow(p.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')`).Scan(&waits))
		return waits
	})
}

func (p *pair) await(what string, holds func() bool) {
	p.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// standbyIsGone: a commit waits for the standby for as long as it takes. Whoever
// ends that wait from outside gets a commit that the standby lacks, which is no
// answer; nor is it one when the batch is run again.
func (p *pair) standbyIsGone() {
	p.append("first", 1)
	conn := superuser(p, p.one.URL(pairDatabase))
	p.must(p.one.Set(p.Context(), "synchronous_standby_names", services.StandbyName))
	p.append("both", 2)
	p.await("the primary has a synchronous standby", func() (has bool) {
		p.must(conn.QueryRow(p.Context(), `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')`).Scan(&has))
		return has
	})
	p.two.Kill()
	rows := posts("r", "waits", 2)
	done := p.begin(rows)
	p.awaitWaiting(conn)
	if room, err := p.store.Room(p.Context(), "r"); err != nil || room.Head != 3 {
		p.Errorf("while a commit waits: head %d, %v, want 3: what is not acknowledged is not read either", room.Head, err)
	}
	mustExec(p, conn, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
	if err := <-done; !errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), "01000") {
		p.Fatalf("Append whose wait was cancelled = %v, want %v and the warning", err, store.ErrUnknown)
	}
	done = p.begin(rows)
	p.awaitWaiting(conn)
	select {
	case err := <-done:
		p.Fatalf("run again without the standby: %v, want no answer", err)
	default:
	}
	p.must(p.two.Restart(p.Context()))
	p.must(<-done)
	for i, r := range p.append("waits", 2) {
		if !r.Duplicate || r.Event.Seq != uint64(4+i) {
			p.Errorf("run again = %+v, want the duplicate at seq %d", r, 4+i)
		}
	}
	p.wantWhole()
}

// primaryIsKilled: the standby takes over in the midst of batches.
func (p *pair) primaryIsKilled() {
	during(p.T, p.store, 1, func() {
		p.one.Kill()
		if err := p.two.Promote(context.Background()); err != nil {
			p.Error(err)
		}
	})
	p.wantWhole()
	p.append("at two", 1)
	p.wantLogged("a standby has become the primary")
}

// replacedPrimaryIsBack: the first host of the URL takes writes again, and is
// not the one to write to.
func (p *pair) replacedPrimaryIsBack() {
	p.must(p.one.Restart(p.Context()))
	mustExec(p, superuser(p, p.two.URL(pairDatabase)),
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	p.append("not at one", 3)
	p.wantWhole()
}

// primaryIsDemoted: the server stays up and its connections stay open, but it
// takes no writes. Then another one does.
func (p *pair) primaryIsDemoted() {
	p.one.Kill()
	p.must(p.one.Follow(p.Context(), p.two))
	p.must(p.two.Set(p.Context(), "synchronous_standby_names", services.StandbyName))
	p.append("last at two", 1)
	p.must(p.two.Set(p.Context(), "default_transaction_read_only", "on"))
	var err error
	for i := 0; err == nil && i < 1000; i++ { // until the session has heard of it
		if _, err = p.store.Append(p.Context(), posts("r", "refused", 1)); err == nil {
			p.append("refused", 1)
		}
	}
	if !errors.Is(err, store.ErrUnavailable) {
		p.Errorf("Append to a server that takes no writes = %v, want %v", err, store.ErrUnavailable)
	}
	p.must(p.one.Promote(p.Context()))
	p.append("at one", 2)
	p.wantWhole()
	p.wantLogged("a standby has become the primary")
	for range 2 * p.store.config.Connections { // none reads from the server that was left
		if room, err := p.store.Room(p.Context(), "r"); err != nil || room.Head != uint64(len(p.acked)) {
			p.Errorf("head %d, %v, want %d", room.Head, err, len(p.acked))
		}
	}
}

// standbyLacksTheNewest: what was acknowledged last is not there any more, and
// its seqs are given again. Their tags are others, by which a cursor shows that
// its log was rewritten (docs/protocol.md §6.4).
func (p *pair) standbyLacksTheNewest() {
	p.two.Kill()
	p.must(p.two.Follow(p.Context(), p.one))
	p.append("kept", 1)
	conn := superuser(p, p.two.URL(pairDatabase))
	p.await("the standby has it", func() (has bool) {
		p.must(conn.QueryRow(p.Context(), `SELECT EXISTS (SELECT FROM tertulia.events WHERE nonce = 'kept-0')`).Scan(&has))
		return has
	})
	p.two.Kill()
	lost := p.append("lost", 2)
	p.one.Kill()
	p.must(p.two.Restart(p.Context()))
	p.must(p.two.Promote(p.Context()))
	other := p.append("other", 1)
	again := p.append("lost", 2)
	for _, after := range [][2]chat.Event{{p.acked["kept-0"], other[0].Event}, {other[0].Event, again[0].Event}, {again[0].Event, again[1].Event}} {
		if before, e := after[0], after[1]; e.Follows != before.Tag {
			p.Errorf("%+v follows %x, want what is there now, %+v", e, e.Follows, before)
		}
	}
	if again[0].Duplicate || again[0].Event.Seq != lost[0].Event.Seq+1 {
		p.Errorf("sent again = %+v, want it stored anew behind the other", again[0])
	}
	if p.acked["other-0"].Seq != lost[0].Event.Seq || p.acked["other-0"].Tag == lost[0].Event.Tag {
		p.Errorf("the seq of %+v has %+v now, want another tag", lost[0].Event, p.acked["other-0"])
	}
	p.wantWhole()
	p.wantLogged("a standby has become the primary")
}
