package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"tertulia/chat"
	"tertulia/internal/store"
)

// lossesVariable says how often the power goes in TestPowerLoss, for a long
// run; shortLosses is how often otherwise.
const (
	lossesVariable = "TERTULIA_POWER_LOSSES"
	shortLosses    = 50
)

func losses(t *testing.T) int {
	t.Helper()
	text := os.Getenv(lossesVariable)
	if text == "" {
		return shortLosses
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 {
		t.Fatalf("%s=%q is no number from 10 up", lossesVariable, text)
	}
	return n
}

// crash is a moment at which the power went.
type crash struct {
	img   image
	acked int // batches that Append had returned
}

// TestPowerLoss lets the power go at moments within opening, commits and
// checkpoints, with anything lost that was not synced. Whatever Append had
// returned must be there, the batch under way wholly or not at all, and seqs
// without a hole.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	load := rand.New(rand.NewPCG(seed, 0))
	rows := make([][]store.Append, 80)
	for i := range rows {
		rows[i] = randomBatch(load, i)
	}
	for i, c := range powerLosses(t, seed, losses(t), rows) {
		if !t.Run(fmt.Sprintf("%d after batch %d", i, c.acked), func(t *testing.T) { checkCrash(t, c, rows) }) {
			return
		}
	}
}

// What events change is changed with them: after a power loss the message, the
// members and the settings are what the log says.
func TestPowerLossKeepsStateAndLogTogether(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rows := make([][]store.Append, 40)
	for i := range rows {
		rows[i] = changingBatch(i)
	}
	for i, c := range powerLosses(t, seed, losses(t)*2/5, rows) {
		if !t.Run(fmt.Sprintf("%d after batch %d", i, c.acked), func(t *testing.T) { checkState(t, c, rows) }) {
			return
		}
	}
}

// changingBatch says something, edits the first message, and changes a member
// and the room.
func changingBatch(i int) []store.Append {
	rows := make([]store.Append, 4)
	for k := range rows {
		rows[k] = post("general", chat.Nonce(fmt.Sprintf("%03d-%d", i, k)), fmt.Sprint("message ", i))
	}
	rows[1].Kind, rows[1].Target = chat.KindMessageEdited, 1
	rows[2].Kind, rows[2].Member = chat.KindMemberRole, &chat.Member{User: rows[0].Actor, State: chat.State(1 + i%2), Role: chat.RoleMember}
	rows[3].Kind, rows[3].Settings = chat.KindRoomUpdated, &chat.Settings{Title: fmt.Sprint("title ", i)}
	return rows
}

func checkState(t *testing.T, c crash, batches [][]store.Append) {
	dir := t.TempDir()
	c.img.restore(t, dir)
	s := openStore(t, dir)
	page := mustPage(t, s, "general")
	wantLog(t, s, "general", int(page.Room.Head))
	n := len(page.Events) / 4 // batches
	if len(page.Events)%4 != 0 || n < c.acked {
		t.Fatalf("%d events after %d batches of 4", len(page.Events), c.acked)
	}
	if n == 0 {
		return
	}
	last := batches[n-1]
	if e := page.Events[0]; e.Changed != uint64(4*n-2) || !bytes.Equal(e.Body, last[1].Body) {
		t.Errorf("the message has %s of event %d, want %s of %d", e.Body, e.Changed, last[1].Body, 4*n-2)
	}
	if page.Room.Version != uint64(4*n) || page.Room.Settings != *last[3].Settings {
		t.Errorf("the room is %+v, want %+v of %d", page.Room, *last[3].Settings, 4*n)
	}
	_, m, err := s.Member(t.Context(), "general", last[0].Actor.ID)
	if err != nil {
		t.Fatalf("Member: %v", err)
	}
	joined := last[2].Member.State == chat.StateJoined
	if m.Version != uint64(4*n-1) || m.State != last[2].Member.State || (page.Room.Members == 1) != joined {
		t.Errorf("the member is %+v in a room of %d, want %v of %d", m, page.Room.Members, last[2].Member.State, 4*n-1)
	}
	if want := uint64(4*n - 3); n > 1 && (m.Mark.Read != want || m.Mark.ReadMsgs != uint64(n)) {
		t.Errorf("the mark is %+v, want %d and %d messages", m.Mark, want, n)
	}
}

// powerLosses appends batches on a disk of its own, and returns up to so many
// moments at which the power went.
func powerLosses(t *testing.T, seed uint64, crashes int, batches [][]store.Append) []crash {
	t.Helper()
	d := newDisk(t)
	var ( // guarded by d.mu
		rng   = rand.New(rand.NewPCG(seed, 1))
		taken []crash
		acked int
		odds  = 4 // a crash in one of so many changes; they are rare at first
	)
	d.before = func() {
		if len(taken) < crashes && rng.IntN(odds) == 0 {
			taken = append(taken, crash{d.powerLoss(rng), acked})
		}
	}
	s := openOn(t, d, t.TempDir())
	defer closeStore(t, s)
	s.ckpt.pages = 30
	d.mu.Lock()
	odds = max(2, 30*len(batches)/crashes) // a batch makes about fifty changes; most of the batches are crashed in
	d.mu.Unlock()
	for i, rows := range batches {
		mustAppend(t, s, rows...)
		d.mu.Lock()
		acked = i + 1
		d.mu.Unlock()
	}
	d.mu.Lock()
	happened := taken
	d.mu.Unlock()
	if len(happened) < crashes/2 {
		t.Errorf("only %d crashes happened, want more than %d", len(happened), crashes/2)
	}
	return happened
}

