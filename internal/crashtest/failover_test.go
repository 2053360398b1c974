//go:build linux

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"tertulia/chat"
	"tertulia/internal/services/servicetest"
)

// TestLossyFailoverIsTold has an asynchronous standby take the primary's place
// without the newest messages, and new ones take their seqs (reliability F14).
// Whoever has read what is gone is told so, live or with a cursor, and nobody is
// given what follows as if nothing had happened.
func TestLossyFailoverIsTold(t *testing.T) {
	c := &cluster{binary: build(t)}
	c.startPostgres(t, servicetest.Folder(t), "")
	var err error
	n := &node{addr: freeAddr(t), dir: t.TempDir()}
	if n.process, err = start(t.Context(), c.binary, n.dir, n.addr, "TERTULIA_DATABASE_URL="+c.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.process.kill() })

	const room = chat.RoomID("r")
	live, _, err := dial(t.Context(), n.addr, room, "leo", "history=0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer live.conn.Close()
	say(t, n.addr, room, "kept-1", "kept-2")
	awaitStored(t, c, "kept-2")
	c.standby.Kill()
	say(t, n.addr, room, "lost-1", "lost-2")
	cursor := live.readTo(t, 4)

	c.postgres.Kill() // or the standby would catch up
	if err := errors.Join(c.standby.Restart(t.Context()), c.failOver(t.Context())); err != nil {
		t.Fatal(err)
	}
	// So many at once that some come together, and go beyond what was lost.
	say(t, n.addr, room, "new-1", "new-2", "new-3", "new-4", "new-5", "new-6")
	if e, err := live.durable(); err == nil {
		t.Errorf("after the failover the reader of 4 messages is given %+v, want a close", e)
	} else if closed, ok := errors.AsType[closedError](err); !ok || closed.code < 4000 || closed.code >= 4500 {
		t.Errorf("after the failover the reader of 4 messages has %v, want a code to come back", err)
	}
	for after, resumed := range map[string]bool{cursor[1]: true, cursor[2]: false, cursor[3]: false} {
		l, first, err := dial(t.Context(), n.addr, room, "leo", "after="+after, 0)
		if err != nil {
			t.Fatal(err)
		}
		if first.Data.Resumed == nil || *first.Data.Resumed != resumed || (first.Data.Gap.Reason == "epoch") == resumed {
			t.Errorf("cursor %s after the failover = resumed %v, gap %+v, want %v", after, first.Data.Resumed, first.Data.Gap, resumed)
		}
		l.conn.Close()
	}
}

// durable returns the next event that has a seq.
func (l *link) durable() (event, error) {
	for {
		if e, err := l.next(); err != nil || e.Seq > 0 {
			return e, err
		}
	}
}

// readTo reads up to a seq, and returns the cursors behind the events.
func (l *link) readTo(t *testing.T, seq uint64) (cursors []string) {
	t.Helper()
	for {
		e, err := l.durable()
		if err != nil {
			t.Fatal(err)
		}
		cursors = append(cursors, fmt.Sprintf("%s:%d:%s", e.Epoch, e.Seq, e.Tag))
		if e.Seq == seq {
			return cursors
		}
	}
}

// say posts messages at once, and all of them again until they are acknowledged.
func say(t *testing.T, addr string, room chat.RoomID, messages ...chat.Nonce) {
	t.Helper()
	deadline := time.Now().Add(roundTime)
	for err := errors.New("not sent"); err != nil; time.Sleep(20 * time.Millisecond) {
		if err = post(t.Context(), addr, room, messages); err != nil && time.Now().After(deadline) {
			t.Fatalf("post %v: %v", messages, err)
		}
	}
}

func post(ctx context.Context, addr string, room chat.RoomID, messages []chat.Nonce) error {
	l, _, err := dial(ctx, addr, room, "ana", "history=0", nodePatience)
	if err != nil {
		return err
	}
	defer l.conn.Close()
	var out []byte
	for _, m := range messages {
		out = appendPost(out, m, string(m))
	}
	if _, err := l.conn.Write(out); err != nil {
		return err
	}
	for acked := 0; acked < len(messages); {
		switch e, err := l.next(); {
		case err != nil:
			return err
		case e.Type == "error":
			return refusedError(e.Code)
		case e.Type == "message_sent":
			acked++
		}
	}
	return nil
}

// awaitStored waits until the standby has a message.
func awaitStored(t *testing.T, c *cluster, m chat.Nonce) {
	t.Helper()
	look := fmt.Sprintf("DO $$ BEGIN IF NOT EXISTS (SELECT FROM tertulia.events WHERE nonce = '%s') THEN RAISE 'not yet'; END IF; END $$", m)
	deadline := time.Now().Add(roundTime)
	for {
		err := c.standby.Execute(t.Context(), database, look)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
