package gateway

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"tertulia/internal/count"
	"tertulia/internal/session"
	"tertulia/internal/websocket"
	"tertulia/wire"
)

// How long a connection lasts is told by a clock that nobody sets: the wall
// clock may be set back meanwhile. A bubble has no such clock.
func TestConnectionsAreTimedByTheMonotonicClock(t *testing.T) {
	g := New(Config{Services: new(session.Services)})
	defer g.Close()
	if g.madeAt == g.madeAt.Round(0) {
		t.Errorf("connections are timed from %v, which has no monotonic reading", g.madeAt)
	}
}

// The end of a connection is counted by the code of its close frame, and a
// code that only a client would think of makes no label.
func TestCounts(t *testing.T) {
	inMemory(t, func(t *testing.T, n *node) {
		const ping = `{"type":"ping"}`
		for _, code := range []wire.CloseCode{1000, 4321, wire.CloseDrain} {
			c := n.enter("/ws/1" + ana)
			c.send(ping)
			c.want("pong")
			time.Sleep(2 * time.Second)
			c.raw(websocket.Close, string(websocket.ClosePayload(uint16(code), "")))
			c.wantClose(code)
			c.Close()
		}
		n.enter("/ws/1" + ana).Close() // no goodbye
		refused := n.connect("/ws/no%20room" + ana)
		refused.want("error")
		refused.wantClose(wire.CloseBadRequest)
		refused.Close()
		synctest.Wait()

		c := n.Counts()
		if got, want := maps.Collect(c.Opened.All), (map[string]uint64{"seed": 5, "tertulia.v1": 0}); !maps.Equal(got, want) {
			t.Errorf("opened %v, want %v", got, want)
		}
		closed := maps.Collect(c.Closed.All)
		maps.DeleteFunc(closed, func(_ string, n uint64) bool { return n == 0 })
		if want := (map[string]uint64{"1000": 1, "other": 1, "4000": 1, "none": 1, "4500": 1}); !maps.Equal(closed, want) {
			t.Errorf("closed %v, want %v", closed, want)
		}
		if got, want := maps.Collect(c.Received), (map[string]uint64{"text": 3, "ping": 0, "pong": 0, "close": 3}); !maps.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
		if got, want := c.ReceivedBytes.Value(), uint64(3*len(ping)); got != want {
			t.Errorf("received %d bytes, want %d", got, want)
		}
		if got := c.SentBytes.Value(); got < 500 {
			t.Errorf("sent %d bytes, want what four clients were greeted with", got)
		}
		if got := count.Sum(c.Lasted); got.Count != 5 || got.Sum < 6 || got.Sum > 7 {
			t.Errorf("%d connections lasted %v s, want 5 and 6 s", got.Count, got.Sum)
		}
	})
}
