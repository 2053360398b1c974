//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
	"tertulia/internal/store/sqlite"
)

// backupAcks is how many messages are acknowledged before a backup and while
// and after it is made.
const backupAcks = 5000

// A backup is made while clients post as fast as they can. It has each room
// from 1 on without a hole, all that was acknowledged before it began, and
// nothing that the server does not have at the same place.
func TestBackupUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), storyTime)
	defer cancel()
	addr := freeAddr(t)
	r := &rounder{world: newWorld(addr), addr: addr, binary: build(t), dir: t.TempDir()}
	sent, allSent := context.WithCancel(ctx)
	posters := r.startClients(ctx, sent, rand.New(rand.NewPCG(1, 2)))
	defer r.clients.Wait()
	defer cancel()
	if err := r.start(ctx); err != nil {
		t.Fatal(err)
	}
	defer r.server.kill()
	<-r.after(backupAcks)
	acked := r.heads()
	file := filepath.Join(t.TempDir(), "backup.db")
	command(t, ctx, r.binary, "backup", "--data-dir", filepath.Join(r.dir, "data"), file)
	<-r.after(backupAcks)
	close(r.stop)
	posters.Wait()
	allSent()
	r.clients.Wait()
	for _, problem := range r.problems {
		t.Error(problem)
	}
	r.server.kill()

	restored := t.TempDir()
	command(t, ctx, r.binary, "restore", "--data-dir", restored, file)
	copied, whole := logsIn(t, restored, r.allRooms()...), logsIn(t, filepath.Join(r.dir, "data"), r.allRooms()...)
	for room, events := range copied {
		if n := uint64(len(events)); n < acked[room] || n > uint64(len(whole[room])) {
			t.Errorf("room %s has %d events in the backup, want from %d, which were acknowledged, to %d, which there are", room, n, acked[room], len(whole[room]))
			continue
		}
		for i, e := range events {
			if e != whole[room][i] {
				t.Fatalf("event %d of %s is %s in the backup, and %s", i+1, room, e, whole[room][i])
			}
		}
	}
	if len(copied) != len(acked) {
		t.Errorf("the backup has %d rooms, want %d", len(copied), len(acked))
	}
}

// heads are the highest seqs that were acknowledged.
func (w *world) heads() map[chat.RoomID]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.head)
}

// logsIn are the events of some rooms in a data folder, from seq 1 on without a
// hole.
func logsIn(t *testing.T, dir string, rooms ...chat.RoomID) map[chat.RoomID][]string {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	logs := make(map[chat.RoomID][]string)
	for _, room := range rooms {
		for {
			page, err := s.After(t.Context(), room, uint64(len(logs[room])), store.Limit{Events: 10_000, Bytes: 10 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if logs[room] = append(logs[room], fmt.Sprint(e.ID, e.At, e.Actor, e.Nonce, string(e.Body))); e.Seq != uint64(len(logs[room])) {
					t.Fatalf("event %d of %s has seq %d", len(logs[room]), room, e.Seq)
				}
			}
			if len(page.Events) == 0 {
				break
			}
		}
	}
	return logs
}

const folderRoom = chat.RoomID("shared")

// folderWith is a data folder with so many messages in folderRoom.
func folderWith(t *testing.T, messages int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := make([]store.Append, messages)
	for i := range rows {
		rows[i] = store.Append{Room: folderRoom, Kind: chat.KindMessage, MayCreate: true, Body: chat.MessageBody(strings.Repeat("¿sigues ahí? ", 100))}
	}
	if _, err := s.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	messagesBefore = 300
	messagesNew    = 5000 // 7 MB: some time to be killed in
)

// A process that restores over what is there is killed at any moment. What was
// there before is whole, in its place or under its other name, or what is new is
// whole in its place; and the command, run again, comes to its end.
func TestKilledRestore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), storyTime)
	defer cancel()
	if rounds := variable(t, roundsVariable, 0); rounds > 0 {
		ctx = t.Context()
	}
	binary, file, before := build(t), filepath.Join(t.TempDir(), "backup.db"), folderWith(t, messagesBefore)
	command(t, ctx, binary, "backup", "--data-dir", folderWith(t, messagesNew), file)
	span, kept, replaced := 100*time.Millisecond, 0, 0
	rounds := variable(t, roundsVariable, 5)
	for range rounds {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		span = max(span, killedRestore(t, binary, dir, file, rand.N(span)))
		if lookAfter(t, dir) == messagesBefore {
			kept++
		} else {
			replaced++
		}
		command(t, ctx, binary, "restore", "--data-dir", dir, "--set-aside", file)
		if n := len(logsIn(t, dir, folderRoom)[folderRoom]); n != messagesNew {
			t.Fatalf("restored again, the folder has %d messages, want %d", n, messagesNew)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d times what was there was still in use, %d times it was replaced", kept, replaced)
	if rounds >= 100 && (kept == 0 || replaced == 0) {
		t.Error("all kills fell on one side of the replacement, want some on either")
	}
}

// killedRestore kills a restore a while after it has begun to write, and
// returns how long that was.
func killedRestore(t *testing.T, binary, dir, file string, after time.Duration) time.Duration {
	t.Helper()
	cmd := exec.Command(binary, "restore", "--data-dir", dir, "--set-aside", file)
	cmd.Env = withoutSettings(cmd.Environ())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	for writing := false; !writing; {
		_, err := os.Stat(filepath.Join(dir, "tertulia.db.restoring"))
		select {
		case <-done:
			writing = true // it was too fast for us
		case <-time.After(100 * time.Microsecond): // it is another process
			writing = err == nil
		}
	}
	began := time.Now()
	select {
	case <-done:
	case <-time.After(after):
	}
	_ = cmd.Process.Kill()
	<-done
	if exit := cmd.ProcessState.ExitCode(); exit > 0 {
		t.Fatalf("restore ended with %d by itself", exit)
	}
	return time.Since(began)
}

// lookAfter wants one whole database in a folder in which a restore was killed,
// and that the server opens no other. It returns how many messages it has.
func lookAfter(t *testing.T, dir string) int {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err == nil {
		s.Close()
		n := len(logsIn(t, dir, folderRoom)[folderRoom])
		if n != messagesBefore && n != messagesNew {
			t.Fatalf("the folder has %d messages, want %d or %d", n, messagesBefore, messagesNew)
		}
		return n
	}
	if _, unfinished := errors.AsType[*sqlite.UnfinishedError](err); !unfinished {
		t.Fatalf("Open after a killed restore = %v, want an *UnfinishedError", err)
	}
	whole, err := filepath.Glob(filepath.Join(dir, "tertulia.db*Z"))
	if err != nil {
		t.Fatal(err)
	}
	whole = append(whole, filepath.Join(dir, "tertulia.db"))
	elsewhere := t.TempDir()
	data, err := os.ReadFile(whole[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "tertulia.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	n := len(logsIn(t, elsewhere, folderRoom)[folderRoom])
	if n != messagesBefore {
		t.Fatalf("%s has %d messages, want the %d that were there", whole[0], n, messagesBefore)
	}
	return n
}
