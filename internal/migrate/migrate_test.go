package migrate

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tertulia/chat"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
	"tertulia/internal/store/postgres"
	"tertulia/internal/store/sqlite"
	"tertulia/internal/store/storetest"
)

// twoFolders are a filled data folder and a copy of it. The second is to be
// moved, because this process has never had it open: SQLite's locks are the
// process's, and copying files drops them.
func twoFolders(t *testing.T, rnd *rand.Rand, batches int) (original, dir string) {
	t.Helper()
	original, dir = filled(t, rnd, batches), filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	return original, dir
}

func openEmbedded(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openPostgres(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustRun(t *testing.T, c Config) Report {
	t.Helper()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return r
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func random(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Everything that can be read is the same afterwards, and the log goes on
// where it was.
func TestMigration(t *testing.T) {
	first, dir := twoFolders(t, random(t), 80)
	original, url := openEmbedded(t, first), servicetest.Database(t)
	report := mustRun(t, Config{From: dir, To: postgres.Config{URL: url}, batch: 37})
	moved := openPostgres(t, url)
	storetest.Same(t, moved, original, users, tokens)
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir}); !is[*sqlite.MovedError](err) {
		t.Errorf("Open of the data folder = %v, want a *sqlite.MovedError", err)
	}
	if report.Done || report.Rooms == 0 || report.Events == 0 || report.Copied <= report.Events {
		t.Errorf("Run = %+v, want rooms, events and more rows", report)
	}

	repeated, newest := lastWithNonce(t, original)
	row := store.Append{Room: repeated.Room, Kind: repeated.Kind, Actor: repeated.Actor, Nonce: repeated.Nonce, Body: repeated.Body}
	fresh := row
	fresh.Nonce = "after"
	results, err := moved.Append(t.Context(), []store.Append{row, fresh})
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; !r.Duplicate || r.Event.Seq != repeated.Seq {
		t.Errorf("the repeat of a message = %+v, want the duplicate %d", r, repeated.Seq)
	}
	room, err := original.Room(t.Context(), row.Room)
	if err != nil {
		t.Fatal(err)
	}
	if e := results[1].Event; results[1].Err != nil || e.Seq != room.Head+1 || e.ID <= newest || e.Epoch != original.Epoch() {
		t.Errorf("the next message = %+v (%v), want seq %d, an id above %d and epoch %s", e, results[1].Err, room.Head+1, newest, original.Epoch())
	}
	begins := fresh
	begins.Room, begins.MayCreate = "a-new-room", true
	if results, err := moved.Append(t.Context(), []store.Append{begins}); err != nil || results[0].Err != nil {
		t.Errorf("the first message of a new room: %+v, %v", results, err)
	}
}

// lastWithNonce returns a message that nobody changed and that has a nonce,
// and the highest id of all events.
func lastWithNonce(t *testing.T, s store.Store) (e chat.Event, newest int64) {
	t.Helper()
	rooms, err := s.Rooms(t.Context(), []chat.Access{chat.AccessOpen, chat.AccessPublic, chat.AccessPrivate, chat.AccessDirect}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		page, err := s.After(t.Context(), room.ID, 0, store.Limit{Events: 1 << 20, Bytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range page.Events {
			newest = max(newest, event.ID)
			if event.Kind == chat.KindMessage && event.Changed == 0 && event.Nonce != "" {
				e = event
			}
		}
	}
	if e.Nonce == "" {
		t.Fatal("the store has no message with a nonce that nobody changed")
	}
	return e, newest
}

// A process that migrates is killed again and again. While it is under way
// neither store opens; in the end nothing is missing, and nothing there twice.
func TestKilledMigration(t *testing.T) {
	rnd := random(t)
	for kills := 0; kills < leastKills(t); {
		kills += killedMigration(t, rnd)
	}
}

// leastKills is for how many kills migrations are begun anew.
func leastKills(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("TERTULIA_CRASH_ROUNDS"), "3"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// killedMigration is one migration that is killed up to six times.
func killedMigration(t *testing.T, rnd *rand.Rand) (kills int) {
	first, dir := twoFolders(t, rnd, 200)
	original, url := openEmbedded(t, first), servicetest.Database(t)
	for lines := 0; killedChild(t, dir, url, lines, time.Duration(rnd.IntN(3000))*time.Microsecond); lines = rnd.IntN(13) {
		kills++
		source, target := whichOpen(t, dir, url)
		if target && !source {
			break // it was killed between its end and the process's
		}
		if lines > 0 && (source || target) {
			t.Fatalf("after kill %d, and %d batches, the source opens: %v, the target: %v, want neither", kills, lines, source, target)
		}
		if kills == 6 {
			mustRun(t, Config{From: dir, To: postgres.Config{URL: url}})
			break
		}
	}
	moved := openPostgres(t, url)
	storetest.Same(t, moved, original, users, tokens)
	if err := errors.Join(moved.Close(), original.Close()); err != nil {
		t.Fatal(err)
	}
	return kills
}

// whichOpen reports which of the stores opens; one that does not must say that
// it is being moved, or was.
func whichOpen(t *testing.T, dir, url string) (source, target bool) {
	t.Helper()
	to, toErr := postgres.Open(t.Context(), postgres.Config{URL: url})
	if toErr != nil && !is[*postgres.ImportingError](toErr) {
		t.Fatalf("postgres.Open after a kill = %v, want an *ImportingError", toErr)
	}
	from, fromErr := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if fromErr != nil && !is[*sqlite.MovedError](fromErr) {
		t.Fatalf("sqlite.Open after a kill = %v, want a *MovedError", fromErr)
	}
	if toErr == nil {
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if fromErr == nil {
		if err := from.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fromErr == nil, toErr == nil
}

// killedChild lets a process migrate until it has said so many lines and for a
// moment more; false if it came to its end.
func killedChild(t *testing.T, dir, url string, lines int, more time.Duration) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFrom+"="+dir, childTo+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for n := 0; n < lines && in.Scan(); n++ {
	}
	time.Sleep(more) // so that it is killed within a batch too
	_ = cmd.Process.Kill()
	for in.Scan() {
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		t.Fatalf("the process failed by itself: %v", err)
	}
	return err != nil
}

// stopAt runs a migration up to its first step of verifying, and has it fail
// there.
func stopAt(t *testing.T, dir, url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, Config{From: dir, To: postgres.Config{URL: url}, Progress: func(p Progress) {
		if p.Verifying {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Run = %v, want that it was cancelled", err)
	}
}

// Whatever is not as it was is found before the new store may be served.
func TestVerification(t *testing.T) {
	dir, url := filled(t, rand.New(rand.NewPCG(1, 2)), 40), servicetest.Database(t)
	for _, c := range []struct {
		name, sql, table string
		inRoom           bool
	}{
		{"a message", `UPDATE tertulia.events SET body = '{"content":"forged"}' WHERE room_no = 1 AND seq = (SELECT head FROM tertulia.rooms WHERE no = 1)`, "events", true},
		{"a tag", `UPDATE tertulia.events SET tag = tag # 1 WHERE room_no = 1 AND seq = (SELECT head FROM tertulia.rooms WHERE no = 1)`, "events", true},
		{"a lost event", `DELETE FROM tertulia.events WHERE room_no = 1 AND seq = (SELECT floor FROM tertulia.rooms WHERE no = 1)`, "events", true},
		{"the last room's events", `DELETE FROM tertulia.events WHERE room_no = (SELECT max(no) FROM tertulia.rooms)`, "events", true},
		{"a lost room", `DELETE FROM tertulia.rooms WHERE no = 1`, "rooms", false},
		{"an account too many", `INSERT INTO tertulia.accounts (id, name, created_at, disabled) VALUES ('zzz', '', 1, false)`, "accounts", false},
		{"a mark", `UPDATE tertulia.members SET read_msgs = read_msgs + 1`, "members", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Run(t.Context(), Config{From: dir, To: postgres.Config{URL: url}, Progress: func(p Progress) {
				if p.Table == "events" && p.Rows == p.Of && !p.Verifying {
					execute(t, url, c.sql)
				}
			}})
			e, ok := errors.AsType[*MismatchError](err)
			if !ok || e.Table != c.table || (e.Room != "") != c.inRoom {
				t.Errorf("Run = %v, want a *MismatchError of %s", err, c.table)
			}
			if _, err := postgres.Open(t.Context(), postgres.Config{URL: url}); !is[*postgres.ImportingError](err) {
				t.Errorf("postgres.Open = %v, want an *ImportingError", err)
			}
			execute(t, url, `TRUNCATE tertulia.events, tertulia.members, tertulia.rooms, tertulia.accounts, tertulia.revoked_tokens`)
		})
	}
	mustRun(t, Config{From: dir, To: postgres.Config{URL: url}})
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// A target that holds anything else is left alone, and so is the source.
func TestMigrationRefuses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	dir, other := filled(t, rnd, 5), filled(t, rnd, 5)
	full, begun, inUse, done := servicetest.Database(t), servicetest.Database(t), servicetest.Database(t), servicetest.Database(t)
	s := openPostgres(t, full)
	if _, err := s.Append(t.Context(), []store.Append{{Room: "1", Kind: chat.KindMessage, Nonce: "n", Body: chat.MessageBody("here"), MayCreate: true}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stopAt(t, other, begun)
	node := openPostgres(t, inUse)
	if _, err := node.Room(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"a full target": full, "another migration's": begun, "one that a node is connected to": inUse} {
		if _, err := Run(t.Context(), Config{From: dir, To: postgres.Config{URL: url}}); !is[*postgres.OccupiedError](err) {
			t.Errorf("Run into %s = %v, want a *postgres.OccupiedError", name, err)
		}
	}
	if _, err := Run(t.Context(), Config{From: t.TempDir(), To: postgres.Config{URL: done}}); !is[*sqlite.NoStoreError](err) {
		t.Errorf("Run from an empty folder = %v, want a *sqlite.NoStoreError", err)
	}
	served, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatalf("Open after all that: %v", err)
	}
	if _, err := Run(t.Context(), Config{From: dir, To: postgres.Config{URL: done}}); !is[*sqlite.LockedError](err) {
		t.Errorf("Run from a folder that is served = %v, want a *sqlite.LockedError", err)
	}
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}

	// From here on the source is moved.
	mustRun(t, Config{From: dir, To: postgres.Config{URL: done}})
	if r := mustRun(t, Config{From: dir, To: postgres.Config{URL: done}}); !r.Done || r.Copied != 0 || r.Events == 0 {
		t.Errorf("Run again = %+v, want that it is done", r)
	}
	if _, err := Run(t.Context(), Config{From: dir, To: postgres.Config{URL: servicetest.Database(t)}}); !is[*sqlite.MovedError](err) {
		t.Errorf("Run to a second place = %v, want a *sqlite.MovedError", err)
	}
}

// A migration that is given up leaves a data folder that is served again, and
// a target that takes no second half. Clients keep their cursors unless the
// target may have been served.
func TestUndo(t *testing.T) {
	first, dir := twoFolders(t, random(t), 10)
	before, url := openEmbedded(t, first), servicetest.Database(t)
	returned := func() (epoch string) {
		t.Helper()
		if err := Undo(t.Context(), dir); err != nil {
			t.Fatalf("Undo: %v", err)
		}
		s := openEmbedded(t, dir)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return s.Epoch()
	}
	stopAt(t, dir, url)
	if epoch := returned(); epoch != before.Epoch() {
		t.Errorf("the epoch is %s, want %s, because nobody was served elsewhere", epoch, before.Epoch())
	}
	if _, err := Run(t.Context(), Config{From: dir, To: postgres.Config{URL: url}}); !is[*postgres.OccupiedError](err) {
		t.Errorf("Run into what is left of the first = %v, want a *postgres.OccupiedError", err)
	}
	mustRun(t, Config{From: dir, To: postgres.Config{URL: url, Schema: "second"}})
	if epoch := returned(); epoch == before.Epoch() {
		t.Errorf("the epoch is still %s", epoch)
	}
}

// A target that is lost before everything was there is made anew.
func TestMigrationBeginsAgain(t *testing.T) {
	first, dir := twoFolders(t, random(t), 10)
	original, url := openEmbedded(t, first), servicetest.Database(t)
	stopAt(t, dir, url)
	execute(t, url, `DROP SCHEMA tertulia CASCADE`)
	mustRun(t, Config{From: dir, To: postgres.Config{URL: url}})
	storetest.Same(t, openPostgres(t, url), original, users, tokens)
}

// A second process keeps out while one is under way.
func TestOneMigrationAtATime(t *testing.T) {
	dir, url := filled(t, random(t), 10), servicetest.Database(t)
	tried := false
	mustRun(t, Config{From: dir, To: postgres.Config{URL: url}, Progress: func(Progress) {
		if !tried {
			tried = true
			if _, err := Run(t.Context(), Config{From: dir, To: postgres.Config{URL: url}}); !is[*sqlite.LockedError](err) {
				t.Errorf("a second Run = %v, want a *sqlite.LockedError", err)
			}
		}
	}})
	if !tried {
		t.Error("there was no progress")
	}
}

// A migration that ends between its two notes leaves a source that is served on,
// and goes on with what that has become.
func TestMigrationBegunOnly(t *testing.T) {
	dir, url := filled(t, random(t), 10), servicetest.Database(t)
	source, err := sqlite.OpenSource(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	origin, err := source.Origin(t.Context())
	if err := errors.Join(err, source.Close()); err != nil {
		t.Fatal(err)
	}
	target, err := postgres.OpenImport(t.Context(), postgres.Config{URL: url}, origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(target.Begin(t.Context()), target.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: url}); !is[*postgres.ImportingError](err) {
		t.Errorf("postgres.Open = %v, want an *ImportingError", err)
	}
	s := openEmbedded(t, dir)
	results, err := s.Append(t.Context(), []store.Append{{Room: "later", Kind: chat.KindMessage, Body: chat.MessageBody("more"), MayCreate: true}})
	if err := errors.Join(err, results[0].Err, s.Close()); err != nil {
		t.Fatal(err)
	}
	mustRun(t, Config{From: dir, To: postgres.Config{URL: url}})
	if room, err := openPostgres(t, url).Room(t.Context(), "later"); err != nil || room.Head != 1 {
		t.Errorf("Room = %+v, %v, want one event", room, err)
	}
}

// A node that was started on the target and is not connected just then is kept
// out from the beginning on, and for good: what it knows is of another store.
func TestNodeIsKeptOut(t *testing.T) {
	dir, url := filled(t, random(t), 10), servicetest.Database(t)
	node := openPostgres(t, url)
	says := func(want string) {
		t.Helper()
		_, err := node.Append(t.Context(), []store.Append{{Room: "intruder", Kind: chat.KindMessage, Nonce: "n", Body: chat.MessageBody("me too"), MayCreate: true}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Append of the node = %v, want %q", err, want)
		}
		if _, err := node.Room(t.Context(), "general"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Room of the node = %v, want %q", err, want)
		}
	}
	tried := false
	mustRun(t, Config{From: dir, To: postgres.Config{URL: url}, Progress: func(Progress) {
		if !tried {
			tried = true
			says("a migration into the schema tertulia has not ended")
		}
	}})
	if !tried {
		t.Error("there was no progress")
	}
	says("is another one than when this node was started; restart the node")
	if room, err := openPostgres(t, url).Room(t.Context(), "intruder"); err != nil || room.Exists {
		t.Errorf("Room = %+v, %v, want none", room, err)
	}
}

// BenchmarkRun moves 100,000 messages in 100 rooms.
func BenchmarkRun(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	s, err := sqlite.Open(b.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	const events = 100_000
	for n := 0; n < events; {
		rows := make([]store.Append, 1000)
		for i := range rows {
			n++
			rows[i] = store.Append{
				Room: chat.RoomID(fmt.Sprint("room-", n%100)), Kind: chat.KindMessage, Actor: chat.User{ID: "1", Name: "Juan"},
				Nonce: chat.Nonce(fmt.Sprint("nonce-", n)), Body: chat.MessageBody(fmt.Sprint("message ", n, " with some words in it")), MayCreate: true,
			}
		}
		if _, err := s.Append(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		from, url := filepath.Join(b.TempDir(), "copy"), servicetest.Database(b)
		if err := os.CopyFS(from, os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		r, err := Run(b.Context(), Config{From: from, To: postgres.Config{URL: url}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(events/r.Copying.Seconds(), "copied/s")
		b.ReportMetric(events/r.Verify.Seconds(), "verified/s")
	}
}
