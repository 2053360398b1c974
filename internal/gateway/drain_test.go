package gateway

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/chat"
	"tertulia/internal/store"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

var comeBack = regexp.MustCompile(`^restart; retry in (\d+) ms$`)

// docs/protocol.md §8: everybody is told to come back, at different times.
func TestDrainSendsEverybodyAway(t *testing.T) {
	n := newTCPNode(t)
	clients := make([]*client, 20)
	for i := range clients {
		clients[i] = n.enter(fmt.Sprintf("/ws/%d%s", i, ana))
	}
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(context.Background()) }()
	waits := make(map[string]bool)
	for _, c := range clients {
		reason := c.wantClose(wire.CloseDrain)
		if !comeBack.MatchString(reason) {
			t.Errorf("reason %q, want one like %s", reason, comeBack)
		}
		waits[reason] = true
		c.raw(websocket.Close, string(websocket.ClosePayload(uint16(wire.CloseDrain), "")))
		c.wantEnd()
		c.Close()
	}
	if len(waits) < len(clients)/2 {
		t.Errorf("%d clients are told %d different times to come back", len(clients), len(waits))
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain = %v, want nil", err)
	}
	if got := n.Connections(); got != 0 {
		t.Errorf("%d connections after Drain, want none", got)
	}
}

// How long clients are given: the others' pace counts, and from 2,000 clients on
// also that they are back before they are missed.
func TestComeBackWithin(t *testing.T) {
	for _, c := range []struct {
		clients int
		want    time.Duration
	}{
		{1, 2 * time.Second},
		{1000, 4 * time.Second},
		{2000, 8 * time.Second},
		{20_000, 8 * time.Second},
		{50_000, 20 * time.Second},
	} {
		if got := comeBackWithin(c.clients); got != c.want {
			t.Errorf("%d clients come back within %v, want %v", c.clients, got, c.want)
		}
	}
}

// Clients that do not answer are waited for as long as Drain may.
func TestDrainOfSilentClients(t *testing.T) {
	for _, c := range []struct {
		within, took time.Duration
		err          error
	}{
		{time.Minute, closeWait, nil},
		{time.Second, time.Second, context.DeadlineExceeded},
	} {
		inMemory(t, func(t *testing.T, n *node) {
			silent := n.enter("/ws/1" + ana)
			defer silent.Close()
			from := time.Now()
			go silent.in.Next() // takes the close frame, and leaves it at that
			ctx, cancel := context.WithTimeout(context.Background(), c.within)
			defer cancel()
			err := n.Drain(ctx)
			if took := time.Since(from); !errors.Is(err, c.err) || took != c.took {
				t.Errorf("Drain within %v = %v after %v, want %v after %v", c.within, err, took, c.err, c.took)
			}
		})
	}
}

// gated is a store whose appends wait for its gate to be opened.
type gated struct {
	store.Store
	gate chan struct{}
}

func (g gated) Append(ctx context.Context, batch []store.Append) ([]store.Result, error) {
	<-g.gate
	return g.Store.Append(ctx, batch)
}

// Posts that were taken are answered before the connection is closed.
func TestDrainAnswersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		slow := func(s store.Store) store.Store { return gated{s, gate} }
		n := newNodeOn(t, below{store: slow}, listenInMemory())
		defer n.close()
		c := n.enter("/ws/1" + ana)
		const posts = 30
		for i := range posts {
			c.send(fmt.Sprintf(`{"type":"message","content":"%d"}`, i))
		}
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { // as package server does
			n.Refuse()
			drained <- errors.Join(n.rooms.Drain(context.Background()), n.Drain(context.Background()))
		}()
		synctest.Wait()
		c.send(`{"type":"message","content":"too late"}`)
		synctest.Wait()
		close(gate)
		answered, late := 0, 0 // what is not delivered any more, the cursor brings
		for {
			m, err := c.in.Next()
			if err != nil {
				t.Fatal(err)
			}
			if m.Op == websocket.Close {
				if m.Code != uint16(wire.CloseDrain) {
					t.Errorf("close code %d, want %d", m.Code, wire.CloseDrain)
				}
				break
			}
			switch f := parse(t, m); {
			case f.Type == "message_sent":
				answered++
			case f.Code == string(chat.ShuttingDown):
				late++
			}
		}
		if answered != posts || late != 1 {
			t.Errorf("%d posts answered and %d refused, want %d and 1", answered, late, posts)
		}
		c.Close()
		if err := <-drained; err != nil {
			t.Errorf("draining = %v, want nil", err)
		}
	})
}

// Close ends what Drain could not, and a peer that takes nothing does not
// hold it up.
func TestCloseWaitsForNobody(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		stuck := n.enter("/ws/1" + ana)
		defer stuck.Close()
		closing := n.enter("/ws/1?user_id=2&username=Bob") // stuck takes no user_joined
		defer closing.Close()
		closing.send(`{"type":"message","content":"hola"}`) // closing takes no answer
		synctest.Wait()
		closing.raw(websocket.Close, "")
		synctest.Wait()
		from := time.Now()
		n.Gateway.Close()
		n.cfg.Services.Hub.Close()
		if took := time.Since(from); took != 0 {
			t.Errorf("Close took %v, want it to wait for no peer", took)
		}
	})
}
