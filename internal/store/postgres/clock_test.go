package postgres

import (
	"crypto/sha256"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/services/servicetest"
	"tertulia/internal/store"
)

// moveClock makes the clock of a database's schema one that a test moves, by
// what it is ahead.
func moveClock(t *testing.T, url string) (move func(ahead time.Duration)) {
	conn := superuser(t, url)
	mustExec(t, conn, `CREATE TABLE tertulia.clock (ahead bigint NOT NULL)`)
	mustExec(t, conn, `INSERT INTO tertulia.clock VALUES (0)`)
	mustExec(t, conn, `CREATE OR REPLACE FUNCTION tertulia.now_ms() RETURNS bigint LANGUAGE sql VOLATILE
		RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + (SELECT ahead FROM tertulia.clock)`)
	return func(ahead time.Duration) {
		mustExec(t, conn, `UPDATE tertulia.clock SET ahead = $1`, ahead.Milliseconds())
	}
}

// The database's clock jumps (reliability F21). Seqs do not know of it, and
// times stand still within a room until the clock has caught up.
func TestDatabaseClockJumps(t *testing.T) {
	url := servicetest.Database(t)
	s := openAt(t, Config{URL: url})
	move := moveClock(t, url)
	acked := make(map[chat.Nonce]chat.Event)
	var latest time.Duration // that a clock was ahead while it was posted to r
	for i, ahead := range []time.Duration{0, time.Hour, -time.Hour, 24 * time.Hour, time.Hour, 0} {
		move(ahead)
		latest = max(latest, ahead)
		before := time.Now().Add(-patience) // at which the latest clock may have been looked at
		rows := append(posts("r", time.Duration(i).String(), 2), post(chat.RoomID("new"+time.Duration(i).String()), "n", "first"))
		results := untilKnown(t, s, rows)
		for k, want := range []time.Duration{latest, latest, ahead} {
			r := results[k]
			if r.Err != nil || k < 2 && r.Event.Seq != uint64(2*i+k+1) {
				t.Errorf("clock %v ahead, row %d = %+v, want seq %d", ahead, k, r, 2*i+k+1)
			}
			if off := r.Event.At.Sub(before) - want; off < 0 || off > 2*patience {
				t.Errorf("clock %v ahead, row %d: At = %v, want %v ahead", ahead, k, r.Event.At, want)
			}
		}
		acked[rows[0].Nonce], acked[rows[1].Nonce] = results[0].Event, results[1].Event
		if again := untilKnown(t, s, rows); !again[0].Duplicate || !again[0].Event.At.Equal(results[0].Event.At) {
			t.Errorf("clock %v ahead, again = %+v, want the duplicate", ahead, again[0])
		}
	}
	wantWhole(t, s, "r", len(acked), acked)
}

// Ages are counted by the database's clock, whatever it shows, and whatever the
// nodes' clocks do: events are trimmed and tickets end when it has gone on.
func TestAgesAreTheDatabases(t *testing.T) {
	url := servicetest.Database(t)
	s := openAt(t, Config{URL: url})
	move := moveClock(t, url)
	trim := func(floor uint64) {
		t.Helper()
		room, more, err := s.Trim(t.Context(), "r", chat.Retention{Age: 24 * time.Hour})
		if err != nil || more || room.Floor != floor {
			t.Errorf("Trim = floor %d, more %v, %v, want %d", room.Floor, more, err, floor)
		}
	}
	untilKnown(t, s, posts("r", "old", 3))
	move(23 * time.Hour)
	trim(1)
	untilKnown(t, s, posts("r", "young", 2))
	move(-24 * time.Hour)
	trim(1)
	move(25 * time.Hour)
	trim(4)

	hash := sha256.Sum256([]byte("ticket"))
	for jump, good := range map[time.Duration]bool{-20 * time.Hour: true, 9 * time.Hour: true, 11 * time.Hour: false} {
		move(0)
		if kept, err := s.PutTicket(t.Context(), hash, "ana", []byte("x"), 10*time.Hour, 3); err != nil || !kept {
			t.Fatalf("PutTicket = %v, %v", kept, err)
		}
		move(jump)
		if sealed, err := s.TakeTicket(t.Context(), hash); err != nil || (sealed != nil) != good {
			t.Errorf("a ticket for 10 h after %v = %q, %v, want that it is good: %v", jump, sealed, err, good)
		}
	}
}

// A node whose clock is decades behind stores in the same rooms as one whose
// clock is right (reliability F21).
func TestNodeClocksDoNotMatter(t *testing.T) {
	url := servicetest.Database(t)
	right := openAt(t, Config{URL: url})
	var all []store.Result
	take := func(s *Store, rows ...store.Append) {
		t.Helper()
		results := untilKnown(t, s, rows)
		all = append(all, results...)
	}
	unnamed := post("r", "", "with the store's nonce")
	take(right, post("r", "1", "one"), unnamed)
	synctest.Test(t, func(t *testing.T) { // where it is the year 2000
		s := openAt(t, Config{URL: url, Writers: 1, Connections: 1})
		take(s, post("r", "2", "two"), unnamed)
		take(s, post("r", "1", "one"))
	})
	take(right, post("r", "3", "three"), unnamed, post("r", "2", "two"))

	var seqs []uint64
	for _, r := range all {
		seqs = append(seqs, r.Event.Seq)
		if age := time.Since(r.Event.At).Abs(); r.Err != nil || age > patience {
			t.Errorf("%+v is stored as of %v, want the database's time", r, r.Event.At)
		}
	}
	if want := []uint64{1, 2, 3, 4, 1, 5, 6, 3}; !slices.Equal(seqs, want) {
		t.Errorf("seqs are %v, want %v", seqs, want)
	}
	wantWhole(t, right, "r", 6, nil)
}