// randomBatch is of two rooms; its nonces say which batch and row it is.
func randomBatch(rng *rand.Rand, batch int) []store.Append {
	rows := make([]store.Append, 1+rng.IntN(12))
	for i := range rows {
		nonce := fmt.Sprintf("%03d-%02d", batch, i)
		rows[i] = post(chat.RoomID(strconv.Itoa(rng.IntN(2))), chat.Nonce(nonce), nonce+strings.Repeat(".", rng.IntN(2000)))
	}
	return rows
}

// checkCrash opens what a crash left.
func checkCrash(t *testing.T, c crash, batches [][]store.Append) {
	dir := t.TempDir()
	c.img.restore(t, dir)
	s := openStore(t, dir)
	var found []chat.Event
	for _, room := range []chat.RoomID{"0", "1"} {
		page := mustPage(t, s, room)
		wantLog(t, s, room, int(page.Room.Head))
		found = append(found, page.Events...)
	}
	byNonce := map[chat.Nonce]chat.Event{}
	for _, e := range found {
		byNonce[e.Nonce] = e
	}
	for _, rows := range batches[:c.acked] {
		for _, row := range rows {
			if e, ok := byNonce[row.Nonce]; !ok || !bytes.Equal(e.Body, row.Body) || e.Room != row.Room {
				t.Errorf("acknowledged row %s is lost or changed", row.Nonce)
			}
			delete(byNonce, row.Nonce)
		}
	}
	var underWay []store.Append
	if c.acked < len(batches) {
		underWay = batches[c.acked]
	}
	if n := len(byNonce); n != 0 && n != len(underWay) {
		t.Errorf("%d rows of the batch under way are there, want 0 or all %d", n, len(underWay))
	}
	results, err := s.Append(context.Background(), underWay)
	if err != nil {
		t.Fatalf("Append of the batch under way: %v", err)
	}
	for i, r := range results {
		if r.Err != nil || r.Duplicate != (len(byNonce) > 0) {
			t.Errorf("row %d again = duplicate %v, %v, want %v, nil", i, r.Duplicate, r.Err, len(byNonce) > 0)
		}
	}
}

// childFolder is the variable that makes the test program the child of
// TestKill: a process that only appends.
const childFolder = "TERTULIA_TEST_FOLDER"

// TestKill kills a process that appends, again and again on the same folder.
// Everything that it said was stored must be there.
func TestKill(t *testing.T) {
	t.Parallel()
	const rounds = 30
	dir := t.TempDir()
	var acked []string
	for range rounds {
		acked = append(acked, killedChild(t, dir, 1+rand.IntN(60))...)
		s := openAt(t, dir)
		stored := map[string]chat.Event{}
		for _, room := range []chat.RoomID{"0", "1", "2"} {
			page := mustPage(t, s, room)
			wantLog(t, s, room, int(page.Room.Head))
			for _, e := range page.Events {
				stored[fmt.Sprintf("%s %d %d %s", e.Room, e.Seq, e.ID, e.Nonce)] = e
			}
		}
		for _, line := range acked {
			if _, ok := stored[line]; !ok {
				t.Errorf("acknowledged event %q is lost", line)
			}
		}
		ids := map[int64]bool{}
		for _, e := range stored {
			if ids[e.ID] {
				t.Errorf("id %d was given twice", e.ID)
			}
			ids[e.ID] = true
		}
		closeStore(t, s)
	}
	if len(acked) < rounds {
		t.Errorf("%d events were acknowledged in %d rounds, want more", len(acked), rounds)
	}
}

// killedChild lets a child append until it has said so many lines, kills it
// and returns all that it said.
func killedChild(t *testing.T, dir string, lines int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	killed := false
	for in := bufio.NewScanner(out); in.Scan(); {
		said = append(said, in.Text())
		if len(said) >= lines && !killed {
			killed = true
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || !killed {
		t.Fatalf("the child ended with %v after %d lines, before it was killed", err, len(said))
	}
	return said
}

// childMain appends batches for ever and says, a line an event and a write a
// batch, what was stored.
func childMain(dir string) {
	s, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.ckpt.pages = 50
	for batch := 0; ; batch++ {
		rows := make([]store.Append, 1+rand.IntN(20))
		for i := range rows {
			nonce := fmt.Sprintf("%d-%d-%d", os.Getpid(), batch, i)
			rows[i] = post(chat.RoomID(strconv.Itoa(rand.IntN(3))), chat.Nonce(nonce), nonce)
		}
		results, err := s.Append(context.Background(), rows)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var said []byte
		for _, r := range results {
			said = fmt.Appendf(said, "%s %d %d %s\n", r.Event.Room, r.Event.Seq, r.Event.ID, r.Event.Nonce)
		}
		if _, err := os.Stdout.Write(said); err != nil {
			os.Exit(1)
		}
	}
}
