//go:build linux

package crashtest

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/client"
)

// storyTime bounds the test below, which takes seconds.
const storyTime = 4 * time.Minute

// A backup is taken while alice posts; the server goes on, is killed, and its
// data folder is made anew from the backup. bob has read more than the backup
// knows: he is told by a gap, reads the room anew, and then sees what alice
// posts from then on. Nobody sees two histories as one.
func TestRestoreIsTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), storyTime)
	defer cancel()
	binary, dir, addr := build(t), t.TempDir(), freeAddr(t)
	server, err := start(ctx, binary, dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { server.kill() }()
	alice := dialClient(t, ctx, addr, "alice")
	bob := dialClient(t, ctx, addr, "bob")
	stop, acked := postOn(ctx, alice)
	read := newReading(ctx, bob, chat.Cursor{})
	read.await(t, 100)

	ackedBefore := acked()
	backup := filepath.Join(dir, "backup.db")
	command(t, ctx, binary, "backup", "--data-dir", filepath.Join(dir, "data"), backup)
	read.await(t, acked()+100) // more than the backup has
	stop()
	read.await(t, acked())
	read.end()
	server.kill()

	command(t, ctx, binary, "restore", "--data-dir", filepath.Join(dir, "data"), "--set-aside", backup)
	if server, err = start(ctx, binary, dir, addr); err != nil {
		t.Fatal(err)
	}
	if err := bob.WaitOnline(ctx); err != nil {
		t.Fatal(err)
	}
	again := newReading(ctx, bob, read.cursor)
	again.awaitGap(t) // what was said before it is in the room, and no event
	sent, err := alice.Room("1").Send(ctx, "after the restore")
	if err != nil {
		t.Fatal(err)
	}
	again.await(t, sent.Seq)
	again.end()
	if again.gaps != 1 || again.firstGap != client.GapEpoch {
		t.Errorf("bob was told of %d gaps, the first for %q, want one for %q", again.gaps, again.firstGap, client.GapEpoch)
	}
	if last := again.contents[len(again.contents)-1]; last != "after the restore" {
		t.Errorf("the last message is %q, want alice's newest", last)
	}
	room := history(t, ctx, bob)
	if n := uint64(len(room)); n != sent.Seq || n <= ackedBefore || n >= read.cursor.Seq {
		t.Fatalf("the room has %d messages, want all %d; %d were acknowledged before the backup, and bob had read to %d", n, sent.Seq, ackedBefore, read.cursor.Seq)
	}
	for i, content := range room[read.first-1 : sent.Seq-1] {
		if content != read.contents[i] {
			t.Fatalf("message %d is %q, and was %q before", read.first+uint64(i), content, read.contents[i])
		}
	}
}

// history reads room 1 from its beginning.
func history(t *testing.T, ctx context.Context, c *client.Client) (contents []string) {
	t.Helper()
	for m, err := range c.Room("1").History(ctx, client.AfterSeq(0)) {
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, m.Content)
	}
	return contents
}

func dialClient(t *testing.T, ctx context.Context, addr string, id chat.UserID) *client.Client {
	t.Helper()
	c, err := client.Dial(ctx, "ws://"+addr, client.WithUser(chat.User{ID: id, Name: string(id)}), client.WithBackoff(10*time.Millisecond, 100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// command runs the program to its end.
func command(t *testing.T, ctx context.Context, binary string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = withoutSettings(cmd.Environ())
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tertulia %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// postOn posts to room 1 until stop is called; acked is the last seq that was
// acknowledged.
func postOn(ctx context.Context, c *client.Client) (stop func(), acked func() uint64) {
	ctx, cancel := context.WithCancel(ctx)
	seq, ended := make(chan uint64, 1), make(chan struct{})
	seq <- 0
	go func() {
		defer close(ended)
		for n := 1; ctx.Err() == nil; n++ {
			if sent, err := c.Room("1").Send(context.WithoutCancel(ctx), fmt.Sprint("message ", n)); err == nil {
				<-seq
				seq <- sent.Seq
			}
		}
	}()
	return func() { cancel(); <-ended }, func() uint64 {
		n := <-seq
		seq <- n
		return n
	}
}

// reading takes the messages of room 1.
type reading struct {
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}
	places chan uint64   // seqs taken, for await
	gapped chan struct{} // closed at the first gap

	// Owned by the goroutine until it has ended.
	contents []string // since the last gap
	first    uint64   // seq of the first message ever
	cursor   chat.Cursor
	gaps     int
	firstGap client.GapReason
}

// newReading begins with what comes, or at a cursor.
func newReading(ctx context.Context, c *client.Client, at chat.Cursor) *reading {
	r := &reading{ended: make(chan struct{}), places: make(chan uint64, 1), gapped: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(ctx)
	var opts []client.EventsOption
	if at.Epoch != "" {
		opts = append(opts, client.From(at))
	}
	r.places <- 0
	go func() {
		defer close(r.ended)
		for event, err := range c.Room("1").Events(r.ctx, opts...) {
			if err != nil {
				return
			}
			r.take(event)
		}
	}()
	return r
}

func (r *reading) take(event client.Event) {
	switch e := event.(type) {
	case client.Gap:
		if r.gaps++; r.gaps == 1 {
			r.firstGap = e.Reason
			close(r.gapped)
		}
		r.contents = nil
	case client.Message:
		r.contents, r.cursor = append(r.contents, e.Content), e.Cursor
		if r.first == 0 {
			r.first = e.Seq
		}
		<-r.places
		r.places <- e.Seq
	}
}

// awaitGap waits until the reader was told of a gap.
func (r *reading) awaitGap(t *testing.T) {
	t.Helper()
	select {
	case <-r.gapped:
	case <-r.ended:
		t.Fatal("the reader ended before it was told of a gap")
	}
}

// await waits until a message at seq or later was taken.
func (r *reading) await(t *testing.T, seq uint64) {
	t.Helper()
	for {
		at := <-r.places
		r.places <- at
		if at >= seq {
			return
		}
		select {
		case <-r.ended:
			t.Fatalf("the reader ended at %d, before %d: %v", at, seq, context.Cause(r.ctx))
		case <-time.After(5 * time.Millisecond): // it is told by another process
		}
	}
}

func (r *reading) end() {
	r.cancel()
	<-r.ended
}
